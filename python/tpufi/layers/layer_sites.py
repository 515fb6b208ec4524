# SPDX-License-Identifier: Apache-2.0
"""Where layers meet faults: the sites of one layer while a program is traced.

A layer passes each operand and result through `strike`. What was injected is reported
through the gradient of a `probe`: an all-zero tensor that every layer takes as an input
and whose gradient is the layer's record. The tape adds the records of all layers, so a
backward pass reports faults without state, host callbacks or extra outputs.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from tpufi.layers.rarely import rarely
from tpufi.layers.reach import same_bits, where_reached
from tpufi.ops import Noted, inject_fault, inject_prepared

if TYPE_CHECKING:
    from tpufi.layers.hooks import Hooks

Strike = Callable[..., tf.Tensor]
# What sites report: a record; or its halves, where only a step with a fault gets to.
Report = tf.Tensor | Noted


class LayerSites:
    """The sites of one layer during its forward or its backward pass.

    Args:
      hooks: the fault operands.
      layer: layer name.
      so_far: the record of other layers, to which the sites add; none: of no layer.
      input_read: whether anything depends on the gradient of the layer's input.
    """

    def __init__(
        self,
        hooks: "Hooks",
        layer: str,
        so_far: Sequence[Report] = (),
        input_read: bool = True,
    ):
        self._hooks = hooks
        self._layer = layer
        self._input_read = input_read
        self._reports = list(so_far)

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
        site_id = table.id_of(self._name(direction, operand))
        site = table[site_id]
        shape = tuple(x.shape[axis] for axis in perm) if perm else tuple(x.shape)
        if shape != site.shape or x.dtype.name != site.dtype:
            raise ValueError(
                f"site {site.name} is declared as {site.dtype} {site.shape} but the "
                f"program has {x.dtype.name} {shape}"
            )
        hooks, how = self._hooks, {"perm": tuple(perm), "confines": confines}
        if hooks.prepared:
            so_far = self._report()
            y, now = inject_prepared(x, site_id, hooks.prepared, so_far, **how)
            self._reports = [now]
        else:
            operands = hooks.replica, hooks.faults, hooks.words
            y, record = inject_fault(x, site_id, *operands, **how)
            self._reports.append(record)
        return y

    def product(
        self,
        direction: str,
        compute: Callable[..., tf.Tensor],
        operands: Mapping[str, tf.Tensor],
        perms: Mapping[str, Sequence[int]] | None = None,
        *,
        reference: Callable[[Strike], tf.Tensor] | None = None,
        perm: Sequence[int] = (),
    ) -> tf.Tensor:
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
            stands for `strike`.
          perm: axis order of the result's layout, if it is not that of the result.
        """
        perms = perms or {}

        def again(strike: Strike) -> tf.Tensor:
            return compute(
                *(
                    strike(x, direction, name, perms.get(name, ()))
                    for name, x in operands.items()
                )
            )

        names = tuple(operands)

        def whole(sites: "LayerSites") -> tf.Tensor:
            y = compute(*operands.values())
            return sites._with_faults(y, direction, names, reference or again, perm)

        if direction != "grad_in" or self._input_read:
            return whole(self)
        return self._only_for_faults(direction, (*names, "output"), whole)

    def if_struck(
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
        if not self._includes(direction, operand):
            return same
        if self._hooks.compiled:
            return changed()
        test = self._any_named(direction, [operand])
        y = rarely(test, changed, lambda: tf.identity(same))
        y.set_shape(same.shape)
        return y

    def record(self) -> tf.Tensor:
        """Return the sum of what the sites reported so far."""
        report = self._report()
        return report.record() if isinstance(report, Noted) else report

    def records(self) -> tuple[tf.Tensor, ...]:
        """Return the record; nothing in a clean program."""
        return () if self._hooks.table is None else (self.record(),)

    def _only_for_faults(
        self,
        direction: str,
        operands: Sequence[str],
        compute: Callable[["LayerSites"], tf.Tensor],
    ) -> tf.Tensor | None:
        """Return a gradient that nothing reads: None, or what reports its faults.

        Nothing depends on the gradient of a model's examples. It is computed for the
        faults that name it, which are reported like any other.
        """
        present = [o for o in operands if self._includes(direction, o)]
        if not present:
            return None

        so_far = self._report()

        def faulty() -> tf.Tensor:
            inner = self._rare(self._hooks)
            # The result itself would be pruned from the program; the record stays.
            compute(inner)
            return so_far + inner.record()

        test = self._any_named(direction, present)
        self._reports = [rarely(test, faulty, lambda: tf.identity(so_far))]
        return None

    def _with_faults(
        self,
        result: tf.Tensor,
        direction: str,
        operands: Sequence[str],
        again: Callable[[Strike], tf.Tensor],
        perm: Sequence[int],
    ) -> tf.Tensor:
        """Return `result` as the faults of its operands and its own leave it."""
        present = [o for o in (*operands, "output") if self._includes(direction, o)]
        if not present:
            return result

        def injected(inner: "LayerSites") -> tf.Tensor:
            y = inner._with_operand_faults(result, direction, operands, again, perm)
            return inner.strike(y, direction, "output", perm)

        if self._hooks.rare:
            return injected(self)
        so_far = self._report()

        def faulty() -> tuple[tf.Tensor, tf.Tensor]:
            inner = self._rare(self._hooks)
            return injected(inner), so_far + inner.record()

        def golden() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.identity(result), tf.identity(so_far)

        y, now = rarely(self._any_named(direction, present), faulty, golden)
        y.set_shape(result.shape)
        self._reports = [now]
        return y

    def _with_operand_faults(
        self,
        result: tf.Tensor,
        direction: str,
        operands: Sequence[str],
        again: Callable[[Strike], tf.Tensor],
        perm: Sequence[int],
    ) -> tf.Tensor:
        """Return `result` as the faults of its operands leave it."""
        present = [o for o in operands if self._includes(direction, o)]
        if not present:
            return result
        named = self._named(direction, present)
        # Twice the same code, first disarmed: a compiler that saw two computations
        # would fuse each in its own way, and round so. It must not unroll the loop
        # either, so that the count is no constant.
        count = 2 * tf.cast(tf.reduce_any(named), tf.int32)

        def body(time: tf.Tensor, _: tf.Tensor, last: tf.Tensor, so_far: Report):
            inner = self._rare(self._hooks.without(tf.equal(time, 0)), so_far)
            y = again(functools.partial(inner.strike, confines=True))
            y.set_shape(result.shape)
            return time + 1, last, y, inner._report()

        first = tf.constant(0), result, result, self._report()
        _, golden, y, now = tf.while_loop(
            lambda time, *_: time < count, body, first, parallel_iterations=1
        )
        self._reports = [now]
        y = tf.where(same_bits(golden, y), result, y)
        return where_reached(self._hooks.reaches(), named, y, result, perm)

    def _report(self) -> Report:
        """Return the sum of what the sites reported so far, as they report."""
        if self._reports:
            return tf.nest.map_structure(lambda *all: tf.add_n(all), *self._reports)
        prepared = self._hooks.prepared
        if self._hooks.rare and prepared:
            return prepared.nothing_noted()
        return self._hooks.probe()

    def _rare(self, hooks: "Hooks", *so_far: Report) -> "LayerSites":
        """Return the sites of a branch that only a step with a fault takes."""
        return LayerSites(dataclasses.replace(hooks, rare=True), self._layer, so_far)

    def _name(self, direction: str, operand: str) -> str:
        return f"{self._layer}/{direction}/{operand}"

    def _includes(self, direction: str, operand: str) -> bool:
        return self._hooks.includes(self._name(direction, operand))

    def _named(self, direction: str, operands: Sequence[str]) -> tf.Tensor:
        """Return which rows name one of these operands here, bool [rows]."""
        table = self._hooks.table
        ids = [table.id_of(self._name(direction, operand)) for operand in operands]
        return self._hooks.named(ids)

    def _any_named(self, direction: str, operands: Sequence[str]) -> tf.Tensor:
        return tf.reduce_any(self._named(direction, operands))
