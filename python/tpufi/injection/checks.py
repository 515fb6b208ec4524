# SPDX-License-Identifier: Apache-2.0
"""The checks of an injection's fields that need no knowledge of the workload."""

import math
import operator
import re

import numpy as np

from tpufi.errors import InputError
from tpufi.faults.fault_models import fault_model
from tpufi.messages import nearest_first, quote

WORKERS = 8

_INT_LIMIT = 2**31
_SEED_LIMIT = 2**64
_MAX_RANK = 8
_LAYER = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_QUIET_NAN = 0x7FC00000
_INFINITY = 0x7F800000


class FieldError(InputError):
    """One field of an injection is wrong; `field` tells which, for a line number."""

    def __init__(self, field: str, text: str):
        super().__init__(f"{field}: {text}")
        self.field = field


def check_name(field: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not among the known ones."""
    if name not in known:
        raise FieldError(
            field,
            f"unknown {field} {quote(name)}; expected one of: "
            f"{nearest_first(name, known)}; write one of these",
        )


def check_fault_model(name: str) -> None:
    """Refuse the name of an unknown fault model."""
    try:
        fault_model(name)
    except InputError as error:
        raise FieldError("fmodel", str(error)) from None


def check_moment(worker: int, epoch: int, step: int, seed: int | None) -> None:
    """Refuse a replica, epoch, step or seed outside its range."""
    _check_range("target_worker", worker, WORKERS)
    _check_range("target_epoch", epoch, _INT_LIMIT)
    _check_range("target_step", step, _INT_LIMIT)
    if seed is not None:
        _check_range("seed", seed, _SEED_LIMIT)


def check_layer(stage: str, layer: str) -> None:
    """Refuse a layer whose spelling does not fit the stage."""
    if not _LAYER.fullmatch(layer):
        raise FieldError(
            "target_layer",
            f"{quote(layer)} is not a layer name; expected 1 to 200 letters, digits "
            "and _ . -; copy the name from the workload's list of sites",
        )
    backward = layer.endswith(("_grad_in", "_grad_wt"))
    if stage == "fwrd_inject" and backward:
        raise FieldError(
            "target_layer",
            f"{layer} names a backward operation and stage is fwrd_inject; expected a "
            "plain layer name; drop the suffix or write stage,bkwd_inject",
        )
    if stage == "bkwd_inject" and not backward:
        raise FieldError(
            "target_layer",
            f"{layer} does not say which gradient and stage is bkwd_inject; expected "
            f"a name ending in _grad_in or _grad_wt; write {layer}_grad_in or "
            f"{layer}_grad_wt, or stage,fwrd_inject",
        )


def check_learning_rate(rate: float) -> None:
    """Refuse a learning rate that is not a finite number above zero."""
    if not (math.isfinite(rate) and rate > 0):
        raise FieldError(
            "learning_rate",
            f"{rate} is not a learning rate; expected a finite number above 0; write "
            "the initial rate of the schedule, e.g. learning_rate,0.001",
        )


def check_positions(positions: tuple[tuple[int, ...], ...]) -> None:
    """Refuse positions that are missing, of mixed rank, out of range or repeated."""
    if not positions:
        raise FieldError("inj_pos", "no position; expected at least one; add d0/d1/...")
    rank = len(positions[0])
    if not 1 <= rank <= _MAX_RANK:
        raise FieldError(
            "inj_pos",
            f"position 1 has {rank} indices; expected 1 to {_MAX_RANK}; write "
            "d0/d1/... with one index for each axis of the tensor",
        )
    first_seen: dict[tuple[int, ...], int] = {}
    for number, position in enumerate(positions, start=1):
        shown = f"position {number} ({'/'.join(map(str, position))})"
        if len(position) != rank:
            raise FieldError(
                "inj_pos",
                f"{shown} has {len(position)} indices; expected {rank} as in position "
                "1; write one index for each axis of the tensor",
            )
        if not all(0 <= index < _INT_LIMIT for index in position):
            raise FieldError(
                "inj_pos",
                f"{shown} has an index out of range; expected 0 to {_INT_LIMIT - 1}; "
                "correct the position",
            )
        if position in first_seen:
            raise FieldError(
                "inj_pos",
                f"{shown} repeats position {first_seen[position]}; expected every "
                "position once; remove one of the two and its value",
            )
        first_seen[position] = number


def check_values(values: tuple[float, ...], count: int) -> None:
    """Refuse values that are not one for each position, or that float32 cannot hold."""
    if len(values) != count:
        raise FieldError(
            "inj_values",
            f"{len(values)} values for {count} positions; expected one value for each "
            "position, in the order of inj_pos; add or remove values",
        )
    lost = (patterns(values) & 0x7FFFFFFF == _INFINITY) & np.isfinite(values)
    if lost.any():
        number = int(np.argmax(lost))
        raise FieldError(
            "inj_values",
            f"value {number + 1} ({values[number]!r}) is beyond float32; expected at "
            "most 3.4028235e+38 in magnitude; write inf or -inf for an infinity",
        )


def check_bits(bits: tuple[int, ...], values: tuple[float, ...]) -> None:
    """Refuse bit patterns that are not those of the values; a NaN's payload is free."""
    if len(bits) != len(values):
        raise FieldError(
            "inj_bits",
            f"{len(bits)} bit patterns for {len(values)} values; expected one for each "
            "value; add or remove patterns, or remove the row inj_bits",
        )
    expected = patterns(values).tolist()
    for number, (pattern, right) in enumerate(zip(bits, expected, strict=True)):
        if not 0 <= pattern < 2**32:
            raise FieldError(
                "inj_bits",
                f"pattern {number + 1} ({pattern:#x}) is not 32 bits wide; expected "
                "0x0 to 0xffffffff; write the float32 pattern",
            )
        is_nan = pattern & 0x7FFFFFFF > _INFINITY
        if not (is_nan if right == _QUIET_NAN else pattern == right):
            raise FieldError(
                "inj_bits",
                f"pattern {number + 1} ({pattern:#010x}) contradicts value "
                f"{values[number]!r} of inj_values; expected {right:#010x}; correct "
                "one of the two, or remove the row inj_bits",
            )


def patterns(values: tuple[float, ...]) -> np.ndarray:
    """Return the float32 bit patterns of numbers, rounded to nearest, ties to even.

    Args:
      values: numbers; a NaN stands for the quiet NaN 0x7fc00000.

    Returns:
      uint64 array like `values`; numbers beyond float32 become infinities.
    """
    numbers = np.array(values, np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        words = numbers.astype(np.float32).view(np.uint32)
    # A conversion may keep a NaN's sign and payload; the word `nan` has neither.
    return np.where(np.isnan(numbers), _QUIET_NAN, words).astype(np.uint64)


def _check_range(field: str, number: int, limit: int) -> None:
    if not 0 <= operator.index(number) < limit:
        raise FieldError(
            field,
            f"{number} is out of range; expected a whole number from 0 to {limit - 1}; "
            "correct it",
        )
