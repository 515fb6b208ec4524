# SPDX-License-Identifier: Apache-2.0
"""The gradient of ResNet-18 is that of formulas for the whole network."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.one_replica import replica_passes
from tests.plain_layers import dropout_mask
from tpufi.descriptor import Descriptor, disarmed, read_record, replacing
from tpufi.element import to_words
from tpufi.layers import Dropout
from tpufi.models import WORKLOADS
from tpufi.training import initial_state
from tpufi.training.step_values import ReplicaResult

pytestmark = pytest.mark.large

Weights = dict[str, tf.Tensor]
Drop = Callable[[str, tf.Tensor], tf.Tensor]

RATE = 0.15


def mean_loss(
    weights: Weights, images: np.ndarray, labels: np.ndarray, keys: np.ndarray
) -> tf.Tensor:
    """Return the mean loss over all replicas; each normalises its own batch.

    Args:
      weights: by name.
      images: float64 [replicas, batch, 32, 32, 3].
      labels: int32 [replicas, batch].
      keys: uint32 [replicas, 2], keys for dropout.
    """
    losses = []
    for x, y, key in zip(images, labels, keys, strict=True):

        def drop(name: str, z: tf.Tensor, key: np.ndarray = key) -> tf.Tensor:
            return z * tf.constant(dropout_mask(Dropout(name, RATE), z.shape, key))

        logits = _logits(weights, tf.constant(x), drop)
        losses.append(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    return tf.reduce_mean(losses)


def _logits(w: Weights, x: tf.Tensor, drop: Drop) -> tf.Tensor:
    x = tf.nn.relu(_norm(w, "bn1", _conv(w, "conv1", x, 2)))
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _block(w, f"basicblock_{stage}_basic_{block}", x, stride, drop)
    return tf.reduce_mean(x, [1, 2]) @ w["fc/kernel"] + w["fc_bias/bias"]


def _block(w: Weights, name: str, x: tf.Tensor, stride: int, drop: Drop) -> tf.Tensor:
    shortcut = x
    if stride > 1:
        shortcut = _conv(w, f"{name}_downsample", x, stride)
        shortcut = _norm(w, f"{name}_bn3", shortcut)
    x = tf.nn.relu(_norm(w, f"{name}_bn1", _conv(w, f"{name}_conv1", x, stride)))
    x = drop(f"{name}_dropout1", x)
    x = _norm(w, f"{name}_bn2", _conv(w, f"{name}_conv2", x, 1))
    return drop(f"{name}_dropout2", tf.nn.relu(x + shortcut))


def _conv(w: Weights, name: str, x: tf.Tensor, stride: int) -> tf.Tensor:
    y = tf.nn.conv2d(x, w[f"{name}/kernel"], stride, "SAME")
    return y + w[f"{name}_bias/bias"]


def _norm(w: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    if f"{name}/gamma" not in w:
        return x  # resnet18_nobn.
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    gamma, beta = w[f"{name}/gamma"], w[f"{name}/beta"]
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


REPLICAS, PER_REPLICA = 2, 2


class Gradients:
    """Forward and backward pass of one replica, in float64, with all fault sites."""

    def __init__(self, name: str):
        self.workload = dataclasses.replace(WORKLOADS[name], dtype="float64")
        self.table = self.workload.sites(PER_REPLICA)
        self.state = initial_state(self.workload, 4)
        rng = np.random.default_rng(11)
        shape = (REPLICAS, PER_REPLICA)
        self.images = rng.standard_normal((*shape, 32, 32, 3))
        self.labels = rng.integers(0, 10, shape).astype(np.int32)
        self.keys = rng.integers(0, 1 << 32, (REPLICAS, 2), np.uint32)
        self._run = tf.function(self._traced, autograph=False)

    def __call__(self, replica: int, fault: Descriptor | None = None) -> ReplicaResult:
        fault = fault or disarmed()
        return self._run(
            tf.constant(self.images[replica]),
            tf.constant(self.labels[replica]),
            tf.constant(self.keys[replica]),
            tf.constant(replica, tf.int64),
            tf.constant(fault.faults),
            tf.constant(fault.words),
        )

    def _traced(self, images, labels, key, replica, faults, words) -> ReplicaResult:
        inputs, fault = (images, labels, key), (faults, words)
        return replica_passes(
            self.workload, self.state, inputs, fault, REPLICAS, replica
        )


@pytest.fixture(scope="module")
def gradients() -> Gradients:
    return Gradients("resnet18")


@pytest.mark.parametrize("name", ["resnet18", "resnet18_nobn"])
def test_the_whole_gradient_equals_autodiff_of_a_plain_network(name, gradients):
    gradients = gradients if name == "resnet18" else Gradients(name)
    results = [gradients(replica) for replica in range(REPLICAS)]
    weights = gradients.state.parameters
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        loss = mean_loss(weights, gradients.images, gradients.labels, gradients.keys)
    expected = tape.gradient(loss, weights)
    assert sum(float(r.loss) for r in results) == pytest.approx(float(loss), rel=1e-12)
    assert len(expected) == len(gradients.workload.parameters)
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in expected.values())
    for name, want in expected.items():
        actual = sum(r.gradients[name].numpy() for r in results)
        # A bias before a batch norm has gradient zero but for rounding, so that a
        # bound relative to the tensor alone would compare noise.
        scale = max(np.abs(want).max(), 1e-4 * largest)
        assert np.abs(actual - want).max() <= 1e-9 * scale, name


def test_a_fault_in_the_stems_forward_pass_changes_what_follows(gradients):
    clean = gradients(1)
    word = to_words(np.array([1e3]))
    for operand in ("input", "weight", "output"):
        site_id = gradients.table.id_of(f"conv1/forward/{operand}")
        faulty = gradients(1, replacing(site_id, 1, np.array([77]), word))
        assert read_record(faulty.record.numpy())[0].count == 1
        assert abs(float(faulty.loss - clean.loss)) > 1e-6, operand
        last = faulty.gradients["fc/kernel"] - clean.gradients["fc/kernel"]
        assert float(tf.reduce_max(tf.abs(last))) > 1e-6, operand


def test_layers_of_equal_shape_start_with_different_kernels(gradients):
    weights = gradients.state.parameters
    a, b = (weights[f"basicblock_4_basic_1_conv{i}/kernel"] for i in (1, 2))
    assert a.shape == b.shape
    assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.01
    # Glorot: variance 2 / (fan in + fan out), here of 9 * 512 each; 0.1 % by chance.
    assert np.var(a) == pytest.approx(2 / (2 * 9 * 512), rel=0.01)
