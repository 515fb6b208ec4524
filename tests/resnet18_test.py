# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 is the artefact's network, and its gradient is right."""

import dataclasses
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.artefact_tables import artefact_sites
from tests.disarmed_steps import check_disarmed_steps
from tests.one_replica import replica_passes
from tests.resnet18_reference import mean_loss
from tpufi.descriptor import Descriptor, disarmed, read_record, replacing
from tpufi.element import to_words
from tpufi.faults.csv import read_injection
from tpufi.layers import Conv2D
from tpufi.models import WORKLOADS, workload
from tpufi.training import initial_state
from tpufi.training.step import ReplicaResult

ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLISHED = sorted((ROOT / "injections").glob("resnet18/*.csv"))
PUBLISHED += sorted((ROOT / "injections").glob("resnet18_[ns]*/*.csv"))
# Parameter tensors, parameters, and numbers in moving averages.
COUNTS = {
    "resnet18": (82, 11_186_442, 9_600),
    "resnet18_nobn": (42, 11_176_842, 0),
    "resnet18_sgd": (82, 11_186_442, 9_600),
}
NAMES = tuple(COUNTS)
REPLICAS, PER_REPLICA = 2, 2


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_statistics_are_the_artefacts(name):
    parameters, statistics = WORKLOADS[name].parameters, WORKLOADS[name].statistics
    assert COUNTS[name] == (
        len(parameters),
        sum(math.prod(w.shape) for w in parameters),
        sum(math.prod(w.shape) for w in statistics),
    )


@pytest.mark.parametrize("name", NAMES)
def test_operands_of_all_convolutions_have_the_artefacts_shapes(name):
    work, artefact = WORKLOADS[name], artefact_sites("resnet18")
    convolutions = {la.name for la, _ in work.layers if isinstance(la, Conv2D)}
    ours = {s.name: s.shape for s in work.sites() if s.layer in convolutions}
    assert len(convolutions) == 20
    assert ours == artefact


def test_the_published_injections_are_here():
    assert len(PUBLISHED) == 7


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_published_injections_name_elements_of_this_network(path):
    injection = read_injection(path, sites=lambda name: workload(name).sites())
    assert injection.model == path.parent.name
    assert injection.site_name in WORKLOADS[injection.model].sites()


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
    assert len(expected) == COUNTS[name][0]
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


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_disarmed_steps_equal_steps_without_sites_by_bits(name):
    check_disarmed_steps(WORKLOADS[name], steps=4)


def test_layers_of_equal_shape_start_with_different_kernels(gradients):
    weights = gradients.state.parameters
    a, b = (weights[f"basicblock_4_basic_1_conv{i}/kernel"] for i in (1, 2))
    assert a.shape == b.shape
    assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.01
    # Glorot: variance 2 / (fan in + fan out), here of 9 * 512 each; 0.1 % by chance.
    assert np.var(a) == pytest.approx(2 / (2 * 9 * 512), rel=0.01)
