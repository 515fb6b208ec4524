# SPDX-License-Identifier: Apache-2.0
"""Faults as TensorFlow operations; the same bits in eager, graph and XLA mode."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi import gradients as _gradients  # noqa: F401  Registers those of the ops.
from tpufi._library import ops as _ops
from tpufi.descriptor import reaches
from tpufi.element import element
from tpufi.errors import InputError
from tpufi.integers import integer
from tpufi.messages import quote
from tpufi.site_table import Site

# Values of the attribute, which saved programs hold, by the names of options.
_GRADIENTS = {
    "straight_through": "straight_through",
    "zero_at_faulty": "zero_at_struck",
    "true": "true",
}

IntLike = int | np.integer | tf.Tensor


def flip_bits(
    x: tf.Tensor,
    start: IntLike,
    count: IntLike,
    mask: IntLike,
    *,
    gradient: str = "straight_through",
    name: str | None = None,
) -> tf.Tensor:
    """Flip bits of a run of elements.

    `y[i] = x[i] xor mask` for `start <= i < start + count`, on the bits; all other
    elements are unchanged, bit for bit. `start`, `count` and `mask` are run-time
    operands: changing tensors never retraces a `tf.function`.

    Args:
      x: tensor of any shape; float32, bfloat16, half, float64,
        float8_e5m2, float8_e4m3fn (of `tf.dtypes.experimental`) or any integer type.
      start: int64 scalar, flat row-major index, 0 <= start <= size - count.
      count: int64 scalar, 0 <= count <= size; 0 changes nothing, for any start.
      mask: unsigned scalar, bits to flip; bit 0 is the least significant.
      gradient: `straight_through`, `zero_at_faulty` or `true` (decision 0003).
      name: name of the operation.

    Returns:
      Tensor like `x`.

    Raises:
      ValueError: a Python number is outside its bound.
      tf.errors.InvalidArgumentError: a tensor is outside its bound (CPU kernel). In a
        compiled program such a fault changes no element.

    Example:
      >>> flip_bits(tf.constant([1.0, 1.0]), 1, 1, 1 << 31).numpy().tolist()
      [1.0, -1.0]
    """
    x = tf.convert_to_tensor(x)
    start, count = _range("flip_bits", x, start, count)
    mask = _unsigned("flip_bits", "mask", mask, element(x.dtype.name).mask)
    kind = gradient_attribute(gradient)
    return _ops.tpufi_flip_bits(x, start, count, mask, gradient=kind, name=name)


def inject_random(
    x: tf.Tensor,
    start: IntLike,
    count: IntLike,
    seed: tuple[int, int] | tf.Tensor,
    *,
    finite: bool | tf.Tensor = True,
    gradient: str = "straight_through",
    name: str | None = None,
) -> tf.Tensor:
    """Replace a run of elements by random bit patterns.

    The pattern of element i depends on `seed` and i only; the host computes the same
    bits with `tpufi.random_patterns`. Sign and mantissa bits are fair. With `finite`
    the exponent is uniform over all values except the one of Inf and NaN.

    Args:
      x: tensor of any shape; see `flip_bits`.
      start: int64 scalar, flat row-major index, 0 <= start <= size - count.
      count: int64 scalar, 0 <= count <= size; 0 changes nothing, for any start.
      seed: two uint32 words.
      finite: bool scalar; False makes all bit patterns equally likely.
      gradient: `straight_through`, `zero_at_faulty` or `true` (decision 0003).
      name: name of the operation.

    Returns:
      Tensor like `x`.

    Raises:
      ValueError: a Python number is outside its bound.
      tf.errors.InvalidArgumentError: see `flip_bits`.

    Source: docs/decisions/0002-random-patterns.md.
    """
    x = tf.convert_to_tensor(x)
    element(x.dtype.name)
    start, count = _range("inject_random", x, start, count)
    if not tf.is_tensor(seed):
        seed = [_bounded("inject_random", "seed word", s, 0xFFFFFFFF) for s in seed]
        if len(seed) != 2:
            raise ValueError(f"inject_random: seed has {len(seed)} words, needs 2")
        seed = tf.constant(seed, tf.uint32)
    kind = gradient_attribute(gradient)
    return _ops.tpufi_inject_random(
        x, start, count, seed, finite, gradient=kind, name=name
    )


def zero_out(
    x: tf.Tensor,
    start: IntLike,
    count: IntLike,
    *,
    gradient: str = "straight_through",
    name: str | None = None,
) -> tf.Tensor:
    """Replace a run of elements by zero.

    Args:
      x: tensor of any shape; see `flip_bits`.
      start: int64 scalar, flat row-major index, 0 <= start <= size - count.
      count: int64 scalar, 0 <= count <= size; 0 changes nothing, for any start.
      gradient: `straight_through`, `zero_at_faulty` or `true` (decision 0003).
      name: name of the operation.

    Returns:
      Tensor like `x`; faulty elements are +0.

    Raises:
      ValueError: a Python number is outside its bound.
      tf.errors.InvalidArgumentError: see `flip_bits`.

    Example:
      >>> zero_out(tf.constant([7, 8, 9]), 1, 2).numpy().tolist()
      [7, 0, 0]
    """
    x = tf.convert_to_tensor(x)
    element(x.dtype.name)
    start, count = _range("zero_out", x, start, count)
    kind = gradient_attribute(gradient)
    return _ops.tpufi_zero_out(x, start, count, gradient=kind, name=name)


def inject_fault(
    x: tf.Tensor,
    site: int,
    replica: IntLike,
    faults: tf.Tensor,
    words: tf.Tensor,
    *,
    perm: tuple[int, ...] = (),
    confines: bool = False,
    record: tf.DType = tf.float32,
    noted: int = -1,
    gradient: str = "straight_through",
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Apply the rows of a fault descriptor that name this site and replica.

    Args:
      x: tensor of any shape; see `flip_bits`.
      site: id of this site; fixed when the program is traced.
      replica: int64 scalar, the replica that runs.
      faults: int64 [rows, 21], see `tpufi.descriptor`.
      words: uint64 [rows, capacity], bits for the faulty elements.
      perm: axis order that positions refer to; view axis j is axis `perm[j]` of `x`.
      confines: whether rows may be confined to some results, which the caller then has
        to see to (decision 0012).
      record: type of the record: float32, which can flow through a gradient, or int64.
      noted: most golden bits of a record; -1: as many as there are words.
      gradient: `straight_through` or `zero_at_faulty` (decision 0003).
      name: name of the operation.

    Returns:
      Tensor like `x`, and the record of the elements that were changed: float32 [rows,
      4, 1 + n] or int64 [rows, 1 + n], n the smaller of capacity and `noted`
      (`tpufi.descriptor.read_record`).

    Raises:
      tf.errors.InvalidArgumentError: a matching row lies outside `x` (CPU kernel). In a
        compiled program such a row changes no element and leaves no record.
    """
    return _ops.tpufi_inject_fault(
        x,
        tf.cast(replica, tf.int64),
        faults,
        words,
        site=site,
        perm=list(perm),
        confines=confines,
        R=record,
        noted=noted,
        gradient=gradient_attribute(gradient),
        name=name,
    )


