# SPDX-License-Identifier: Apache-2.0
"""Persistent faults in the variables of a program, undone without fail.

A transient fault, which changes one read of a variable, is a fault of the site of that
`ReadVariableOp` instead.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.errors import InputError
from tpufi.instrument.written import (
    Index,
    as_number,
    flat_index,
    flat_list,
    indices_of,
    word_of,
)
from tpufi.integers import integer
from tpufi.messages import nearest_first, quote


@dataclasses.dataclass(frozen=True)
class WeightFault:
    """Changes elements of a variable from x to `(x & keep) ^ word`.

    Args:
      variable: its number in `Instrumented.variables`, or its name if that is unique.
      elements: distinct elements: flat indices, or tuples with an index for each axis.
      keep: bits that are kept.
      words: one word for all elements, or one for each.
      values: numbers in place of words, of the variable's element type.

    Example:
      >>> WeightFault("dense/kernel", [(0, 3)], values=[1e4]).keep
      0
    """

    variable: int | str
    elements: Sequence[Index]
    keep: int = 0
    words: Sequence[int] = ()
    values: Sequence[float] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Corruption:
    """What a fault changed: the variable's name, and bits before and after."""

    variable: str
    elements: np.ndarray
    golden: np.ndarray
    faulty: np.ndarray


def find(variables: Sequence[tf.Variable], wanted: int | str) -> tf.Variable:
    """Return a variable by number or name.

    Raises:
      InputError: there is none, or there are several of that name.
    """
    if isinstance(wanted, str):
        numbers = [i for i, v in enumerate(variables) if name_of(v) == wanted]
        if len(numbers) > 1:
            raise InputError(
                f"variables {', '.join(map(str, numbers))} are called {quote(wanted)}; "
                "name one by its number"
            )
        if not numbers:
            near = nearest_first(wanted, {name_of(v) for v in variables}, 5)
            raise InputError(f"no variable {quote(wanted)}; nearest: {near}")
        wanted = numbers[0]
    wanted = integer("variable", wanted)
    if not 0 <= wanted < len(variables):
        raise InputError(
            f"variable {wanted} is outside [0, {len(variables)}); see variables"
        )
    return variables[wanted]


def name_of(variable: tf.Variable) -> str:
    """Return a variable's name without TensorFlow's `:0`."""
    return variable.name.removesuffix(":0")


@contextlib.contextmanager
def corrupted(
    variables: Sequence[tf.Variable], faults: Sequence[WeightFault]
) -> Iterator[list[Corruption]]:
    """Keep faults in variables within a `with` block.

    At its end each faulty variable has the bits it had at the start, also after an
    exception; what the program assigned to it in between is undone.

    Args:
      variables: those of the program.
      faults: applied in this order.

    Yields:
      What each fault changed.

    Raises:
      InputError: a fault does not fit its variable; none is changed then.
    """
    injected = [find(variables, fault.variable) for fault in faults]
    faults = [_fitted(f, v) for f, v in zip(faults, injected, strict=True)]
    before = {id(v): (v, v.numpy()) for v in injected}
    try:
        yield [
            _corrupt(fault, variable)
            for fault, variable in zip(faults, injected, strict=True)
        ]
    finally:
        for variable, value in before.values():
            variable.assign(value)


def _fitted(fault: WeightFault, variable: tf.Variable) -> WeightFault:
    """Return a fault with flat indices and words, once it fits its variable."""
    name, dtype = name_of(variable), variable.dtype.name
    if dtype not in ELEMENTS:
        raise InputError(f"{name}: elements of type {dtype} cannot carry faults")
    if fault.values is not None and (len(fault.words) or fault.keep):
        raise InputError(f"{name}: values and words of one fault; give one of them")
    shape = tuple(variable.shape)
    elements = [flat_index(name, e, shape) for e in indices_of(fault.elements)]
    words = tuple(integer("word", word) for word in fault.words)
    keep = integer("keep", fault.keep)
    if fault.values is not None:
        values = map(as_number, flat_list(fault.values))
        words = tuple(word_of(name, value, dtype) for value in values)
    fault = dataclasses.replace(
        fault, elements=elements, keep=keep, words=words, values=None
    )
    _check(fault, name, dtype, math.prod(shape))
    return fault


def _check(fault: WeightFault, name: str, dtype: str, size: int) -> None:
    elements = list(fault.elements)
    if not elements or len(set(elements)) != len(elements):
        raise InputError(
            f"{name}: elements {elements[:5]} must be distinct, at least 1"
        )
    wrong = [e for e in elements if not 0 <= e < size]
    if wrong:
        raise InputError(f"{name}: element {wrong[0]} is outside [0, {size})")
    if len(fault.words) not in (1, len(elements)):
        raise InputError(
            f"{name}: {len(fault.words)} words for {len(elements)} elements; give one, "
            "or one for each"
        )
    bits = ELEMENTS[dtype].bits
    wide = [w for w in fault.words if not 0 <= w < 1 << bits]
    if wide:
        raise InputError(f"{name}: word {wide[0]:#x} is wider than {bits} bits")


def _corrupt(fault: WeightFault, variable: tf.Variable) -> Corruption:
    value = variable.numpy()
    words = to_words(value.reshape(-1))
    elements = np.asarray(fault.elements, np.int64)
    golden = words[elements]
    layout = ELEMENTS[value.dtype.name]
    keep = np.uint64(fault.keep & layout.mask)
    faulty = (golden & keep) ^ np.array(fault.words, np.uint64)
    words[elements] = faulty
    variable.assign(from_words(words, value.dtype.name).reshape(value.shape))
    return Corruption(name_of(variable), elements, golden, faulty)
