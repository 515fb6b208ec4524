# SPDX-License-Identifier: Apache-2.0
"""A merged convolution and bias do, bit for bit, what the two layers do."""

import functools
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import assert_same_bits, in_mode
from tpufi.descriptor import Descriptor, disarmed, fault_row, read_record
from tpufi.layers import Bias, Biased, Conv2D, Hooks, Node, Run, Sequence
from tpufi.layers.lowering import BRANCH, SELECT
from tpufi.site_table import SiteTable

SHAPE, IMAGES = (6, 5, 3), 2
LAYERS = Conv2D("conv", 4, 3, 2), Bias("conv_bias")
NODES = {"merged": Biased(*LAYERS), "apart": Sequence(LAYERS)}
TABLE = SiteTable(
    tuple(
        site
        for layer, shape in NODES["merged"].layers(SHAPE)
        for site in layer.sites(shape, IMAGES, "float32")
    )
)
SITES = [site.name for site in TABLE]
MODES = ("eager", "graph")  # Compiled programs merge nothing.
BETWEEN = "conv/forward/output", "conv_bias/forward/input"
_NAN = 0x7FC01234


class Done(NamedTuple):
    """Results by name, and the record."""

    results: dict[str, tf.Tensor]
    record: tf.Tensor


@functools.cache
def program(kind: str, mode: str, lowering: str = BRANCH, rows: int = 1):
    """Return a function of a fault; traced once for all tests."""
    rng = np.random.default_rng(5)
    x = tf.constant(rng.standard_normal((IMAGES, *SHAPE)), tf.float32)
    node: Node = NODES[kind]
    weights = {
        weight.name: tf.constant(rng.standard_normal(weight.shape), tf.float32)
        for layer, shape in node.layers(SHAPE)
        for weight in layer.parameters(shape)
    }
    output = IMAGES, *node.output_shape(SHAPE)
    dy = tf.constant(rng.standard_normal(output), tf.float32)

    def traced(faults: tf.Tensor, words: tf.Tensor) -> Done:
        hooks = Hooks(TABLE, tf.constant(0, tf.int64), faults, words, lowering)
        probe = tf.zeros(hooks.record_shape)
        with tf.GradientTape() as tape:
            tape.watch([x, *weights.values(), probe])
            y = node(x, Run(weights, {}, True, hooks, probe))
        dx, *gradients, record = tape.gradient(y, [x, *weights.values(), probe], dy)
        return Done(
            {"y": y, "dx": dx, **dict(zip(weights, gradients, strict=True))}, record
        )

    run = in_mode(mode, traced)
    return lambda fault: run(tf.constant(fault.faults), tf.constant(fault.words))


def rows(*faults: Descriptor) -> Descriptor:
    """Return one descriptor with the rows of several."""
    return Descriptor(
        np.concatenate([fault.faults for fault in faults]),
        np.concatenate([fault.words for fault in faults]),
    )


def strike(site: str, **how: object) -> Descriptor:
    return fault_row(site=TABLE.id_of(site), **{"replica": 0, **how})


def check_same(fault: Descriptor, mode: str) -> Done:
    merged, apart = (program(kind, mode)(fault) for kind in NODES)
    assert merged.results.keys() == apart.results.keys()
    for name, tensor in merged.results.items():
        assert_same_bits(tensor.numpy(), apart.results[name].numpy())
    assert_same_bits(merged.record.numpy(), apart.record.numpy())
    return merged


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("site", SITES)
def test_a_fault_at_any_site_has_the_results_and_the_record_of_two_layers(site, mode):
    words = [_NAN, 0x7F800000, 0x3F800001]
    count = min(len(words), TABLE[TABLE.id_of(site)].size)
    given = strike(site, rule="words", start=1, count=count, words=words[:count])
    struck = check_same(given, mode)
    (row,) = read_record(struck.record.numpy())
    assert row.count == count
    size, bits = TABLE[TABLE.id_of(site)].size, (1 << 32) - 1
    rare = {"rule": "error_rate", "keep": bits, "words": [7, 1 << 28]}
    check_same(strike(site, start=0, count=size, **rare), mode)


@pytest.mark.parametrize("mode", MODES)
def test_without_a_fault_both_are_the_same(mode):
    check_same(disarmed(), mode)


@pytest.mark.parametrize("mode", MODES)
def test_faults_at_both_sites_between_meet_in_the_elements_they_share(mode):
    first = strike(BETWEEN[0], rule="words", start=3, count=4, words=[_NAN] * 4)
    second = strike(BETWEEN[1], rule="add", start=5, count=4, words=[0x40000000] * 4)
    done = check_same(rows(first, second), mode)
    golden = program("merged", mode)(disarmed())
    changed = np.flatnonzero(done.results["y"].numpy() != golden.results["y"].numpy())
    assert changed.tolist() == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operand", ["input", "weight"])
def test_a_fault_confined_to_some_results_changes_those_only(operand, mode):
    fault = strike(
        f"conv/forward/{operand}", rule="words", start=0, count=9, words=[_NAN] * 9,
        confine=(2, 7, 3),
    )  # fmt: skip
    check_same(fault, mode)


def test_the_merged_program_adds_the_bias_to_the_convolution_itself():
    fault = disarmed()
    hooks = lambda *operands: Hooks(TABLE, tf.constant(0, tf.int64), *operands)  # noqa: E731
    weights = {"conv/kernel": tf.ones([3, 3, 3, 4]), "conv_bias/bias": tf.ones([4])}

    @tf.function(autograph=False)
    def traced(faults: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        given = hooks(faults, words)
        run = Run(weights, {}, True, given, tf.zeros(given.record_shape))
        return NODES["merged"](tf.ones([IMAGES, *SHAPE]), run)

    graph = traced.get_concrete_function(fault.faults, fault.words).graph
    (convolution,) = [op for op in graph.get_operations() if op.type == "Conv2D"]
    (reader,) = convolution.outputs[0].consumers()
    assert reader.type == "BiasAdd"


def test_a_compiled_program_takes_the_two_layers():
    fault = strike(BETWEEN[0], rule="words", start=3, count=1, words=[_NAN])
    merged, apart = (program(kind, "xla", SELECT)(fault) for kind in NODES)
    for name, tensor in merged.results.items():
        assert_same_bits(tensor.numpy(), apart.results[name].numpy())
