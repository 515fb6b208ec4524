# SPDX-License-Identifier: Apache-2.0
"""The sites of a layer in a program that XLA compiles.

A pass of a layer is computed without sites. Only if a fault names one of its sites, a
conditional's branch computes it again, with sites. Its other branch hands on what the
pass made, and so nothing is copied and the compiler's fusions stay as they are
(docs/decisions/0019-one-xla-form.md).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import CAPACITY
from tpufi.layers.context import (
    FaultContext,
    LayerSites,
    Made,
    Product,
    Report,
)
from tpufi.layers.reach import naming, same_bits, where_bits
from tpufi.layers.seen import Seen, SiteKinds
from tpufi.ops import Planes, Prepared, inject_prepared
from tpufi.site_table import Site

_NEVER_A_SITE = 0xFFFFFFFE
_NO_SITE = 0xFFFFFFFF  # Of a prepared row.


@dataclasses.dataclass(frozen=True, eq=False)
class CompiledContext(FaultContext):
    """The fault operands of one replica's program that XLA compiles.

    Args:
      prepared: the faults as its sites take them (`tpufi.ops.prepare_faults`), of this
        replica (`of_replica`). A record has the golden bits of `CAPACITY` elements.
    """

    compiled: bool = True
    prepared: Prepared | None = None

    @classmethod
    def of_replica(cls, context: FaultContext, prepared: Prepared) -> FaultContext:
        """Return the context of a replica's compiled program.

        Args:
          context: the same in graph mode.
          prepared: for all replicas.
        """
        fields = dict(vars(context), compiled=True)
        return cls(**fields, prepared=prepared).without(~context.here()[:, None])

    @property
    def noted(self) -> int:
        return CAPACITY

    @property
    def hands_on(self) -> bool:
        return True

    def named(self, ids: Sequence[int]) -> tf.Tensor:
        return naming(self.prepared.rows[:, 0], ids)

    def without(self, rows: tf.Tensor) -> FaultContext:
        kept = self.prepared.rows
        kept = tf.where(
            rows, tf.fill(kept.shape, tf.constant(_NO_SITE, kept.dtype)), kept
        )
        prepared = self.prepared._replace(rows=kept)
        return dataclasses.replace(super().without(rows), prepared=prepared)

    def reaches(self) -> tf.Tensor:
        return self.prepared.reaches

    def layer(
        self, name: str, so_far: Sequence[tf.Tensor] = (), input_read: bool = True
    ) -> LayerSites:
        return CompiledSites(self, name, so_far, input_read)


class CompiledSites(LayerSites):
    """The sites of one layer; a pass is a conditional."""

    def whole_pass(self, compute: Callable[..., Made], *inputs: object) -> Made:
        sites = _CleanSites(self._context, self._layer)
        made = compute(sites, *inputs)
        if not sites.present:
            return made
        leaves = tf.nest.flatten(made)
        given = {id(one) for one in tf.nest.flatten(inputs)}
        places = [
            place
            for place, leaf in enumerate(leaves)
            if tf.is_tensor(leaf) and id(leaf) not in given
        ]
        clean = [leaves[place] for place in places]
        so_far = self._report()

        def faulty() -> list[tf.Tensor]:
            results, record = self._again(sites, compute, inputs, places, clean)
            return [*results, so_far + record]

        def golden() -> list[tf.Tensor]:
            return [tf.identity(one) for one in (*clean, so_far)]

        *results, now = tf.cond(tf.reduce_any(self._met(sites)), faulty, golden)
        self._reports = [now]
        for place, result in zip(places, results, strict=True):
            result.set_shape(leaves[place].shape)
            leaves[place] = result
        return tf.nest.pack_sequence_as(made, leaves)

    def _again(
        self,
        sites: "_CleanSites",
        compute: Callable[..., Made],
        inputs: Sequence[object],
        places: Sequence[int],
        clean: Sequence[tf.Tensor],
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Return what the pass makes with the faults, and their record.

        It is computed twice by the same code, first without injecting: a compiler fuses
        each computation in its own way, and rounds so. Where both agree, bitwise, the
        results of the clean pass stay, so that every difference is the fault's doing.
        What is copied from has been seen then. Of several faults one may copy what
        another made, and so each adds a time.
        """
        prepared, table = self._context.prepared, self._context.table
        present = tuple(table[table.id_of(name)] for name in sites.present)
        kinds = SiteKinds(present, prepared.count)
        given = prepared.planes(kinds.elements, kinds.wide)
        several = prepared.count > 1
        times = two(prepared.rows) + prepared.count - 1

        def body(time: tf.Tensor, first: list, last: list, seen: Seen) -> tuple:
            inner = _FaultySites(self._context, self._layer, [seen])
            inner.results, inner.kinds = sites.results, kinds
            inner.planes = self._once_seen(given, kinds, seen, time > 0)
            disarmed = first if several else last
            for one, before in zip(clean, disarmed, strict=True):
                if (name := sites.name_of(one)) is not None:
                    inner.starts[name] = _Start(one, before)
            leaves = tf.nest.flatten(compute(inner, *inputs))
            made = [leaves[place] for place in places]
            results = []
            for result, one, before in zip(made, clean, disarmed, strict=True):
                result.set_shape(one.shape)
                same = same_bits(result, before) & (time > 0)
                results.append(where_bits(same, one, result))
            if several:
                first = [
                    where_bits(time > 0, before, result)
                    for before, result in zip(first, made, strict=True)
                ]
            return time + 1, first, results, inner.seen()

        nothing = [tf.zeros_like(one) for one in clean]
        _, _, results, seen = tf.while_loop(
            lambda time, *_: time < times,
            body,
            (tf.constant(0), nothing if several else [], nothing, kinds.nothing()),
            parallel_iterations=1,
        )
        met = self._met(sites)[:, None, None]
        return results, tf.where(met, prepared.record(kinds.words(seen), given), 0.0)

    def _once_seen(
        self, planes: list[Planes], kinds: SiteKinds, seen: Seen, injects: tf.Tensor
    ) -> list[Planes]:
        """Return the planes of rows for a pass that follows one in which they saw.

        Args:
          planes: as they were prepared.
          kinds: the sites.
          seen: what rows saw.
          injects: bool scalar, whether sites inject, or only see.
        """
        copies = self._context.prepared.copies

        def copied() -> list[Planes]:
            return [
                tf.nest.map_structure(
                    functools.partial(tf.where, copies[row]),
                    kinds.copied(own, words),
                    own,
                )
                for row, (own, words) in enumerate(
                    zip(planes, kinds.words(seen), strict=True)
                )
            ]

        now = tf.cond(tf.reduce_any(copies), copied, lambda: planes)
        return [one._replace(changes=one.changes & injects) for one in now]

    def _met(self, sites: "_CleanSites") -> tf.Tensor:
        """Return which rows name a site of the pass, bool [rows].

        A row that is confined to some results names operands of products alone.
        """
        prepared, table = self._context.prepared, self._context.table
        return functools.reduce(
            tf.logical_or,
            (
                prepared.naming(table.id_of(name), name in sites.operands)
                for name in sites.present
            ),
        )


