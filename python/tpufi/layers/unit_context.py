# SPDX-License-Identifier: Apache-2.0
"""A broken unit while a program is traced: the operations that it computes.

The layers are those of a clean program. Where a unit may have a part in an operation, a
conditional's branch makes of its result what the unit does. What it did is reported
through the gradient of a probe, as by sites.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA
from tpufi.gate import is_injected
from tpufi.layers.accumulator import accumulator
from tpufi.layers.context import FaultContext, LayerSites, Product, Report
from tpufi.layers.element_faults import Counts, ElementFault, Written, altered
from tpufi.layers.rarely import rarely
from tpufi.layers.reach import same_bits, where_bits
from tpufi.site_table import SiteTable
from tpufi.units import (
    LANES,
    SUBLANES,
    ProcessingElement,
    Unit,
    UnitFault,
    VectorLane,
    built_of,
)

# Operands of sites that are no results.
_GIVEN = frozenset(
    ("input", "weight", "bias", "gate", "gain", "raw_weight", "gradient")
)
_PIECES = 6  # Bytes of a number in a record.


class UnitOperands(NamedTuple):
    """A broken unit as operands of a program; only the key is part of its trace.

    Args:
      key: see `tpufi.units.Unit.key`.
      place: int64 [numbers], see `tpufi.units.Unit.place`.
      bits: uint64 [2], see `tpufi.units.UnitFault.bits`.
      replica: int64 scalar, or -1: all of them.
      moment: int64 [1, fields], see `tpufi.when.MOMENT_FIELDS`.
      step: int64 scalar, steps since the start of training.
    """

    key: tuple[str | int, ...]
    place: tf.Tensor
    bits: tf.Tensor
    replica: tf.Tensor
    moment: tf.Tensor
    step: tf.Tensor

    @classmethod
    def of(cls, fault: UnitFault, dtype: str, step: int) -> "UnitOperands":
        """Return a fault as the operands of one step.

        Args:
          fault: the fault.
          dtype: of the program's tensors.
          step: steps since the start of training.

        Raises:
          InputError: numbers of that type have fewer bits than the fault names.
        """
        unit = fault.unit
        sums = isinstance(unit, ProcessingElement) and unit.register == "accumulator"
        return cls(
            unit.key,
            tf.constant(unit.place, tf.int64),
            tf.constant(fault.bits(accumulator(dtype) if sums else dtype)),
            tf.constant(fault.replica, tf.int64),
            tf.constant(fault.when.moment(fault.first)[None]),
            tf.constant(step, tf.int64),
        )

    def injected(self, replica: tf.Tensor, sites: int) -> tf.Tensor:
        """Return where the unit is broken in this step and replica, bool [sites].

        Args:
          replica: int64 scalar.
          sites: how many operations draw for themselves.
        """
        own = tf.equal(self.replica, EVERY_REPLICA) | tf.equal(self.replica, replica)
        ids = tf.range(sites, dtype=tf.int64)[tf.newaxis]
        return own & is_injected(self.moment, self.step, replica, ids)[0]


@dataclasses.dataclass(frozen=True, eq=False)
class UnitContext(FaultContext):
    """A broken unit in one replica's program, for all layers.

    Args:
      operands: the unit.
      injected: bool [sites + 1], in which operations it is broken; those are known by
        the site of their result, what belongs to no site by the last.
    """

    operands: UnitOperands | None = None
    injected: tf.Tensor | None = None

    @classmethod
    def of_replica(
        cls,
        table: SiteTable,
        replica: tf.Tensor,
        operands: UnitOperands,
        compiled: bool,
    ) -> "UnitContext":
        """Return the context of a replica.

        Args:
          table: sites of the workload.
          replica: int64 scalar.
          operands: the unit.
          compiled: whether XLA compiles the program.
        """
        injected = operands.injected(replica, len(table) + 1)
        how = {"compiled": compiled, "operands": operands, "injected": injected}
        return cls(table, replica, **how)

    @property
    def unit(self) -> Unit:
        """How the machine is built."""
        return built_of(self.operands.key)

    def probe(self) -> tf.Tensor:
        """Return the zeros whose gradient is what the unit did; see `counted`."""
        return tf.zeros([len(Counts._fields), _PIECES])

    def includes(self, name: str) -> bool:
        del name
        return False

    def layer(
        self, name: str, so_far: Sequence[tf.Tensor] = (), input_read: bool = True
    ) -> LayerSites:
        return UnitSites(self, name, so_far, input_read)


def counted(counts: Counts) -> tf.Tensor:
    """Return what a unit did as a record, float32 [2, 6].

    Records of up to 65,536 operations are added exactly: each number is a byte.
    """
    places = tf.range(_PIECES, dtype=tf.int64) * 8
    pieces = tf.bitwise.right_shift(tf.stack(counts)[:, tf.newaxis], places)
    return tf.cast(pieces % 256, tf.float32)


def read_counts(record: np.ndarray) -> np.ndarray:
    """Return a record as numbers, int64 [2]: values that passed, values changed.

    Args:
      record: sum of what `counted` returned.
    """
    return record.astype(np.int64) @ (1 << 8 * np.arange(_PIECES, dtype=np.int64))


class UnitSites(LayerSites):
    """The operations of one layer in a program with a broken unit."""

    _injects = False

    def inject(
        self,
        x: tf.Tensor,
        direction: str,
        operand: str,
        perm: Sequence[int] = (),
        *,
        confines: bool = False,
    ) -> tf.Tensor:
        del perm, confines
        if operand in _GIVEN or not isinstance(self._context.unit, VectorLane):
            return x
        lane, number = self._context.operands, _in_one_lane(x)
        return self._written(x, direction, operand, number, lambda: _of_lane(x, lane))

    def _product(self, product: Product) -> tf.Tensor | None:
        if product.direction == "grad_in" and not self._input_read:
            return None
        unit = self._context.unit
        if product.view is None or not isinstance(unit, ProcessingElement):
            return product.result()
        row, column = tf.unstack(self._context.operands.place)
        element = ElementFault(unit, row, column, self._context.operands.bits)
        if element.is_held:
            first, weight = product.operands.values()
            return product.compute(first, self._held(product, element, weight))
        y = product.result()
        if element.moves:
            return self._moved(product, element, y)
        # Only its sizes are used: a program has nothing of what the view is made of.
        number = element.number(product.view())

        def written() -> Written:
            view = product.view()
            return tf.cond(
                element.touches(view),
                lambda: element.written(view, y),
                lambda: _nothing(y, number),
            )

        return self._written(y, product.direction, "output", number, written)

    def _held(
        self, product: Product, element: ElementFault, weight: tf.Tensor
    ) -> tf.Tensor:
        """Return the weight operand as it is held."""

        def faulty() -> tuple[tf.Tensor, tf.Tensor]:
            view = product.view()
            written = tf.cond(
                element.touches(view),
                lambda: element.held(view, weight),
                lambda: _nothing(weight, element.number(view)),
            )
            return written.into(weight), counted(written.counts)

        return self._reported(weight, product.direction, "output", faulty)

    def _moved(
        self, product: Product, element: ElementFault, y: tf.Tensor
    ) -> tf.Tensor:
        """Return a result with what moves along a row of the array."""

        def faulty() -> tuple[tf.Tensor, tf.Tensor]:
            view = product.view()
            result, counts = tf.cond(
                element.touches(view),
                lambda: element.moved(view, y),
                lambda: (tf.identity(y), Counts.none()),
            )
            return result, counted(counts)

        return self._reported(y, product.direction, "output", faulty)

    def _reported(
        self,
        x: tf.Tensor,
        direction: str,
        operand: str,
        faulty: Callable[[], tuple[tf.Tensor, tf.Tensor]],
    ) -> tf.Tensor:
        """Return a tensor as the unit leaves it, and report what the unit did.

        Args:
          x: the tensor.
          direction: of the site that the operation is known by.
          operand: likewise.
          faulty: makes the tensor and the record of a step in which it is broken.
        """
        y, record = rarely(
            self._broken(direction, operand),
            faulty,
            lambda: (tf.identity(x), self._context.probe()),
        )
        y.set_shape(x.shape)
        self._reports.append(record)
        return y

    def _written(
        self,
        x: tf.Tensor,
        direction: str,
        operand: str,
        number: int,
        written: Callable[[], Written],
    ) -> tf.Tensor:
        """Return a result with the elements that the unit leaves otherwise.

        They are written behind the conditional, where nothing else holds the tensor, so
        that it is not copied.

        Args:
          x: the result.
          direction: of the site that the operation is known by.
          operand: likewise.
          number: of elements.
          written: which they are.
        """

        def faulty() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            found = written()
            return found.index, found.values, counted(found.counts)

        def usual() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            found = _nothing(x, number)
            return found.index, found.values, self._context.probe()

        broken = self._broken(direction, operand)
        index, values, record = rarely(broken, faulty, usual)
        self._reports.append(record)
        return Written(index, values, Counts.none()).into(x)

    def _broken(self, direction: str, operand: str) -> tf.Tensor:
        """Return whether the unit is broken in an operation."""
        table = self._context.table
        return self._context.injected[table.id_of(self._name(direction, operand))]

    def _report(self) -> Report:
        return tf.add_n([self._context.probe(), *self._reports])


def _nothing(x: tf.Tensor, number: int | tf.Tensor) -> Written:
    """Return elements as they are: the first one, some times."""
    first = tf.reshape(tf.slice(x, [0] * x.shape.rank, [1] * x.shape.rank), [])
    index = tf.zeros([number], tf.int64)
    return Written(index, tf.fill([number], first), Counts.none())


def _in_one_lane(x: tf.Tensor) -> int:
    """Return the most elements of a tensor that a vector lane has."""
    return -(-x.shape.num_elements() // (LANES * SUBLANES))


def _of_lane(x: tf.Tensor, operands: UnitOperands) -> Written:
    """Return the elements of one lane as it leaves them."""
    (first,) = tf.unstack(operands.place)
    size, number = x.shape.num_elements(), _in_one_lane(x)
    place = tf.range(number, dtype=tf.int64)
    index = first + place * (LANES * SUBLANES)
    valid = index < size
    index = tf.where(valid, index, tf.where(first < size, first, 0))
    old = tf.gather(tf.reshape(x, [-1]), index)
    new = altered(old, operands.bits)
    differs = tf.cast(~same_bits(old, new) & valid, tf.int64)
    counts = tf.reduce_sum(tf.cast(valid, tf.int64)), tf.reduce_sum(differs)
    return Written(index, where_bits(first < size, new, old), Counts(*counts))
