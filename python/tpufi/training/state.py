# SPDX-License-Identifier: Apache-2.0
"""The state of a training run: everything a step reads and writes.

States are values. A step returns a new one and leaves the old one whole, so any number
of experiments can fork from one state.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.element import element
from tpufi.layers.layer import Shape
from tpufi.random import derive
from tpufi.workload import Workload

Tensors = dict[str, tf.Tensor]


class State(NamedTuple):
    """Weights, optimiser slots and statistics, by name.

    Args:
      parameters: trained weights.
      slots: optimiser slots, `weight/slot`.
      statistics: moving averages.
      updates: int64 scalar, number of updates done.
      sent: what each replica gave its link in the step before, by parameter name and
        behind an axis of replicas: a stale link hands it on. Empty after the step of
        any other program; digests and comparisons leave it out.
    """

    parameters: Tensors
    slots: Tensors
    statistics: Tensors
    updates: tf.Tensor
    sent: Tensors | tuple[()] = ()


def initial_state(workload: Workload, seed: int) -> State:
    """Return the state before the first update, a pure function of the seed."""

    def first(weights: tuple) -> Tensors:
        return {
            w.name: tf.constant(
                w.initial(derive(seed, "initial", w.name), w.shape), workload.dtype
            )
            for w in weights
        }

    slots = {
        name: tf.zeros(shape, workload.dtype)
        for name, shape in _shapes(workload)["slots"].items()
    }
    return State(
        first(workload.parameters),
        slots,
        first(workload.statistics),
        tf.zeros([], tf.int64),
    )


def to_arrays(state: State) -> dict[str, np.ndarray]:
    """Return the state as arrays under `group/name` keys.

    On the host they are the tensors' own memory, not copies: for reading only.
    """
    arrays = {"updates": np.asarray(state.updates)}
    for group in ("parameters", "slots", "statistics"):
        for name, tensor in getattr(state, group).items():
            arrays[f"{group}/{name}"] = np.asarray(tensor)
    return arrays


def from_arrays(workload: Workload, arrays: dict[str, np.ndarray]) -> State:
    """Return the state that `to_arrays` wrote.

    Raises:
      ValueError: a tensor is missing, has another shape, or is not of this workload.
    """
    arrays = {name: _typed(array, workload) for name, array in arrays.items()}
    shapes = _shapes(workload)
    expected: dict[str, tuple[str, Shape]] = {"updates": ("int64", ())}
    for group, members in shapes.items():
        for name, shape in members.items():
            expected[f"{group}/{name}"] = (workload.dtype, shape)
    if unknown := sorted(arrays.keys() ^ expected.keys()):
        raise ValueError(
            f"state does not fit workload {workload.name}: {unknown[0]!r} is missing "
            f"or unknown ({len(unknown)} such tensors)"
        )
    for name, array in arrays.items():
        dtype, shape = expected[name]
        if (array.dtype.name, array.shape) != (dtype, shape):
            raise ValueError(
                f"state does not fit workload {workload.name}: {name} is {array.dtype} "
                f"{array.shape}, expected {dtype} {shape}"
            )

    def group_of(which: str) -> Tensors:
        return {name: tf.constant(arrays[f"{which}/{name}"]) for name in shapes[which]}

    return State(
        group_of("parameters"),
        group_of("slots"),
        group_of("statistics"),
        tf.constant(arrays["updates"]),
    )


def _typed(array: np.ndarray, workload: Workload) -> np.ndarray:
    """Return a bfloat16 array as one; numpy's files forget the type and keep bytes."""
    layout = element(workload.dtype).numpy
    forgotten = array.dtype.kind == "V" and array.dtype.itemsize == layout.itemsize
    return array.view(layout) if forgotten else array


def _shapes(workload: Workload) -> dict[str, dict[str, Shape]]:
    """Return the shapes of the tensors of each group of a state."""
    return {
        "parameters": {w.name: w.shape for w in workload.parameters},
        "slots": {
            f"{w.name}/{slot}": w.shape
            for w in workload.parameters
            for slot in workload.optimizer.slots()
        },
        "statistics": {w.name: w.shape for w in workload.statistics},
    }


def same_state(a: State, b: State) -> bool:
    """Tell whether two states are equal bit for bit.

    Smallest tensors first: states that differ mostly do so in all of them, and a
    tensor that is not looked at does not have to come from its device.
    """
    tensors = [
        (x, getattr(b, group)[name])
        for group in ("parameters", "slots", "statistics")
        for name, x in getattr(a, group).items()
    ]
    tensors.append((a.updates, b.updates))
    tensors.sort(key=lambda pair: pair[0].shape.num_elements())
    return all(_same_bits(np.asarray(x), np.asarray(y)) for x, y in tensors)


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    words = np.dtype(f"u{a.dtype.itemsize}")
    return a.dtype == b.dtype and np.array_equal(a.view(words), b.view(words))


def state_digest(state: State) -> str:
    """Return the SHA-256 of all tensors of a state, in a fixed order."""
    digest = hashlib.sha256()
    for name, array in to_arrays(state).items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
