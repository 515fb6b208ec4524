# SPDX-License-Identifier: Apache-2.0
"""TensorFI's fault types: which elements of a tensor change, and to what bits."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tpufi.contrib.tensorfi import legacy_bits
from tpufi.element import ELEMENTS, from_words, to_words, width_of
from tpufi.faults.draws import Draws

BIT_MODELS = ("ieee", "tensorfi21_10")
Golden = Callable[[Sequence[int]], np.ndarray]


class Change(NamedTuple):
    """Elements become `(x & keep) ^ word`, with one word or one for each."""

    elements: Sequence[int]
    keep: int
    words: tuple[int, ...]


class Tensor(NamedTuple):
    """The faulty tensor.

    Args:
      dtype: element type.
      size: number of elements, >= 1.
      rank: number of axes, or None if it is not known.
      golden: returns the bits that elements have.
    """

    dtype: str
    size: int
    rank: int | None
    golden: Golden


class Rules(NamedTuple):
    """What else a configuration says about values.

    Args:
      bit_model: one of `BIT_MODELS`.
      bit_count: flips of `multiBitFlip`.
      legacy: whether ranks above 2 have no `Rand-element`, and integers get 0.
    """

    bit_model: str
    bit_count: int
    legacy: bool


def _none(tensor: Tensor, rules: Rules, draws: Draws, what: str) -> None:
    return None


def _zero(tensor: Tensor, rules: Rules, draws: Draws, what: str) -> Change:
    return Change(range(tensor.size), 0, (0,))


def _rand(tensor: Tensor, rules: Rules, draws: Draws, what: str) -> Change:
    words = _uniform(tensor, tensor.size, rules, draws, what)
    return Change(range(tensor.size), 0, words)


def _rand_element(
    tensor: Tensor, rules: Rules, draws: Draws, what: str
) -> Change | None:
    if rules.legacy and tensor.rank not in (1, 2):
        return None
    element = draws.below(tensor.size, f"{what} element")
    return Change((element,), 0, _uniform(tensor, 1, rules, draws, what))


def _flip_element(tensor: Tensor, rules: Rules, draws: Draws, what: str) -> Change:
    element = draws.below(tensor.size, f"{what} element")
    return _flips(tensor, (element,), rules, draws, what)


def _flip_tensor(tensor: Tensor, rules: Rules, draws: Draws, what: str) -> Change:
    return _flips(tensor, range(tensor.size), rules, draws, what)


def _uniform(tensor: Tensor, count: int, rules: Rules, draws: Draws, what: str):
    """Draw numbers of [0, 1), or any bits for integers."""
    if ELEMENTS.get(tensor.dtype) is None or not ELEMENTS[tensor.dtype].exponent_bits:
        if rules.legacy:
            return (0,)
        below = 1 << width_of(tensor.dtype)
        return tuple(draws.integers(below, count, f"{what} value"))
    layout = ELEMENTS[tensor.dtype]
    # As many digits as the type holds, so that rounding never reaches 1.
    digits = layout.mantissa_bits + 1
    numbers = draws.integers(1 << digits, count, f"{what} value")
    values = (np.array(numbers, np.float64) / (1 << digits)).astype(layout.numpy)
    return tuple(to_words(values).tolist())


def _flips(tensor: Tensor, elements: Sequence[int], rules: Rules, draws: Draws, what):
    count = len(elements)
    if rules.bit_model == "ieee" or tensor.dtype == "bool":
        bits = draws.integers(width_of(tensor.dtype), count, f"{what} bit")
        return Change(elements, -1, tuple(1 << bit for bit in bits))
    places = draws.integers(legacy_bits.positions(tensor.dtype), count, f"{what} bit")
    golden = from_words(tensor.golden(elements), tensor.dtype)
    values = [legacy_bits.flip(v, p) for v, p in zip(golden, places, strict=True)]
    return Change(elements, 0, tuple(to_words(np.array(values)).tolist()))


def _many_flips(tensor: Tensor, rules: Rules, draws: Draws, what: str) -> Change:
    """Flip bits of elements drawn with replacement, never the same bit twice."""
    drawn = draws.integers(tensor.size, rules.bit_count, f"{what} elements")
    width = width_of(tensor.dtype)
    masks = {}
    for element in sorted(set(drawn)):
        times = min(drawn.count(element), width)
        bits = draws.distinct(width, times, f"{what} bits of {element}")
        masks[element] = sum(1 << bit for bit in bits)
    return Change(tuple(masks), -1, tuple(masks.values()))


_CHANGES: Mapping[str, Callable[[Tensor, Rules, Draws, str], Change | None]] = {
    "None": _none,
    "Rand": _rand,
    "Zero": _zero,
    "Rand-element": _rand_element,
    "bitFlip-element": _flip_element,
    "bitFlip-tensor": _flip_tensor,
    "multiBitFlip": _many_flips,
}
FAULT_TYPES = tuple(_CHANGES)


def change(
    kind: str, tensor: Tensor, rules: Rules, draws: Draws, what: str
) -> Change | None:
    """Return the change that a fault type makes, or None if it makes none.

    Args:
      kind: one of `FAULT_TYPES`.
      tensor: the faulty tensor.
      rules: the rest of the configuration.
      draws: choices of this run.
      what: name of this execution, which names its draws.
    """
    return _CHANGES[kind](tensor, rules, draws, what)
