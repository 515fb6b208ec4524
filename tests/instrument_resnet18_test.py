# SPDX-License-Identifier: Apache-2.0
"""The same fault gives the same gradient in Keras layers and in handwritten ones.

In float64, because the two round differently: Keras normalises by its own formula and
autodiff sums in its own order. The faulty element itself is compared by bits.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.keras_resnet18 import gradients_of, keras_resnet18, load
from tests.one_replica import replica_passes
from tpufi.descriptor import read_record, replacing
from tpufi.element import to_words
from tpufi.instrument import replace
from tpufi.models.resnet18 import WORKLOAD, architecture
from tpufi.training import initial_state

PER_REPLICA = 2
WORK = dataclasses.replace(WORKLOAD, model=architecture(dropout=0.0), dtype="float64")
WORD = int(to_words(np.array([1e3]))[0])


class Ours:
    """The gradients of the workload, with its own fault sites."""

    def __init__(self):
        self.table = WORK.sites(PER_REPLICA)
        self.state = initial_state(WORK, 4)
        self._run = tf.function(self._traced, autograph=False)

    def __call__(self, images, labels, site: str, position: int):
        fault = replacing(
            self.table.id_of(site), 0, np.array([position]), np.array([WORD], np.uint64)
        )
        result = self._run(images, labels, fault.faults, fault.words)
        (injected,) = read_record(result.record.numpy())
        assert injected.count == 1
        return {name: g.numpy() for name, g in result.gradients.items()}

    def _traced(self, images, labels, faults, words):
        inputs = images, labels, tf.zeros(2, tf.uint32)
        return replica_passes(WORK, self.state, inputs, (faults, words))


@pytest.fixture(scope="module")
def both():
    ours = Ours()
    model = keras_resnet18("float64")
    load(model, ours.state.parameters)
    kinds = ["Conv2DBackpropFilter", "Conv2DBackpropInput"]
    fi = tpufi.instrument(gradients_of(model, 1 / PER_REPLICA), sites=kinds)
    shape = (PER_REPLICA, 32, 32, 3)
    images = tf.random.stateless_normal(shape, (1, 2), dtype=tf.float64)
    return ours, fi, images, tf.constant([3, 7], tf.int32)


def site_of(fi, op: str, layer: str):
    """Return the site of a gradient of a layer."""
    (site,) = [s for s in fi.sites if s.op == op and f"/{layer}_1/" in f"/{s.layer}/"]
    return site


def check_alike(theirs: dict, ours: dict) -> None:
    """Compare all gradients, relative to the largest element of each tensor."""
    assert len(theirs) == len(ours) == 82
    largest = max(float(np.abs(g).max()) for g in ours.values())
    for name, gradient in theirs.items():
        layer, kind = name.split("/")
        want = ours[name if name in ours else f"{layer}_bias/{kind}"]
        # A bias before a batch norm has gradient zero but for rounding.
        scale = max(np.abs(want).max(), 1e-4 * largest)
        assert np.abs(gradient.numpy() - want).max() <= 1e-9 * scale, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    ["conv1", "basicblock_1_basic_1_conv2", "basicblock_3_basic_0_downsample"],
)
def test_a_fault_in_the_gradient_of_a_kernel(layer, both):
    ours, fi, images, labels = both
    fi.armed(images, labels)
    site = site_of(fi, "Conv2DBackpropFilter", layer)
    where = tuple(size // 2 for size in site.shape)
    element = int(np.ravel_multi_index(where, site.shape))
    height, width, channel, filter_ = where
    view = ours.table[ours.table.id_of(f"{layer}/grad_wt/output")].shape
    position = int(np.ravel_multi_index((channel, height, width, filter_), view))
    run = fi.run([replace(site.id, [element], bits=[WORD])], images, labels)
    _, theirs = run.outputs
    expected = ours(images, labels, f"{layer}/grad_wt/output", position)
    assert theirs[f"{layer}/kernel"].numpy()[where] == 1e3
    assert expected[f"{layer}/kernel"][where] == 1e3
    check_alike(theirs, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer", ["basicblock_1_basic_1_conv2", "basicblock_4_basic_0_conv1"]
)
def test_a_fault_in_the_gradient_of_an_input_spreads_alike(layer, both):
    ours, fi, images, labels = both
    golden = fi.run((), images, labels).outputs[1]["conv1/kernel"].numpy()
    site = site_of(fi, "Conv2DBackpropInput", layer)
    position = site.size // 3
    run = fi.run([replace(site.id, [position], bits=[WORD])], images, labels)
    _, theirs = run.outputs
    expected = ours(images, labels, f"{layer}/grad_in/output", position)
    assert np.abs(theirs["conv1/kernel"].numpy() - golden).max() > 1e-3
    check_alike(theirs, expected)
    assert fi.traces == 1
