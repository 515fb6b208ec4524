# SPDX-License-Identifier: Apache-2.0
"""Compares the tensors of a random program, and the log, with what numpy makes."""

import dataclasses
from collections.abc import Sequence

import ml_dtypes
import numpy as np
from tools.attacks.random_program import (
    Branch,
    Loop,
    Op,
    RandomProgram,
    Rows,
    expected,
)


@dataclasses.dataclass(frozen=True)
class Injected:
    """A fault as the attack means it.

    Args:
      number: of the operation.
      elements: flat indices.
      keep: bits that are kept.
      words: one for each element.
      iterations: of each loop; None: every execution.
    """

    number: int
    elements: tuple[int, ...]
    keep: int
    words: tuple[int, ...]
    iterations: tuple[int, ...] | None


class ProgramCheck:
    """Walks a program through the tensors that came out of it.

    Args:
      program: the program.
      outputs: what it returned: its input, then the tensors of `numbers`.
      numbers: of the operations whose tensors these are.
      taken: which branches were taken.
      faults: at most one of an operation.
      compiled: whether XLA compiled it. For a CPU it moves elements of 8 bits and of
        bfloat16 as float32, without a fault too, and makes any NaN the usual one.

    Attributes:
      wrong: the first difference, None if there is none.
      times: how often each fault should have been injected, by its operation.
      golden: words before a fault, of its last execution, by its operation.
      faulty: words after it.
    """

    def __init__(
        self,
        program: RandomProgram,
        outputs: Sequence[np.ndarray],
        numbers: Sequence[int],
        taken: np.ndarray,
        faults: Sequence[Injected],
        compiled: bool = False,
    ):
        self._program, self._taken = program, taken
        narrow = program.dtype == "bfloat16" or program.dtype.startswith("float8")
        self._quiets = compiled and narrow
        self._outputs = dict(zip(numbers, outputs[1:], strict=True))
        self._faults = {fault.number: fault for fault in faults}
        self.wrong: str | None = None
        self.times = dict.fromkeys(self._faults, 0)
        self.golden: dict[int, np.ndarray] = {}
        self.faulty: dict[int, np.ndarray] = {}
        self._first = outputs[0]

    def run(self, skip: int) -> "ProgramCheck":
        """Walk it from a step on."""
        self._walk(self._program.steps[skip:], self._first, ())
        return self

    def _walk(self, steps, x: np.ndarray, where: tuple[int, ...]) -> np.ndarray:
        for step in steps:
            match step:
                case Op():
                    x = self._op(step, x, where)
                case Loop(count, body):
                    for i in range(count):
                        x = self._walk(body, x, (*where, i))
                case Rows(body):
                    rows = [self._walk(body, one, (*where, i)) for i, one in
                            enumerate(x)]  # fmt: skip
                    x = np.stack(rows)
                case Branch(number, bodies):
                    side = 0 if self._taken[number] else 1
                    x = self._walk(bodies[side], x, where)
        return x

    def _op(self, step: Op, x: np.ndarray, where: tuple[int, ...]) -> np.ndarray:
        want = expected(step.op, x, self._program.constants[step.number])
        got = self._outputs[step.number][where]
        if got.dtype != want.dtype or got.shape != want.shape:
            self._differ(step, where, f"{got.dtype} {got.shape}")
            return want
        fault = self._faults.get(step.number)
        met = fault and (fault.iterations is None or fault.iterations == where)
        before, after = _words(want), _words(got)
        same = _alike(want, got, before, after)
        if met:
            self.times[step.number] += 1
            elements = np.array(fault.elements)
            mask = np.uint64((1 << _width(want.dtype)) - 1)
            keep = np.uint64(fault.keep & int(mask))
            injected = (before[elements] & keep) ^ np.array(fault.words, np.uint64)
            self.golden[step.number] = before[elements]
            if self._quiets:
                typed = (injected & mask).astype(f"u{want.dtype.itemsize}")
                nan = _is_nan(typed.view(want.dtype)) & _is_nan(got)[elements]
                after[elements] = np.where(nan, injected & mask, after[elements])
            self.faulty[step.number] = after[elements]
            # Of a NaN that numpy computed, the payload may be another.
            known = ~_is_nan(want)[elements] & ~_is_tiny(want)[elements]
            same[elements] = ~known | (after[elements] == injected & mask)
        if not same.all():
            place = int(np.flatnonzero(~same)[0])
            told = f"element {place} {after[place]:#x}, numpy {before[place]:#x}"
            self._differ(step, where, told)
        return got

    def _differ(self, step: Op, where: tuple[int, ...], told: str) -> None:
        if self.wrong is None:
            fault = self._faults.get(step.number)
            self.wrong = f"{step.op} {step.number} in {where}: {told}; {fault}"


def _words(x: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat.view(f"u{flat.dtype.itemsize}").astype(np.uint64)


def _width(dtype: np.dtype) -> int:
    return 1 if dtype == np.bool_ else dtype.itemsize * 8


def _alike(want, got, before, after) -> np.ndarray:
    """Tell of each element whether both are the same number, as far as that is told.

    NaN is NaN whatever its payload, and what is smaller than a type's normal numbers
    may have become 0, as TensorFlow's kernels have it.
    """
    nan = _is_nan(want) & _is_nan(got)
    tiny = _is_tiny(want) & _is_tiny(got)
    return (before == after) | nan | tiny


def _is_nan(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(-1)
    return flat != flat


def _is_tiny(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(-1)
    if flat.dtype == np.bool_ or np.issubdtype(flat.dtype, np.integer):
        return np.zeros(flat.size, bool)
    kind = ml_dtypes.finfo(flat.dtype)
    normal = 2 * float(kind.smallest_normal)
    with np.errstate(all="ignore"):
        return np.abs(flat.astype(np.float64)) < normal
