# SPDX-License-Identifier: Apache-2.0
"""Random small products on random small arrays, with one broken register each.

    python -m tests.array_cases --cases 100000

compares what the program makes of each with the array of `tests.systolic_array`: all
numbers are equal, NaN where it has NaN. It prints how often both agree. Numbers are
whole and small, so that sums are exact in any order; registers also make infinities and
NaN.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tests.systolic_array import multiply
from tpufi.layers.element_faults import ElementFault
from tpufi.layers.matrix_view import Layout, PlainSide, plain_view
from tpufi.units import DATAFLOWS, ProcessingElement, UnitFault

KINDS = tuple(
    (dataflow, register)
    for dataflow in DATAFLOWS
    for register in ProcessingElement.registers(dataflow)
)
_FINITE = (-3.0, 0.0, 7.0)
_SPECIAL = (np.inf, -np.inf, np.nan)


def whole_numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return numbers from -4 to 4 without 0, float32."""
    return (rng.integers(1, 5, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


def random_fault(
    rng: np.random.Generator, unit: ProcessingElement, has_zeros: bool = False
) -> UnitFault:
    """Return what a register does, so that sums of what it makes are exact.

    Args:
      rng: draws it.
      unit: the element.
      has_zeros: whether operands hold zeros of padding, of which another bit makes a
        number too small for exact sums, and which kernels do not multiply with Inf.
    """
    choices = [
        UnitFault(unit, "zero"),
        UnitFault.flipped(unit, 31),
        UnitFault.stuck(unit, 31, int(rng.integers(2))),
        UnitFault(unit, "replace", 0, word(rng.choice(_FINITE))),
    ]
    if not has_zeros:
        choices += [UnitFault(unit, "replace", 0, word(rng.choice(_SPECIAL)))]
    if unit.register in ("weight", "input") and not has_zeros:
        bit = int(rng.integers(21, 25))
        choices += [
            UnitFault.flipped(unit, bit),
            UnitFault.stuck(unit, bit, int(rng.integers(2))),
        ]
    return choices[rng.integers(len(choices))]


def word(value: float) -> int:
    """Return the bits of a float32."""
    return int(np.float32(value).view(np.uint32))


def random_element(
    rng: np.random.Generator, kind: tuple[str, str], longest: int = 4
) -> ProcessingElement:
    """Return an element of an array of at most `longest` rows and columns."""
    rows, columns = map(int, rng.integers(1, longest + 1, 2))
    place = int(rng.integers(rows)), int(rng.integers(columns))
    return ProcessingElement(rows, columns, *kind, *place)


def changing(fault: UnitFault):
    """Return what the register does to a number, in numpy."""
    keep, flip = fault.bits("float32") & 0xFFFFFFFF
    keep, flip = np.uint32(keep), np.uint32(flip)

    def change(value: np.ndarray) -> np.ndarray:
        words = np.asarray(value, np.float32).view(np.uint32)
        return ((words & keep) ^ flip).view(np.float32)

    return change


def traced(fault: UnitFault) -> ElementFault:
    """Return the fault as a program takes it."""
    place = (tf.constant(number, tf.int64) for number in fault.unit.place)
    bits = tf.constant(fault.bits("float32"))
    return ElementFault(fault.unit.built, *place, bits)


def agrees(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Tell whether numbers are equal; a NaN is equal to a NaN."""
    return np.array_equal(found, wanted, equal_nan=True)


@dataclasses.dataclass(frozen=True)
class Case:
    """One product with a fault."""

    a: np.ndarray
    b: np.ndarray
    fault: UnitFault

    @property
    def wanted(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return multiply(self.a, self.b, self.fault.unit, changing(self.fault))

    @property
    def found(self) -> np.ndarray:
        a, b = tf.constant(self.a), tf.constant(self.b)
        layout = Layout(1, b.shape[1])
        view = plain_view(
            PlainSide(a), PlainSide(b, True), (a.shape[0], b.shape[1]), layout
        )
        element, y = traced(self.fault), tf.matmul(a, b)
        if not element.touches(view):
            return y.numpy()
        if element.is_held:
            return tf.matmul(a, element.held(view, b).into(b)).numpy()
        if element.moves:
            return element.moved(view, y)[0].numpy()
        found = element.written(view, y)
        assert found.index.shape == [element.number(view)]
        return found.into(y).numpy()


def cases(seed: int) -> Iterator[tuple[tuple[str, str], Case]]:
    """Yield cases without end, each kind of element in turn."""
    rng = np.random.default_rng(seed)
    while True:
        for kind in KINDS:
            m, k, n = rng.integers(1, 10, 3)
            a, b = whole_numbers(rng, m, k), whole_numbers(rng, k, n)
            fault = random_fault(rng, random_element(rng, kind))
            yield kind, Case(a, b, fault)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    agreed, tried = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for number, (kind, case) in enumerate(cases(options.seed)):
        if number == options.cases:
            break
        same = agrees(case.found, case.wanted)
        agreed[kind] += same
        tried[kind] += 1
        if not same:
            print(f"seed {options.seed}, case {number}: {case}")
    for kind in KINDS:
        print(f"{kind[0]:>6}-stationary {kind[1]:<11} {agreed[kind]} of {tried[kind]}")
    return int(agreed != tried)


if __name__ == "__main__":
    sys.exit(main())
