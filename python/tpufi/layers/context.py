# SPDX-License-Identifier: Apache-2.0
"""Where layers meet faults: the sites of one layer while a program is traced.

A layer passes each operand and result through `inject`. What was injected is reported
through the gradient of a `probe`: an all-zero tensor that every layer takes as an input
and whose gradient is the layer's record. The tape adds the records of all layers, so a
backward pass reports faults without state, host callbacks or extra outputs.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple, TypeVar

import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA, FIELDS, reaches, record_shape
from tpufi.layers.matrix_view import MatrixView
from tpufi.layers.rarely import rarely
from tpufi.layers.reach import naming, same_bits, where_bits, where_reached
from tpufi.layers.seen import Seen
from tpufi.ops import inject_fault
from tpufi.site_table import Site, SiteTable

Inject = Callable[..., tf.Tensor]
# What sites report: a record; or, where only a step with a fault gets to, what it saw.
Report = tf.Tensor | Seen
Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, eq=False)
class FaultContext:
    """The run-time fault operands of one replica's program, for all layers.

    Args:
      table: sites of the workload; None: a clean program, without any.
      replica: int64 scalar.
      faults: int64 [rows, 21]; see `tpufi.descriptor`.
      words: uint64 [rows, capacity].
      names: the sites that are in the program; None: all of the table.
      compiled: whether XLA compiles the program.
    """

    table: SiteTable | None
    replica: tf.Tensor | None = None
    faults: tf.Tensor | None = None
    words: tf.Tensor | None = None
    names: Set[str] | None = None
    compiled: bool = False

    def probe(self) -> tf.Tensor | None:
        """Return the zeros whose gradient is the record; None in a clean program."""
        if self.table is None:
            return None
        return tf.zeros(record_shape(self.words, self.noted))

    @property
    def noted(self) -> int:
        """Most golden bits of a record; -1: as many as there are words."""
        return -1

    @property
    def hands_on(self) -> bool:
        """Whether each layer adds to the record of the layers before it."""
        return False

    def includes(self, name: str) -> bool:
        """Whether the site called `name` is in the program."""
        if self.table is None:
            return False
        return self.names is None or name in self.names

    def named(self, ids: Sequence[int]) -> tf.Tensor:
        """Return which rows name one of some sites on this replica, bool [rows].

        Args:
          ids: the sites.
        """
        return naming(self.faults[:, FIELDS.index("site")], ids) & self.here()

    def without(self, rows: tf.Tensor) -> "FaultContext":
        """Return the same without some rows: they name no site.

        Args:
          rows: bool [rows, 1], or a scalar for all of them.
        """
        faults = tf.where(rows, -tf.ones_like(self.faults), self.faults)
        return dataclasses.replace(self, faults=faults)

    def reaches(self) -> tf.Tensor:
        """Return which results the rows are confined to; see `tpufi.layers.reach`."""
        return reaches(self.faults)

    def here(self) -> tf.Tensor:
        """Return which rows name this replica, bool [rows]."""
        target = self.faults[:, FIELDS.index("replica")]
        return tf.equal(target, EVERY_REPLICA) | tf.equal(target, self.replica)

    def layer(
        self, name: str, so_far: Sequence[tf.Tensor] = (), input_read: bool = True
    ) -> "LayerSites":
        """Return the sites of the layer called `name`.

        Args:
          name: layer name.
          so_far: the record of other layers, to which the sites add; none: of no layer.
          input_read: whether anything depends on the gradient of the layer's input.
        """
        return LayerSites(self, name, so_far, input_read)


CLEAN = FaultContext(None)


class Product(NamedTuple):
    """An operation whose operands and result are sites; see `LayerSites.product`."""

    direction: str
    compute: Callable[..., tf.Tensor]
    operands: Mapping[str, tf.Tensor]
    perms: Mapping[str, Sequence[int]] | None
    reference: Callable[[Inject], tf.Tensor] | None
    perm: Sequence[int]
    view: Callable[[], MatrixView] | None = None

    def result(self) -> tf.Tensor:
        """Compute the operation from the operands as they are."""
        return self.compute(*self.operands.values())

    def again(self, inject: Inject) -> tf.Tensor:
        """Compute it from the operands as `inject` leaves them."""
        if self.reference is not None:
            return self.reference(inject)
        perms = self.perms or {}
        return self.compute(
            *(
                inject(x, self.direction, name, perms.get(name, ()))
                for name, x in self.operands.items()
            )
        )


class LayerSites:
    """The sites of one layer during its forward or its backward pass.

    Args:
      context: the fault operands.
      layer: layer name.
      so_far: the record of other layers, to which the sites add; none: of no layer.
      input_read: whether anything depends on the gradient of the layer's input.
    """

    _injects = True

    def __init__(
        self,
        context: "FaultContext",
        layer: str,
        so_far: Sequence[Report] = (),
        input_read: bool = True,
    ):
        self._context = context
        self._layer = layer
        self._input_read = input_read
        self._reports = list(so_far)

    def whole_pass(self, compute: Callable[..., Made], *inputs: object) -> Made:
        """Return what a pass of the layer makes, with its faults.

        Args:
          compute: the pass, called with its sites and the inputs.
          *inputs: tensors, or nests of them.
        """
        return compute(self, *inputs)

    def inject(
        self,
        x: tf.Tensor,
        direction: str,
        operand: str,
        perm: Sequence[int] = (),
        *,
        confines: bool = False,
    ) -> tf.Tensor:
        """Return `x` as the faults of this site leave it.

        Args:
          x: the tensor.
          direction: see `tpufi.site_table.Site`.
          operand: see `tpufi.site_table.Site`.
          perm: axis order of the site's layout, if it is not that of `x`.
          confines: whether the caller sees to the reach of faults (decision 0012).
        """
        if not self._includes(direction, operand):
            return x
        site = self._site_of(x, direction, operand, perm)
        return self._injected(x, site, perm, confines)

    def product(
        self,
        direction: str,
        compute: Callable[..., tf.Tensor],
        operands: Mapping[str, tf.Tensor],
        perms: Mapping[str, Sequence[int]] | None = None,
        *,
        reference: Callable[[Inject], tf.Tensor] | None = None,
        perm: Sequence[int] = (),
        view: Callable[[], MatrixView] | None = None,
    ) -> tf.Tensor | None:
        """Return the result of an operation, with the faults of operands and result.

        The operation is computed from the operands as they are. Only if a fault names
        one of them or the result, a conditional's branch injects it. For an operand it
        computes the operation again, with and without the fault; where both agree,
        bitwise, the result stays, so that every difference is the fault's doing. A
        fault in an operand may be confined to some results: the others stay, as if they
        had been computed before or elsewhere.

        Args:
          direction: see `tpufi.site_table.Site`.
          compute: the operation, called with the operands in order.
          operands: by name of their sites.
          perms: axis order of an operand's layout, if it is not that of the tensor.
          reference: computes the result from its reference operands, if the library's
            kernel never builds them (a gradient dilated with zeros); its argument
            stands for `inject`.
          perm: axis order of the result's layout, if it is not that of the result.
          view: returns the operation as a matrix unit computes it; None: none does.

        Returns:
          The result; None of a gradient of the input that nothing reads.
        """
        return self._product(
            Product(direction, compute, operands, perms, reference, perm, view)
        )

    def kept(self, saved: Made) -> Made:
        """Return what the forward pass kept as the backward pass reads it."""
        return saved

    def if_injected(
        self,
        direction: str,
        operand: str,
        changed: Callable[[], tf.Tensor],
        same: tf.Tensor,
    ) -> tf.Tensor:
        """Return `changed()`, or `same` where a program can tell that both are equal.

        TensorFlow's executor computes both; what XLA fuses costs nothing, and there it
        is always `changed()`.

        Args:
          direction: see `tpufi.site_table.Site`.
          operand: the operand whose faults are the only difference.
          changed: computes the result from the faulty operand.
          same: the result from the operand without the fault.
        """
        if not self._injects or not self._includes(direction, operand):
            return same
        if self._context.compiled:
            return changed()
        test = self._any_named(self._names(direction, [operand]))
        y = rarely(test, changed, lambda: tf.identity(same))
        y.set_shape(same.shape)
        return y

    def records(self) -> tuple[tf.Tensor, ...]:
        """Return the sum of what the sites reported; nothing in a clean program."""
        return () if self._context.table is None else (self._report(),)

    def _injected(
        self, x: tf.Tensor, site: Site, perm: Sequence[int], confines: bool
    ) -> tf.Tensor:
        """Return a tensor as the faults of its site leave it, and report them."""
        context = self._context
        operands = context.replica, context.faults, context.words
        how = {"perm": tuple(perm), "confines": confines}
        y, record = inject_fault(x, context.table.id_of(site.name), *operands, **how)
        self._reports.append(record)
        return y

    def _product(self, product: Product) -> tf.Tensor | None:
        """Return the result of a product, or report its faults if nothing reads it."""
        if product.direction != "grad_in" or self._input_read:
            return self._with_faults(product.result(), product)
        return self._only_for_faults(product)

    def _only_for_faults(self, product: Product) -> None:
        """Report the faults of a gradient that nothing reads.

        Nothing depends on the gradient of a model's examples. It is computed for the
        faults that name it, which are reported like any other.
        """
        present = self._names(product.direction, (*product.operands, "output"))
        if not present:
            return
        so_far = self._report()

        def faulty() -> tf.Tensor:
            inner = self._inner(self._context)
            # The result itself would be pruned from the program; the record stays.
            inner._with_faults(product.result(), product)
            return so_far + inner._report()

        test = self._any_named(present)
        self._reports = [rarely(test, faulty, lambda: tf.identity(so_far))]

    def _with_faults(self, result: tf.Tensor, product: Product) -> tf.Tensor:
        """Return `result` as the faults of its operands and its own leave it."""
        direction, operands = product.direction, tuple(product.operands)
        present = self._names(direction, (*operands, "output"))
        if not present:
            return result
        so_far = self._report()

        def faulty() -> tuple[tf.Tensor, tf.Tensor]:
            inner = self._inner(self._context)
            y = result
            if own := self._names(direction, operands):
                times = 2 * tf.cast(self._any_named(own), tf.int32)
                y = inner._twice(times, result, own, product)
            y = inner.inject(y, direction, "output", product.perm)
            return y, so_far + inner._report()

        def golden() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.identity(result), tf.identity(so_far)

        y, now = rarely(self._any_named(present), faulty, golden)
        y.set_shape(result.shape)
        self._reports = [now]
        return y

    def _twice(
        self,
        times: tf.Tensor,
        clean: tf.Tensor | tf.TensorSpec,
        operands: Sequence[str],
        product: Product,
    ) -> tf.Tensor:
        """Return a result as the faults of its operands leave it.

        It is twice the same code, first disarmed: a compiler that saw two computations
        would fuse each in its own way, and round so. Where both agree, bitwise, the
        result is that of the first, or of the clean computation.

        Args:
          times: 2, or 0 for the clean result; no constant, so that no compiler unrolls
            the loop.
          clean: the result without a fault; or what it is, if the first is wanted.
          operands: names of the operands' sites.
          product: computes the result.
        """
        known = tf.is_tensor(clean)
        reaches, named = self._context.reaches(), self._named(operands)

        def body(time: tf.Tensor, last: tf.Tensor, so_far: Report):
            inner = self._inner(self._context.without(tf.equal(time, 0)), so_far)
            y = product.again(functools.partial(inner.inject, confines=True))
            y.set_shape(clean.shape)
            faulty = where_reached(reaches, named, y, last, product.perm)
            if known:
                faulty = where_bits(same_bits(faulty, last), clean, faulty)
            return time + 1, where_bits(time > 0, faulty, y), inner._report()

        nothing = clean if known else tf.zeros(clean.shape, clean.dtype)
        _, y, now = tf.while_loop(
            lambda time, *_: time < times,
            body,
            (tf.constant(0), nothing, self._report()),
            parallel_iterations=1,
        )
        self._reports = [now]
        return y

    def _report(self) -> Report:
        """Return the sum of what the sites reported so far."""
        return tf.add_n(self._reports) if self._reports else self._context.probe()

    def _inner(self, context: "FaultContext", *so_far: Report) -> "LayerSites":
        """Return the same sites with other faults, reporting on their own."""
        return LayerSites(context, self._layer, so_far)

    def _site_of(
        self, x: tf.Tensor, direction: str, operand: str, perm: Sequence[int]
    ) -> Site:
        """Return the site of a tensor, or raise ValueError if it is declared otherwise.

        A layer that declares other sites than it has is a mistake in its code.
        """
        table = self._context.table
        site = table[table.id_of(self._name(direction, operand))]
        shape = tuple(x.shape[axis] for axis in perm) if perm else tuple(x.shape)
        if shape != site.shape or x.dtype.name != site.dtype:
            raise ValueError(
                f"site {site.name} is declared as {site.dtype} {site.shape} but the "
                f"program has {x.dtype.name} {shape}"
            )
        return site

    def _name(self, direction: str, operand: str) -> str:
        return f"{self._layer}/{direction}/{operand}"

    def _names(self, direction: str, operands: Sequence[str]) -> tuple[str, ...]:
        """Return the names of those sites of operands that are in the program."""
        names = (self._name(direction, operand) for operand in operands)
        return tuple(name for name in names if self._context.includes(name))

    def _includes(self, direction: str, operand: str) -> bool:
        return self._context.includes(self._name(direction, operand))

    def _named(self, names: Sequence[str]) -> tf.Tensor:
        """Return which rows name one of these sites here, bool [rows]."""
        return self._context.named([self._context.table.id_of(name) for name in names])

    def _any_named(self, names: Sequence[str]) -> tf.Tensor:
        return tf.reduce_any(self._named(names))
