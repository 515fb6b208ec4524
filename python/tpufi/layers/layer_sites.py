# SPDX-License-Identifier: Apache-2.0
"""Where layers meet faults: the sites of one layer while a program is traced.

A layer passes each operand and result through `strike`. What was struck is reported
through the gradient of a `probe`: an all-zero tensor that every layer takes as an input
and whose gradient is the layer's record. The tape adds the records of all layers, so a
backward pass reports faults without state, host callbacks or extra outputs.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tpufi.descriptor import FIELDS
from tpufi.layers.layout import Layout, whole
from tpufi.layers.lowering import BRANCH, LEAN
from tpufi.layers.rarely import rarely
from tpufi.layers.reach import changed_if, naming, same_bits, where_reached
from tpufi.ops import inject_fault

if TYPE_CHECKING:
    from tpufi.layers.hooks import Hooks

Strike = Callable[..., tf.Tensor]
_SITE = FIELDS.index("site")


class LayerSites:
    """The sites of one layer during its forward or its backward pass.

    Args:
      hooks: the fault operands.
      layer: layer name.
      input_read: whether anything depends on the gradient of the layer's input.
    """

    def __init__(self, hooks: "Hooks", layer: str, input_read: bool = True):
        self._hooks = hooks
        self._layer = layer
        self._input_read = input_read
        self._records: list[tf.Tensor] = []
        self._stored: list[tuple[str, str]] = []

    def strike(
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
        table = self._hooks.table
        site_id = table.id_of(f"{self._layer}/{direction}/{operand}")
        site = table[site_id]
        shape = tuple(x.shape[axis] for axis in perm) if perm else tuple(x.shape)
        if shape != site.shape or x.dtype.name != site.dtype:
            raise ValueError(
                f"site {site.name} is declared as {site.dtype} {site.shape} but the "
                f"program has {x.dtype.name} {shape}"
            )
        if self._hooks.lowering == LEAN:
            return self._hooks.aims.strike(x, site_id, whole(x.shape, perm))
        y, record = inject_fault(
            x,
            site_id,
            self._hooks.replica,
            self._hooks.faults,
            self._hooks.words,
            perm=tuple(perm),
            lowering=self._hooks.lowering,
            confines=confines,
        )
        self._records.append(record)
        return y

    def strike_stored(
        self, x: tf.Tensor, direction: str, operand: str, layout: Layout
    ) -> tf.Tensor:
        """Return the library's operand as faults of a textbook operand leave it.

        The textbook operand has all elements of `x`, and zeros between and around
        them. Only lean programs do this; in others it returns `x`, and
        `redo_if_struck` builds the textbook operand.

        Args:
          x: the operand of the library kernel.
          direction: see `tpufi.site_table.Site`.
          operand: see `tpufi.site_table.Site`.
          layout: where the elements of `x` stand in the textbook operand.
        """
        if self._hooks.lowering != LEAN or not self._includes(direction, operand):
            return x
        site_id = self._hooks.table.id_of(f"{self._layer}/{direction}/{operand}")
        self._stored.append((direction, operand))
        return self._hooks.aims.strike(x, site_id, layout)

    def product(
        self,
        direction: str,
        compute: Callable[..., tf.Tensor],
        operands: Mapping[str, tf.Tensor],
        perms: Mapping[str, Sequence[int]] | None = None,
    ) -> tf.Tensor:
        """Return the struck result of an `operation`; its site is `output`."""
        y = self.operation(direction, compute, operands, perms)
        return self.strike(y, direction, "output")

    def operation(
        self,
        direction: str,
        compute: Callable[..., tf.Tensor],
        operands: Mapping[str, tf.Tensor],
        perms: Mapping[str, Sequence[int]] | None = None,
    ) -> tf.Tensor:
        """Return what an operation makes of its operands as faults leave them.

        A fault in an operand may be confined to some results: only these see the
        struck operand, as if the others had been computed before or elsewhere.

        Args:
          direction: see `tpufi.site_table.Site`.
          compute: the operation, called with the operands in order.
          operands: by name of their sites.
          perms: axis order of an operand's layout, if it is not that of the tensor.
        """
        perms = perms or {}
        struck = [
            self.strike(x, direction, name, perms.get(name, ()), confines=True)
            for name, x in operands.items()
        ]
        y = compute(*struck)
        if self._hooks.branches:
            named = self._named(direction, operands)
            y = where_reached(
                self._hooks.faults, named, y, lambda: compute(*operands.values())
            )
        return y

    def if_struck(
        self,
        direction: str,
        operand: str,
        changed: Callable[[], tf.Tensor],
        same: tf.Tensor,
    ) -> tf.Tensor:
        """Return `changed()`, or `same` where a program can tell that both are equal.

        Args:
          direction: see `tpufi.site_table.Site`.
          operand: the operand whose faults are the only difference.
          changed: computes the result from the struck operand.
          same: the result from the operand without the fault.
        """
        if not self._includes(direction, operand):
            return same
        if self._hooks.lowering != BRANCH:
            return changed()
        return changed_if(
            tf.reduce_any(self._named(direction, [operand])), changed, same
        )

    def input_gradient(
        self,
        operands: Sequence[str],
        compute: Callable[["LayerSites"], tf.Tensor],
        like: tf.Tensor,
    ) -> tf.Tensor:
        """Return the gradient of the layer's input; zeros if nothing depends on it.

        Nothing depends on the gradient of a model's examples. It is computed for the
        faults that strike it, which are reported like any other.

        Args:
          operands: names of all sites of direction `grad_in`.
          compute: computes it with the sites that it is given.
          like: the input.
        """
        if self._input_read or not self._hooks.branches:
            return compute(self)

        def struck() -> tuple[tf.Tensor, tf.Tensor]:
            inner = self._hooks.layer(self._layer)
            return compute(inner), inner.record()

        def spared() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.zeros_like(like), tf.zeros(self._hooks.record_shape)

        test = tf.reduce_any(self._named("grad_in", operands))
        dx, record = rarely(test, struck, spared)
        self._records.append(record)
        return dx

    def redo_if_struck(
        self,
        result: tf.Tensor,
        direction: str,
        operands: Sequence[str],
        redo: Callable[..., tf.Tensor],
        perm: Sequence[int] = (),
        shared: Callable[[], tuple[tf.Tensor, ...]] = tuple,
    ) -> tf.Tensor:
        """Recompute `result` from its textbook operands if a fault strikes one.

        The textbook form of a result may have operands that the library kernel never
        builds (a gradient dilated with zeros). It is computed only if a fault names
        one of them, with and without the fault; where both agree, bit for bit, the
        library's result stays, so every difference is the fault's doing.

        Args:
          result: what the library kernel computed.
          direction: direction of the operands.
          operands: their names.
          redo: computes the textbook result; its first argument stands for `strike`.
          perm: axis order of the result's layout, if it is not that of `result`.
          shared: computes the other arguments of `redo`, which is called twice.
        """
        present = [o for o in operands if self._includes(direction, o)]
        if self._hooks.lowering == LEAN:
            missing = [o for o in present if (direction, o) not in self._stored]
            if missing:
                raise ValueError(
                    f"{self._layer}/{direction}/{missing[0]} has no lean site; take "
                    "lowering 'select'"
                )
            return result
        if not present:
            return result
        named = self._named(direction, operands)

        def textbook() -> tuple[tf.Tensor, tf.Tensor]:
            inner = LayerSites(self._hooks, self._layer)
            given = shared()
            faulty = redo(functools.partial(inner.strike, confines=True), *given)
            # The twin without the fault passes the same ops, disarmed at run time: a
            # compiler that could tell would compile it in another way, and round so.
            site = self._hooks.faults[:, _SITE]
            nowhere = tf.where(tf.reduce_any(named), -tf.ones_like(site), site)
            disarmed = tf.concat([nowhere[:, None], self._hooks.faults[:, 1:]], 1)
            hooks = dataclasses.replace(self._hooks, faults=disarmed)
            twin = LayerSites(hooks, self._layer)
            golden = redo(functools.partial(twin.strike, confines=True), *given)
            y = tf.where(same_bits(golden, faulty), result, faulty)
            if self._hooks.lowering == BRANCH:
                y = where_reached(self._hooks.faults, named, y, lambda: result, perm)
            return y, inner.record()

        def library() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.identity(result), tf.zeros(self._hooks.record_shape)

        y, record = rarely(tf.reduce_any(named), textbook, library)
        y.set_shape(result.shape)
        self._records.append(record)
        return y

    def _includes(self, direction: str, operand: str) -> bool:
        return self._hooks.includes(f"{self._layer}/{direction}/{operand}")

    def _named(self, direction: str, operands: Sequence[str]) -> tf.Tensor:
        """Return which rows strike one of these operands here, bool [rows]."""
        ids = [
            self._hooks.table.id_of(f"{self._layer}/{direction}/{operand}")
            for operand in operands
        ]
        return naming(self._hooks.faults, self._hooks.replica, ids)

    def record(self) -> tf.Tensor:
        """Return the sum of what the sites reported so far."""
        if not self._records:
            return tf.zeros(self._hooks.record_shape)
        return tf.add_n(self._records)
