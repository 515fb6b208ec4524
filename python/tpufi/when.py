# SPDX-License-Identifier: Apache-2.0
"""When a fault is injected: in which steps, how often, and into which values.

Nothing here is random but for a key. Whether a fault is injected at a site in a step on
a replica is a pure function of the five numbers, which a program computes with the same
integers (`tpufi.gate`), so a whole training with such a fault is one program.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tpufi._library import host
from tpufi.errors import InputError
from tpufi.integers import integer

FOREVER = (1 << 31) - 1  # Duration in steps of a fault that does not end.
MOST_WINDOWS = 8
LEAST_RATE = 1e-9
# A fault's moment as a row of int64 numbers; zeros: in every step, at every site.
MOMENT_FIELDS = (
    *("first", "every", "key", "seldom", "windows"),
    *(f"{end}_{i}" for i in range(MOST_WINDOWS) for end in ("begin", "end")),
)
_HALF = 0xFFFFFFFF
_WORD = (1 << 64) - 1
_SIGN = 1 << 63


@dataclasses.dataclass(frozen=True)
class When:
    """When a fault is injected, from its first step on, which is its step 0.

    All conditions hold together. Without any it is injected in every step.

    Args:
      steps: windows of steps, (first, last) each, counted from the fault's first step;
        ascending, without overlap, at most `MOST_WINDOWS`; empty: all steps.
      every: injected in steps 0, n, 2n and so on, >= 1.
      rate: probability that it is injected at a site in a step and replica, 1e-9
        (`LEAST_RATE`) to 1, to 2**-64.
      key: of the draws of a rate, 64 bits.
      between: (low, high): only elements with low <= value <= high; None: all.
      exponents: only elements with one of these exponents e, 2**e <= |value| < 2**(e +
        1); the smallest of the type stands for zeros and subnormal numbers, the one
        above the largest for Inf and NaN; empty: all.

    Raises:
      InputError: a field is out of range, or no step is left; the message names it.

    Example:
      >>> fault_is_injected = When(steps=((0, 9),), every=4)
      >>> [k for k in range(20) if fault_is_injected.covers(k)]
      [0, 4, 8]
    """

    steps: tuple[tuple[int, int], ...] = ()
    every: int = 1
    rate: float = 1.0
    key: int = 0
    between: tuple[float, float] | None = None
    exponents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._check_steps()
        every = integer("when: every", self.every)
        if not 1 <= every <= FOREVER:
            raise _wrong("every", every, f"a number of steps, 1 to {FOREVER}")
        rate = self.rate
        numeric = isinstance(rate, int | float | Fraction | np.floating)
        if not numeric or isinstance(rate, bool) or not LEAST_RATE <= rate <= 1:
            raise _wrong("rate", rate, f"a probability, {LEAST_RATE:g} to 1")
        object.__setattr__(self, "rate", float(rate))
        integer("when: key", self.key, 0, _WORD)
        self._check_values()
        if self._last_of(len(self.steps) - 1) is None:
            raise InputError(
                f"when: no step of {_shown(self.steps)} is a multiple of every "
                f"{self.every}; choose longer steps or a smaller every"
            )

    @property
    def length(self) -> int:
        """Steps up to the last one that it can be injected in; `FOREVER`: no last."""
        return FOREVER if not self.steps else self._last_of(len(self.steps) - 1) + 1

    @property
    def may_skip(self) -> bool:
        """Whether its steps or its rate leave out a step up to the last one."""
        return self.rate < 1 or self.every > 1 or bool(self._gaps())

    @property
    def is_triggered(self) -> bool:
        """Whether it depends on the values of elements."""
        return self.between is not None or bool(self.exponents)

    @property
    def limit(self) -> int:
        """The largest 64-bit draw with which it is injected."""
        return round(Fraction(self.rate) * (1 << 64)) - 1

    def covers(self, step: int) -> bool:
        """Whether it can be injected in a step, counted from its first."""
        if step < 0 or step % self.every:
            return False
        windows = self.steps
        return not windows or any(first <= step <= last for first, last in windows)

    def injects(self, step: int, replica: int, site: int, first: int = 0) -> bool:
        """Tell whether it is injected.

        Args:
          step: steps since the start of training, >= 0.
          replica: the replica, >= 0.
          site: id of the site, >= 0.
          first: the fault's first step since the start of training.
        """
        if not self.covers(step - first):
            return False
        return self.rate == 1 or drawn(self.key, step, replica, site) <= self.limit

    def next_step(self, step: int) -> int | None:
        """Return the first step from one on that it can be injected in; None: none.

        Args:
          step: counted from its first, >= 0.
        """
        for first, last in self.steps or ((0, FOREVER - 1),):
            found = -(-max(step, first) // self.every) * self.every
            if found <= last:
                return found
        return None

    def moment(self, first: int = 0) -> np.ndarray:
        """Return its steps and its rate as a row of numbers, int64 [MOMENT_FIELDS].

        Args:
          first: the fault's first step since the start of training.
        """
        row = np.zeros(len(MOMENT_FIELDS), np.int64)
        # What is seldom is kept inverted, so that zeros mean always.
        head = first, self.every, _signed(self.key), _signed(_WORD - self.limit)
        row[:5] = (*head, len(self.steps))
        ends = [(begin, last + 1) for begin, last in self.steps]
        row[5 : 5 + 2 * len(ends)] = list(itertools.chain(*ends))
        return row

    def _check_steps(self) -> None:
        before = -1
        if not isinstance(self.steps, tuple) or len(self.steps) > MOST_WINDOWS:
            raise _wrong("steps", self.steps, f"at most {MOST_WINDOWS} (first, last)")
        for window in self.steps:
            if not isinstance(window, tuple) or len(window) != 2:
                raise _wrong("steps", window, "a window (first, last)")
            first, last = (integer("when: steps", end) for end in window)
            if not 0 <= first <= last < FOREVER:
                bound = f"0 <= first <= last < {FOREVER}"
                raise _wrong("steps", f"{first}-{last}", bound)
            if first <= before:
                expected = f"more than {before}, where the window before it ends"
                raise _wrong("steps", f"{first}-{last}", f"a first step of {expected}")
            before = last

    def _check_values(self) -> None:
        if self.between is not None:
            if not isinstance(self.between, tuple) or len(self.between) != 2:
                raise _wrong("between", self.between, "(low, high)")
            low, high = self.between
            if math.isnan(low) or math.isnan(high) or low > high:
                shown = f"{low:g} to {high:g}"
                raise _wrong("between", shown, "low <= high, neither NaN")
        if not isinstance(self.exponents, tuple):
            raise _wrong("exponents", self.exponents, "a set of integers")
        found = [integer("when: exponents", e, -1100, 1100) for e in self.exponents]
        if len(set(found)) != len(found) or found != sorted(found):
            raise _wrong("exponents", self.exponents, "ascending, none twice")

    def _last_of(self, number: int) -> int | None:
        """Return the last step of the windows up to one; None: there is none."""
        if not self.steps:
            return FOREVER
        for first, last in reversed(self.steps[: number + 1]):
            found = last // self.every * self.every
            if found >= first:
                return found
        return None

    def _gaps(self) -> bool:
        """Whether a step before the last window lies in none."""
        ends = [(-1, -1), *self.steps]
        return any(b[0] != a[1] + 1 for a, b in itertools.pairwise(ends))


ONCE = When(steps=((0, 0),))
ALWAYS = When()


def moments(rows: int) -> np.ndarray:
    """Return the moments of rows that are injected always, int64 [rows, fields]."""
    return np.zeros((rows, len(MOMENT_FIELDS)), np.int64)


def drawn(key: int, step: int, replica: int, site: int) -> int:
    """Return the 64 random bits of a site in a step and replica.

    It is Threefry-2x32 of (site, replica) under the cipher of the step.

    Args:
      key: 64 bits.
      step: steps since the start of training, 0 <= step < 2**63.
      replica: 0 <= replica < 2**32.
      site: id of the site, 0 <= site < 2**32.
    """
    low, high = host.threefry2x32(_of_step(key, step), (site, replica))
    return high << 32 | low


@functools.lru_cache(maxsize=64)  # All sites and replicas of a step share it.
def _of_step(key: int, step: int) -> tuple[int, int]:
    return host.threefry2x32(_halves(key), _halves(step))


def injected_steps(
    when: When, first: int, count: int, site: int, replica: int = 0
) -> Iterator[int]:
    """Yield the steps of a training in which a fault is injected at a site.

    Args:
      when: its moment.
      first: its first step since the start of training.
      count: how many steps from there on to look at.
      site: id of the site.
      replica: the replica.
    """
    step = when.next_step(0)
    while step is not None and step < count:
        if when.injects(first + step, replica, site, first):
            yield first + step
        step = when.next_step(step + 1)


def _halves(number: int) -> tuple[int, int]:
    return number & _HALF, number >> 32


def _signed(number: int) -> int:
    return number - (number & _SIGN) * 2


def _shown(windows: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{first}-{last}" for first, last in windows)


def _wrong(field: str, value: object, expected: str) -> InputError:
    return InputError(f"when: {field}: {value!r:.80}; expected {expected}; correct it")
