# SPDX-License-Identifier: Apache-2.0
"""Whole models from the plain formulas of their layers, for autodiff; no sites."""

import dataclasses

import numpy as np
import tensorflow as tf

from tests.drawn_examples import drawn_examples
from tests.layer_cases import LabelledLoss
from tests.one_replica import replica_passes
from tests.plain_layers import plain
from tpufi.descriptor import disarmed
from tpufi.layers import (
    Attention,
    Concatenation,
    Gate,
    Layer,
    Node,
    Residual,
    Sequence,
)
from tpufi.training import State, initial_state
from tpufi.workload import Workload

Weights = dict[str, tf.Tensor]


def plain_model(
    node: Node, x: tf.Tensor, weights: Weights, key: np.ndarray
) -> tf.Tensor:
    """Return the output of a part of a model in training.

    Args:
      node: the part.
      x: its input, with batch axis.
      weights: the parameters of the model by name.
      key: uint32 [2], key for dropout.
    """

    def run(part: Node, y: tf.Tensor) -> tf.Tensor:
        return plain_model(part, y, weights, key)

    match node:
        case Layer():
            own = [weights[w.name] for w in node.parameters(tuple(x.shape[1:]))]
            return plain(node, x, own, key)
        case Sequence():
            for part in node.parts:
                x = run(part, x)
            return x
        case Residual():
            return run(node.main, x) + run(node.shortcut, x)
        case Concatenation():
            return tf.concat([x, run(node.branch, x)], -1)
        case Gate():
            return x * run(node.branch, x)
        case Attention():
            scores = plain(node.scores, run(node.query, x), [run(node.key, x)], key)
            values = run(node.value, x)
            return plain(node.context, run(node.softmax, scores), [values], key)
    raise TypeError(f"no plain formula for {type(node).__name__}")


def check_whole_gradient(workload: Workload, images: int = 2) -> None:
    """Compare the handwritten gradient, with fault sites, with autodiff.

    Args:
      workload: computed in float64.
      images: drawn images of the one replica.
    """
    workload = dataclasses.replace(workload, dtype="float64")
    rng = np.random.default_rng(11)
    x, labels = drawn_examples(workload, rng, (images,))
    x = tf.constant(x)
    key = rng.integers(0, 1 << 32, 2, np.uint32)
    state = _generic(initial_state(workload, 4), rng)
    fault = disarmed()

    @tf.function(autograph=False)
    def handwritten(faults: tf.Tensor, words: tf.Tensor):
        return replica_passes(workload, state, (x, labels, key), (faults, words))

    actual = handwritten(tf.constant(fault.faults), tf.constant(fault.words))
    weights = state.parameters
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        logits = plain_model(workload.model, x, weights, key)
        mean_loss = LabelledLoss(workload.loss, tuple(labels), images)
        loss = plain(mean_loss, logits, [], key)
    expected = tape.gradient(loss, weights)
    np.testing.assert_allclose(actual.loss, loss, rtol=1e-11)
    assert actual.gradients.keys() == expected.keys()
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in expected.values())
    for name, want in expected.items():
        # A bias before a batch norm has gradient zero but for rounding, so that a
        # bound relative to the tensor alone would compare noise.
        scale = max(np.abs(want).max(), 1e-4 * largest)
        error = np.abs(actual.gradients[name] - want).max()
        assert error <= 1e-9 * scale, f"{name}: {error:.3g} of {scale:.3g}"


def _generic(state: State, rng: np.random.Generator) -> State:
    """Move all vectors and scalars off their first values, which are special.

    A skip gain of 0 hides its branch. A shift of 0 behind a channel that dropout made
    constant is a kink of the ReLU, where the derivative is a matter of taste.
    """
    moved = {
        name: w + 0.2 * rng.standard_normal(w.shape) if w.shape.rank < 2 else w
        for name, w in state.parameters.items()
    }
    return state._replace(parameters=moved)