class _Start(NamedTuple):
    """What a site starts from whose tensor leaves the pass.

    A fault in it changes what the clean pass made, also where the faulty pass rounds
    otherwise.

    Args:
      clean: the tensor of the clean pass.
      disarmed: that of the faulty pass, without the fault.
    """

    clean: tf.Tensor
    disarmed: tf.Tensor


class _CleanSites(LayerSites):
    """Sites that inject nothing, and tell what they saw.

    Attributes:
      present: names of the sites that the program has in this pass.
      operands: those of them that are operands of a product.
      results: what the product of each direction is.
    """

    _injects = False

    def __init__(self, *args: object):
        super().__init__(*args)
        self.present: list[str] = []
        self.operands: set[str] = set()
        self.results: dict[str, tf.TensorSpec] = {}
        self._names_by_tensor: dict[object, str] = {}

    def name_of(self, tensor: tf.Tensor) -> str | None:
        """Return the name of the site that this tensor left; None: of none."""
        return self._names_by_tensor.get(tensor.ref())

    def _injected(
        self, x: tf.Tensor, site: Site, perm: Sequence[int], confines: bool
    ) -> tf.Tensor:
        # A separate tensor: what leaves the pass is told by which tensor it is.
        y = tf.identity(x)
        self.present.append(site.name)
        self._names_by_tensor[y.ref()] = site.name
        if confines:
            self.operands.add(site.name)
        return y

    def _product(self, product: Product) -> tf.Tensor:
        names = self._names(product.direction, tuple(product.operands))
        self.present += names
        self.operands.update(names)
        y = product.result()
        self.results[product.direction] = tf.TensorSpec(y.shape, y.dtype)
        return self.inject(y, product.direction, "output", product.perm)


