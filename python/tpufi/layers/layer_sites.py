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

from tpufi.descriptor import DRAWN, FIELDS
from tpufi.layers.rarely import rarely
from tpufi.layers.reach import naming, same_bits, where_reached
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
        y, record = inject_fault(
            x,
            site_id,
            self._hooks.replica,
            self._hooks.faults,
            self._hooks.words,
            perm=tuple(perm),
            confines=confines,
            operations=DRAWN if self._hooks.drawn else (),
            noted=self._hooks.noted,
        )
        self._records.append(record)
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
        one of them, a conditional's branch computes it again, with and without the
        fault; where both agree, bitwise, the result stays, so that every difference is
        the fault's doing. A fault in an operand may be confined to some results: the
        others stay, as if they had been computed before or elsewhere.

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

        def whole(sites: "LayerSites") -> tf.Tensor:
            y = compute(*operands.values())
            y = sites._with_operand_faults(
                y, direction, tuple(operands), reference or again, perm
            )
            return sites.strike(y, direction, "output", perm)

        if direction != "grad_in" or self._input_read:
            return whole(self)
        return self._only_for_faults(direction, (*operands, "output"), whole)

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
        test = tf.reduce_any(self._named(direction, [operand]))
        y = rarely(test, changed, lambda: tf.identity(same))
        y.set_shape(same.shape)
        return y

    def record(self) -> tf.Tensor:
        """Return the sum of what the sites reported so far."""
        if not self._records:
            return self._hooks.probe()
        return tf.add_n(self._records)

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

        def faulty() -> tf.Tensor:
            inner = self._hooks.layer(self._layer)
            # The result itself would be pruned from the program, and the record stays.
            compute(inner)
            return inner.record()

        test = tf.reduce_any(self._named(direction, present))
        self._records.append(rarely(test, faulty, self._hooks.probe))
        return None

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
        faults = self._hooks.faults
        named = self._named(direction, present)
        test = tf.reduce_any(named)

        def faulty() -> tuple[tf.Tensor, tf.Tensor]:
            # Twice the same code, first disarmed: a compiler that saw two computations
            # would fuse each in its own way, and round so. It must not unroll the loop
            # either, so that the count is no constant.
            count = 1 + tf.cast(test, tf.int32)
            nowhere = tf.concat(
                [-tf.ones_like(faults[:, : _SITE + 1]), faults[:, _SITE + 1 :]], 1
            )

            def body(time: tf.Tensor, _: tf.Tensor, last: tf.Tensor, __: tf.Tensor):
                mine = tf.where(tf.equal(time, 0), nowhere, faults)
                hooks = dataclasses.replace(self._hooks, faults=mine)
                inner = LayerSites(hooks, self._layer)
                y = again(functools.partial(inner.strike, confines=True))
                y.set_shape(result.shape)
                return time + 1, last, y, inner.record()

            first = tf.constant(0), result, result, self._hooks.probe()
            _, golden, y, record = tf.while_loop(
                lambda time, *_: time < count, body, first, parallel_iterations=1
            )
            y = tf.where(same_bits(golden, y), result, y)
            return where_reached(faults, named, y, result, perm), record

        def golden() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.identity(result), self._hooks.probe()

        y, record = rarely(test, faulty, golden)
        y.set_shape(result.shape)
        self._records.append(record)
        return y

    def _name(self, direction: str, operand: str) -> str:
        return f"{self._layer}/{direction}/{operand}"

    def _includes(self, direction: str, operand: str) -> bool:
        return self._hooks.includes(self._name(direction, operand))

    def _named(self, direction: str, operands: Sequence[str]) -> tf.Tensor:
        """Return which rows name one of these operands here, bool [rows]."""
        table = self._hooks.table
        ids = [table.id_of(self._name(direction, operand)) for operand in operands]
        return naming(self._hooks.faults, self._hooks.replica, ids)
