# SPDX-License-Identifier: Apache-2.0
"""One injection as the artefact describes it: layer, positions and values."""

import dataclasses
import math
import operator
import re

import numpy as np

from tpufi.errors import InputError
from tpufi.fault import Elements, Fault
from tpufi.faults.catalogue import fault_model
from tpufi.faults.injection_file import (
    WORKLOADS,
    FieldError,
    InjectionFile,
    check_learning_rate,
    check_name,
)
from tpufi.messages import nearest_first, quote
from tpufi.site_table import Site, SiteTable

WORKERS = 8

_INT_LIMIT = 2**31
_SEED_LIMIT = 2**64
_MAX_RANK = 8
_LAYER = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_QUIET_NAN = 0x7FC00000
_INFINITY = 0x7F800000


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


STAGES = ("fwrd_inject", "bkwd_inject")


@dataclasses.dataclass(frozen=True)
class Injection(InjectionFile):
    """One fault: site, positions, values, and the faulty step and replica.

    Checked when made, also by `dataclasses.replace`; what needs the shape of the
    faulty tensor is checked by `resolve`. The values replace the elements. Values are
    float32 numbers: a decimal number is rounded to the nearest one, ties to even.

    Args:
      model: workload, one of `WORKLOADS`.
      stage: `fwrd_inject` or `bkwd_inject`.
      fmodel: name of a fault model; it selects the faulty operand.
      target_worker: replica, 0 to 7.
      target_layer: layer; in the backward stage followed by `_grad_in` or `_grad_wt`.
      target_epoch: epoch, from 0.
      target_step: step in the epoch, from 0.
      inj_pos: index tuples into the faulty tensor, all of one rank, none twice.
      inj_values: the value written at each position.
      learning_rate: initial learning rate of the schedule, positive.
      seed: the artefact's seed row, kept and not used by a replay; None if absent.
      inj_bits: float32 bit pattern of each value, None to take `inj_values`. The bits
        win; each must be the pattern of its value, which leaves NaN payloads free.

    Raises:
      InputError: a field cannot be used; the message names it and the remedy.
    """

    model: str
    stage: str
    fmodel: str
    target_worker: int
    target_layer: str
    target_epoch: int
    target_step: int
    inj_pos: tuple[tuple[int, ...], ...]
    inj_values: tuple[float, ...]
    learning_rate: float
    seed: int | None = None
    inj_bits: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_name("model", self.model, WORKLOADS)
        check_name("stage", self.stage, STAGES)
        check_fault_model(self.fmodel)
        check_moment(self.target_worker, self.target_epoch, self.target_step, self.seed)
        check_layer(self.stage, self.target_layer)
        check_learning_rate(self.learning_rate)
        positions = tuple(tuple(map(operator.index, p)) for p in self.inj_pos)
        check_positions(positions)
        # One NaN object for all, so that equal injections compare and hash as equal.
        values = (float(value) for value in self.inj_values)
        values = tuple(math.nan if math.isnan(value) else value for value in values)
        check_values(values, len(positions))
        object.__setattr__(self, "inj_pos", positions)
        object.__setattr__(self, "inj_values", values)
        if self.inj_bits is not None:
            bits = tuple(map(operator.index, self.inj_bits))
            check_bits(bits, values)
            object.__setattr__(self, "inj_bits", bits)

    @property
    def direction(self) -> str:
        """Direction of the faulty site: `forward`, `grad_in` or `grad_wt`."""
        return "forward" if self.stage == "fwrd_inject" else self.target_layer[-7:]

    @property
    def layer(self) -> str:
        """Name of the layer without the backward suffix."""
        if self.stage == "fwrd_inject":
            return self.target_layer
        return self.target_layer[: -len("_grad_in")]

    @property
    def operand(self) -> str:
        """Faulty operand: `input`, `weight` or `output`."""
        return fault_model(self.fmodel).target

    @property
    def site_name(self) -> str:
        """Name of the faulty site, `layer/direction/operand`."""
        return f"{self.layer}/{self.direction}/{self.operand}"

    def resolve(self, table: SiteTable) -> Site:
        if self.site_name not in table:
            raise self._unknown_site(table)
        site = table[table.id_of(self.site_name)]
        self._flatten(site.shape, f"site {site.name}", _batch_axis(site, table))
        return site

    def fault(self, table: SiteTable) -> Fault:
        site = self.resolve(table)
        flat = self.flat_positions(site.shape)
        order = np.argsort(flat)
        words = self.words(site.dtype)[order].tolist()
        return Fault(
            model=self.fmodel,
            site=site.name,
            dtype=site.dtype,
            shape=site.shape,
            replica=self.target_worker,
            epoch=self.target_epoch,
            step=self.target_step,
            duration=1,
            elements=Elements.of(flat[order]),
            operation="replace",
            keep=0,
            words=tuple(words),
        )

    def flat_positions(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._flatten(shape, "the tensor", None)

    def words(self, dtype: str = "float32") -> np.ndarray:
        """Return the bit pattern written at each position.

        Args:
          dtype: element type of the faulty tensor; `float32` is the only one that
            an injection file can describe.

        Returns:
          uint64 array (positions,): `inj_bits`, or else the values as float32. The
          value NaN alone stands for the quiet NaN 0x7fc00000.

        Raises:
          InputError: the tensor is not float32.
        """
        if dtype != "float32":
            raise InputError(
                f"an injection holds float32 values, site {self.site_name} is {dtype}; "
                "run the workload in float32"
            )
        if self.inj_bits is not None:
            return np.array(self.inj_bits, np.uint64)
        return patterns(self.inj_values)

    def _flatten(
        self, shape: tuple[int, ...], where: str, batch_axis: int | None
    ) -> np.ndarray:
        rank = len(self.inj_pos[0])
        if rank != len(shape):
            raise FieldError(
                "inj_pos",
                f"positions have {rank} indices, {where} has shape {shape}; expected "
                f"{len(shape)}; write d0/d1/... with one index for each axis",
            )
        positions = np.array(self.inj_pos, np.int64)
        outside = np.argwhere(positions >= np.array(shape, np.int64))
        if outside.size:
            number, axis = (int(i) for i in outside[0])
            raise FieldError(
                "inj_pos",
                f"position {number + 1} ({'/'.join(map(str, self.inj_pos[number]))}) "
                f"lies outside {where} of shape {shape}: index {axis} is "
                f"{positions[number, axis]}; expected 0 to {shape[axis] - 1}; "
                + _remedy(axis == batch_axis, shape[axis]),
            )
        strides = [math.prod(shape[axis + 1 :]) for axis in range(rank)]
        return positions @ np.array(strides, np.int64)

    def _unknown_site(self, table: SiteTable) -> FieldError:
        layers = table.layers(self.direction)
        if self.layer in layers:
            here = [s for s in table if s.layer == self.layer]
            operands = [s.operand for s in here if s.direction == self.direction]
            return FieldError(
                "fmodel",
                f"{self.fmodel} injects into the {self.operand} of a layer, and "
                f"{self.layer} in direction {self.direction} has none; it has: "
                f"{', '.join(operands)}; choose a fault model for one of these",
            )
        suffix = "" if self.direction == "forward" else f"_{self.direction}"
        known = [layer + suffix for layer in layers]
        return FieldError(
            "target_layer",
            f"unknown layer {quote(self.target_layer)}; expected a layer of "
            f"{self.model} with {self.direction} sites; nearest: "
            f"{nearest_first(self.target_layer, known, limit=5) or 'none'}",
        )


def _batch_axis(site: Site, table: SiteTable) -> int | None:
    """Return the axis of a convolution's tensor that counts the images, if known."""
    if site.direction in ("forward", "grad_in"):
        return 0 if site.operand in ("input", "output") else None
    kernel = f"{site.layer}/forward/weight"
    if kernel in table and len(table[table.id_of(kernel)].shape) == 4:
        # The operands are transposed: (Cin, H, W, B) and (H, W, B, Cout).
        return {"input": 3, "weight": 2}.get(site.operand)
    return None


def _remedy(is_batch: bool, bound: int) -> str:
    if not is_batch:
        return "correct the position"
    return (
        f"this axis counts the images of one replica, {bound} in this run; choose "
        "an image within it, or run with the larger per-replica batch"
    )