class _FaultySites(LayerSites):
    """Sites of a pass that only a step with a fault computes.

    Attributes:
      results: see `_CleanSites`.
      kinds: the sites of the pass.
      planes: of each row, by flat index.
      starts: by name of the site, for those whose tensors leave the pass.
    """

    def __init__(self, *args: object):
        super().__init__(*args)
        self.results: Mapping[str, tf.TensorSpec] = {}
        self.kinds: SiteKinds | None = None
        self.planes: list[Planes] = []
        self.starts: dict[str, _Start] = {}

    def _injected(
        self, x: tf.Tensor, site: Site, perm: Sequence[int], confines: bool
    ) -> tf.Tensor:
        start = self.starts.get(site.name)
        golden = x
        if start:
            golden = where_bits(same_bits(x, start.disarmed), start.clean, x)
        y = self._by_all_rows(golden, site, perm, confines)
        # The rest of the pass rounds as it did without the fault.
        return where_bits(same_bits(y, golden), x, y) if start else y

    def _product(self, product: Product) -> tf.Tensor:
        if names := self._names(product.direction, tuple(product.operands)):
            like = self.results[product.direction]
            y = self._twice(two(self._context.prepared.rows), like, names, product)
        else:
            y = product.result()
        return self.inject(y, product.direction, "output", product.perm)

    def seen(self) -> Seen:
        """Return what rows of faults have seen so far."""
        (seen,) = self._reports
        return seen

    def _by_all_rows(
        self, x: tf.Tensor, site: Site, perm: Sequence[int], confines: bool
    ) -> tf.Tensor:
        """Return a tensor as all rows leave it, once they have seen it."""
        prepared, number = self._context.prepared, self._context.table.id_of(site.name)
        named = prepared.naming(number, confines)
        seen, place = [list(one) for one in self.seen()], self.kinds.place(site)
        rows = zip(tf.unstack(prepared.rows), tf.unstack(named), strict=True)
        for row, (fields, met) in enumerate(rows):
            planes = Planes(*(_laid_out(p, site, perm) for p in self.planes[row]))
            x, *golden = inject_prepared(x, number, fields, planes, confines=confines)
            seen[row][place] = [
                tf.where(met, tf.transpose(now, perm) if perm else now, before)
                for now, before in zip(golden, seen[row][place], strict=False)
            ]
        self._reports = [seen]
        return x

    def _report(self) -> Report:
        return self.seen()

    def _inner(self, context: "FaultContext", *so_far: Report) -> LayerSites:
        inner = _FaultySites(context, self._layer, so_far or self._reports)
        inner.kinds, inner.planes = self.kinds, self.planes
        return inner


def _laid_out(plane: tf.Tensor, site: Site, perm: Sequence[int]) -> tf.Tensor:
    """Return a plane like the tensor of a site; as it is if it has no place for it.

    Args:
      plane: by flat index.
      site: the site.
      perm: axis order of the site's layout, if it is not that of the tensor.
    """
    if plane.shape[0] < site.size:
        return plane
    if plane.shape[0] > site.size:
        plane = tf.slice(plane, [0], [site.size])
    plane = tf.reshape(plane, site.shape)
    return tf.transpose(plane, np.argsort(perm)) if perm else plane


def two(rows: tf.Tensor) -> tf.Tensor:
    """Return 2 as no compiler knows it, so that it does not unroll a loop.

    Args:
      rows: prepared faults, see `tpufi.ops.Prepared`.
    """
    return tf.where(tf.equal(rows[0, 0], _NEVER_A_SITE), 3, 2)