def gradient_attribute(gradient: str) -> str:
    """Return how the operations call a gradient option.

    Args:
      gradient: `straight_through`, `zero_at_faulty` or `true`.

    Raises:
      InputError: it is none of them.
    """
    if gradient not in _GRADIENTS:
        raise InputError(
            f"gradient {quote(gradient)} is unknown; choose {', '.join(_GRADIENTS)}"
        )
    return _GRADIENTS[gradient]


class Planes(NamedTuple):
    """Which elements of a tensor a fault changes, and how.

    Args:
      changes: bool, which elements change.
      low: uint32 like `changes`, low halves of their words.
      high: uint32 like `changes`, high halves; one number if none has 64 bits.
    """

    changes: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor


class Prepared(NamedTuple):
    """Faults as sites of a compiled program take them.

    Args:
      rows: uint32 [rows, fields]; the first field is the id of the site, the second the
        same but of a row that is confined to some results.
      notes: uint32 [rows, 4 * (1 + noted)]; see `Tpufi>PrepareFaults`.
      changes: bool [rows * elements], which elements change, by flat index.
      low: uint32 [rows * elements], low halves of their words.
      high: uint32 [rows * elements], high halves; [rows] if no site has 64 bits.
      copies: bool [rows], whether the words are flat indices to copy from.
      reaches: int32 [rows, 3], the last fields of the faults.
    """

    rows: tf.Tensor
    notes: tf.Tensor
    changes: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    copies: tf.Tensor
    reaches: tf.Tensor

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.rows.shape[0]

    def naming(self, site: int, confines: bool) -> tf.Tensor:
        """Return which rows name a site, bool [rows].

        Args:
          site: its id.
          confines: see `inject_prepared`.
        """
        named = self.rows[:, 0 if confines else 1]
        return tf.equal(named, tf.constant(site, named.dtype))

    def planes(self, elements: int, wide: bool) -> list[Planes]:
        """Return the planes of each row for sites of at most so many elements.

        Args:
          elements: of the largest site, >= 1.
          wide: whether a site has elements of 64 bits.
        """

        def first(plane: tf.Tensor, row: int, most: int) -> tf.Tensor:
            begin = row * (plane.shape[0] // self.count)
            return plane[begin : begin + most]

        return [
            Planes(
                first(self.changes, row, elements),
                first(self.low, row, elements),
                first(self.high, row, elements if wide else 1),
            )
            for row in range(self.count)
        ]

    def record(
        self, golden: Sequence[Sequence[tf.Tensor]], planes: Sequence[Planes]
    ) -> tf.Tensor:
        """Return the record of rows, float32 [rows, 4, 1 + noted].

        Args:
          golden: for each row the words of the tensor that it names, before the fault,
            by flat index: low halves, uint32 [n], and high halves if it is wide.
          planes: of each row, for as many elements.
        """
        rows = []
        given = tf.unstack(self.rows), tf.unstack(self.notes), golden, planes
        for row, notes, halves, plane in zip(*given, strict=True):
            places, mask, *numbers = tf.split(notes, 4)
            high = halves[1] if len(halves) > 1 else tf.zeros([0], tf.uint32)
            changed = _ops.tpufi_count_triggered(row, plane.changes, halves[0], high)
            numbers[0] = tf.concat([changed[None], numbers[0][1:]], 0)
            quarters = []
            for half, number in itertools.zip_longest(halves, numbers):
                if half is not None:
                    found = tf.gather(half, tf.bitcast(places, tf.int32))
                    number += found & mask
                quarters += [number & 0xFFFF, tf.bitwise.right_shift(number, _HALF)]
            rows.append(tf.stack([tf.cast(one, tf.float32) for one in quarters]))
        return tf.stack(rows)


_HALF = np.uint32(16)


def prepare_faults(
    faults: tf.Tensor, words: tf.Tensor, sites: Sequence[Site], largest: int, noted: int
) -> Prepared:
    """Prepare faults for the sites of a program that XLA compiles.

    What an operation draws is drawn here, once for all sites.

    Args:
      faults: int64 [rows, 21], see `tpufi.descriptor`.
      words: uint64 [rows, any number].
      sites: the sites by id.
      largest: elements of the largest site; a fault in a larger one is void.
      noted: most golden bits of a record, >= 1.
    """
    types = list(dict.fromkeys(site.dtype for site in sites))
    return Prepared(
        *_ops.tpufi_prepare_faults(
            faults,
            words,
            tf.constant([site.size for site in sites], tf.int64),
            tf.constant([types.index(site.dtype) for site in sites], tf.int64),
            largest=largest,
            noted=noted,
            types=[tf.as_dtype(name) for name in types],
        ),
        reaches=tf.cast(tf.clip_by_value(reaches(faults), -1, 2**31 - 1), tf.int32),
    )


def inject_prepared(
    x: tf.Tensor, site: int, row: tf.Tensor, planes: Planes, *, confines: bool = False
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Apply a prepared fault if it names this site; in programs that XLA compiles.

    Args:
      x: tensor of any shape; see `flip_bits`.
      site: id of this site; fixed when the program is traced.
      row: uint32 [fields], of `Prepared`; that for another replica names no site.
      planes: each like `x`; the words of a row that copies are what is copied.
      confines: see `inject_fault`.

    Returns:
      Tensor like `x`; the words that `x` had as halves, like those of `planes`.
    """
    return tuple(
        _ops.tpufi_inject_prepared(x, row, *planes, site=site, confines=confines)
    )


def _range(
    op: str, x: tf.Tensor, start: IntLike, count: IntLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """Check what is known while tracing; the kernels check the rest."""
    size = x.shape.num_elements()
    known = not tf.is_tensor(start) and not tf.is_tensor(count)
    if known and count != 0 and size is not None:
        start = integer(f"{op}: start", start)
        count = integer(f"{op}: count", count)
        if count < 0 or start < 0 or start + count > size:
            raise ValueError(
                f"{op}: start {start} with count {count} is outside the tensor, whose "
                f"flat indices are [0, {size}); choose start >= 0, count >= 0 and "
                f"start + count <= {size} (count 0 is always allowed)"
            )
    return _int64(op, "start", start), _int64(op, "count", count)


def _int64(op: str, what: str, value: IntLike) -> tf.Tensor:
    if tf.is_tensor(value):
        if not value.dtype.is_integer:
            raise TypeError(
                f"{op}: {what} has type {value.dtype.name}; use an integer type"
            )
        return tf.cast(value, tf.int64)
    number = integer(f"{op}: {what}", value)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{op}: {what} {number} does not fit in int64")
    return tf.constant(number, tf.int64)


def _bounded(op: str, what: str, value: int, largest: int) -> int:
    number = integer(f"{op}: {what}", value)
    if not 0 <= number <= largest:
        raise ValueError(f"{op}: {what} {number:#x} is outside [0, {largest:#x}]")
    return number


def _unsigned(op: str, what: str, value: IntLike, largest: int) -> tf.Tensor:
    if not tf.is_tensor(value):
        return tf.constant(_bounded(op, what, value, largest), tf.uint64)
    if not value.dtype.is_unsigned:
        raise TypeError(
            f"{op}: {what} has type {value.dtype.name}; use an unsigned integer type"
        )
    return tf.cast(value, tf.uint64)
