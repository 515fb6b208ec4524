# SPDX-License-Identifier: Apache-2.0
"""A broken unit while a program is traced: the operations that it computes.

The layers are those of a clean program. Where a unit may have a part in an operation, a
conditional's branch makes of its result what the unit does. What it did is reported
through the gradient of a probe, as by sites.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA
from tpufi.errors import InputError
from tpufi.gate import is_injected
from tpufi.layers.accumulator import accumulator
from tpufi.layers.broken_products import Tally, held, left_by, rarely_altered
from tpufi.layers.context import FaultContext, LayerSites, Product, Report
from tpufi.layers.element_faults import Counts, ElementFault, Written, altered
from tpufi.layers.link_error import transmitted
from tpufi.layers.reach import same_bits, where_bits
from tpufi.site_table import SiteTable
from tpufi.units import (
    LANES,
    SUBLANES,
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    Unit,
    UnitFault,
    VectorLane,
    built_of,
)

# Operands of sites that are no results.
_GIVEN = frozenset(
    ("input", "weight", "bias", "gate", "gain", "raw_weight", "gradient")
)
Tensors = dict[str, tf.Tensor]
Kept = TypeVar("Kept")
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
    def of(
        cls,
        fault: UnitFault,
        dtype: str,
        step: int,
        among: Mapping[str, int] | None = None,
    ) -> "UnitOperands":
        """Return a fault as the operands of one step.

        Args:
          fault: the fault.
          dtype: of the program's tensors.
          step: steps since the start of training.
          among: the sizes of the tensors that a unit with a name may be one of.

        Raises:
          InputError: numbers of that type have fewer bits than the fault names, or
            there is no such tensor or element.
        """
        unit = fault.unit
        place = unit.place
        if isinstance(unit, MemoryAddress | SavedActivation):
            name, *_ = dataclasses.astuple(unit)
            place = (_number_of(name, place[0], among or {}), *place)
        return cls(
            unit.key,
            tf.constant(place, tf.int64),
            tf.constant(bits_of(fault, dtype)),
            tf.constant(fault.replica, tf.int64),
            tf.constant(fault.when.moment(fault.first)[None]),
            tf.constant(step, tf.int64),
        )

    def injected(self, replica: tf.Tensor, sites: tf.Tensor) -> tf.Tensor:
        """Return where the unit is broken in this step and replica, bool [sites].

        Args:
          replica: int64 scalar.
          sites: int64, ids of the operations, each of which draws for itself.
        """
        own = tf.equal(self.replica, EVERY_REPLICA) | tf.equal(self.replica, replica)
        drawn = is_injected(self.moment, self.step, replica, sites[tf.newaxis])
        return own & drawn[0]


def bits_of(fault: UnitFault, dtype: str) -> np.ndarray:
    """Return the bits to keep and those to invert, uint64 [2].

    Args:
      fault: the fault.
      dtype: of a program's tensors, whose sums may be wider.

    Raises:
      InputError: numbers of that type have fewer bits than the fault names.
    """
    unit = fault.unit
    sums = isinstance(unit, ProcessingElement) and unit.register == "accumulator"
    return fault.bits(accumulator(dtype) if sums else dtype)


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
        sites = tf.range(len(table) + 1, dtype=tf.int64)
        injected = operands.injected(replica, sites)
        how = {"compiled": compiled, "operands": operands, "injected": injected}
        return cls(table, replica, **how)

    def read(self, tensors: Tensors) -> tuple[Tensors, tf.Tensor]:
        """Return stored state as its memory leaves it, and what that did.

        Args:
          tensors: all tensors of a state, by name.
        """
        if not isinstance(self.unit, MemoryAddress):
            return tensors, self.probe()
        number, index = tf.unstack(self.operands.place)
        found, all_counts = {}, []
        # One element is written back, as it is or broken: to trace a conditional for
        # each tensor takes longer than most trainings.
        for place, name in enumerate(sorted(tensors)):
            x, broken = tensors[name], self.injected[-1] & tf.equal(number, place)
            at = tf.where(broken, index, 0)[tf.newaxis]
            old = tf.gather(tf.reshape(x, [-1]), at)
            new = where_bits(broken, altered(old, self.operands.bits), old)
            counts = _differing(old, new, broken[tf.newaxis])
            found[name] = Written(at, new, counts).into(x)
            all_counts.append(counts)
        return found, counted(Counts(*map(tf.add_n, zip(*all_counts, strict=True))))

    def kept(self, layer: str, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what a layer kept for its backward pass, and what breaking it did."""
        number, index = tf.unstack(self.operands.place)
        names = self.table.kept()
        if not x.dtype.is_floating or layer not in names:
            return x, self.probe()
        mine = tf.equal(number, sorted(names).index(layer)) & (
            index < tf.size(x, "int64")
        )
        return self._one_element(x, index, self.injected[-1] & mine)

    def sent(self, gradients: Tensors, before: Tensors) -> tuple[Tensors, tf.Tensor]:
        """Return the message of a replica as its link leaves it, and what that did.

        Args:
          gradients: the message, by the names of the parameters.
          before: that of the step before; empty unless the link is stale.
        """
        unit = self.unit
        if not isinstance(unit, Link):
            return gradients, self.probe()
        gradients = dict(sorted(gradients.items()))
        sizes = [x.shape.num_elements() for x in gradients.values()]
        chunk, chunks = tf.unstack(self.operands.place)
        first, end = (sum(sizes) * n // chunks for n in (chunk, chunk + 1))
        found, records, start = {}, [], 0
        for (name, x), size in zip(gradients.items(), sizes, strict=True):

            def faulty(
                name=name, x=x, size=size, start=start
            ) -> tuple[tf.Tensor, tf.Tensor]:
                place = tf.range(size, dtype=tf.int64) + start
                inside = tf.reshape((place >= first) & (place < end), x.shape)
                bits, old = self.operands.bits, before.get(name)
                new = where_bits(inside, transmitted(x, unit, bits, old), x)
                return new, counted(_differing(x, new, inside))

            met = self.injected[-1] & (first < start + size) & (end > start)
            found[name], record = rarely_altered(x, met, faulty, _TALLY)
            records.append(record)
            start += size
        return found, tf.add_n(records)

    def _one_element(
        self, x: tf.Tensor, index: tf.Tensor, broken: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return a tensor with an element as the unit leaves it, and the record."""

        def faulty() -> tuple[tf.Tensor, tf.Tensor]:
            old = tf.gather(tf.reshape(x, [-1]), index[tf.newaxis])
            new = altered(old, self.operands.bits)
            counts = _differing(old, new, tf.ones([1], tf.bool))
            return Written(index[tf.newaxis], new, counts).into(x), counted(counts)

        return rarely_altered(x, broken, faulty, _TALLY)

    @property
    def unit(self) -> Unit:
        """How the machine is built."""
        return built_of(self.operands.key)

    def probe(self) -> tf.Tensor:
        """Return the zeros whose gradient is what the unit did; see `counted`."""
        return unit_probe()

    def includes(self, name: str) -> bool:
        del name
        return False

    def layer(
        self, name: str, so_far: Sequence[tf.Tensor] = (), input_read: bool = True
    ) -> LayerSites:
        return UnitSites(self, name, so_far, input_read)


def _number_of(name: str, index: int, sizes: Mapping[str, int]) -> int:
    """Return the place of a tensor among others that has an element."""
    if name not in sizes:
        near = difflib.get_close_matches(name, sizes, n=3, cutoff=0.3)
        raise InputError(
            f"unit: there is no {name!r} here; nearest of the {len(sizes)} there are: "
            f"{', '.join(near) or 'none'}"
        )
    if index >= sizes[name]:
        raise InputError(
            f"unit: element {index} lies outside {name} of {sizes[name]} elements; "
            f"choose 0 to {sizes[name] - 1}"
        )
    return sorted(sizes).index(name)


def unit_probe() -> tf.Tensor:
    """Return an empty record, see `counted`."""
    return tf.zeros([len(Counts._fields), _PIECES])


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


_TALLY = Tally(counted, unit_probe)


class UnitSites(LayerSites):
    """The operations of one layer in a program with a broken unit."""

    _injects = False

    def kept(self, saved: Kept) -> Kept:
        if not isinstance(self._context.unit, SavedActivation):
            return saved
        leaves = tf.nest.flatten(saved)
        for place, leaf in enumerate(leaves):
            if tf.is_tensor(leaf):
                leaves[place], record = self._context.kept(self._layer, leaf)
                self._reports.append(record)
                break
        return tf.nest.pack_sequence_as(saved, leaves)

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
        broken = self._broken(direction, operand)
        found = _of_lane(x, self._context.operands, broken)
        self._reports.append(counted(found.counts))
        return found.into(x)

    def _product(self, product: Product) -> tf.Tensor | None:
        if product.direction == "grad_in" and not self._input_read:
            return None
        unit = self._context.unit
        if product.view is None or not isinstance(unit, ProcessingElement):
            return product.result()
        row, column = tf.unstack(self._context.operands.place)
        element = ElementFault(unit, row, column, self._context.operands.bits)
        how = self._broken(product.direction, "output"), _TALLY
        if element.is_held:
            first, weight = product.operands.values()
            weight, report = held(element, product.view, weight, *how)
            y = product.compute(first, weight)
        else:
            y, report = left_by(element, product.view, product.result(), *how)
        self._reports.append(report)
        return y

    def _broken(self, direction: str, operand: str) -> tf.Tensor:
        """Return whether the unit is broken in an operation."""
        table = self._context.table
        return self._context.injected[table.id_of(self._name(direction, operand))]

    def _report(self) -> Report:
        return tf.add_n([self._context.probe(), *self._reports])


def operations_of(unit: Unit, table: SiteTable) -> Sequence[int]:
    """Return the operations that may draw whether a unit is broken, by their ids.

    Args:
      unit: the unit.
      table: sites of the workload.
    """
    ids = range(len(table))
    if isinstance(unit, ProcessingElement):
        return [i for i in ids if table[i].operand == "output"]
    if isinstance(unit, VectorLane):
        return [i for i in ids if table[i].operand not in _GIVEN]
    return [len(table)]


def _differing(old: tf.Tensor, new: tf.Tensor, met: tf.Tensor) -> Counts:
    """Return how many values passed through a unit, and changed."""
    each = met, met & ~same_bits(old, new)
    return Counts(*(tf.reduce_sum(tf.cast(one, tf.int64)) for one in each))


def _of_lane(x: tf.Tensor, operands: UnitOperands, broken: tf.Tensor) -> Written:
    """Return the elements of one lane as it leaves them.

    They are so few that no conditional is needed for a lane that is whole.

    Args:
      x: results.
      operands: the lane.
      broken: bool scalar.
    """
    (first,) = tf.unstack(operands.place)
    size = x.shape.num_elements()
    place = tf.range(-(-size // (LANES * SUBLANES)), dtype=tf.int64)
    index = first + place * (LANES * SUBLANES)
    valid = broken & (index < size)
    # What lies outside is the first one again, or stays as it is.
    index = tf.where(index < size, index, tf.where(first < size, first, 0))
    old = tf.gather(tf.reshape(x, [-1]), index)
    new = where_bits(broken & (first < size), altered(old, operands.bits), old)
    return Written(index, new, _differing(old, new, valid))
