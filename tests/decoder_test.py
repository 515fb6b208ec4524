# SPDX-License-Identifier: Apache-2.0
"""The decoder has the sites and the parts that it should."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import assert_same_bits
from tests.small_decoder import SMALL_DECODER
from tpufi.errors import InputError
from tpufi.faults.injection import Injection
from tpufi.layers import (
    Attention,
    AttentionContext,
    AttentionScores,
    CausalSoftmax,
    Run,
    Sequence,
)
from tpufi.models import workload
from tpufi.models.decoder import linear
from tpufi.training import initial_state


def test_parameters_are_those_of_the_table_in_the_docs():
    work = workload("decoder")
    assert len(work.parameters) == 70
    block = 4 * (64 * 64 + 64) + (64 * 256 + 256) + (256 * 64 + 64) + 2 * 2 * 64
    total = (256 + 64) * 64 + 4 * block + 2 * 64 + (64 * 256 + 256)
    assert sum(math.prod(w.shape) for w in work.parameters) == total == 237_184
    assert work.statistics == ()


def test_a_window_takes_the_multiplications_of_its_products():
    work = workload("decoder")
    block = 4 * 64 * 64 + 2 * 64 * 256 + 2 * 64 * 64
    macs = sum(layer.macs(shape, 1) for layer, shape in work.layers)
    assert macs == 64 * (4 * block + 64 * 256)


def test_first_vectors_have_deviation_0_02():
    weights = initial_state(workload("decoder"), 4).parameters
    for table in ("embedding/table", "position/table"):
        assert np.std(weights[table]) == pytest.approx(0.02, rel=0.02)


VECTORS, SCORES, HIDDEN, KERNEL = (3, 64, 64), (3, 4, 64, 64), (3, 64, 256), (64, 64)
PRODUCT = ("input", "weight", "output")
BOTH = (("forward", "grad_in"), ("input", "output"))


def _sites_of_a_block() -> dict[str, tuple[int, ...]]:
    """Every site of a block at three windows, written out."""
    found = {}

    def add(layer: str, directions, operands, *shapes: tuple[int, ...]) -> None:
        names = [f"{layer}/{d}/{o}" for d in directions for o in operands]
        each = shapes * len(names) if len(shapes) == 1 else shapes
        found.update(zip(names, each, strict=True))

    every = ("forward", "grad_in", "grad_wt")
    for norm in ("norm1", "norm2"):
        names = ("input", "mean", "inverse_deviation", "weight", "bias", "output")
        each = (3, 64)
        add(norm, ["forward"], names, VECTORS, each, each, (64,), (64,), VECTORS)
        add(norm, ["grad_in"], ("input", "output"), VECTORS)
        add(norm, ["grad_wt"], ("output", "bias_output"), (64,))
    dense = [("query", VECTORS, VECTORS), ("key", VECTORS, VECTORS)]
    dense += [("value", VECTORS, VECTORS), ("projection", VECTORS, VECTORS)]
    dense += [("expand", VECTORS, HIDDEN), ("contract", HIDDEN, VECTORS)]
    for name, x, y in dense:
        kernel, turned = (x[-1], y[-1]), (x[-1], *x[:-1])
        shapes = (x, kernel, y, y, kernel[::-1], x, turned, y, kernel)
        add(name, every, PRODUCT, *shapes)
        add(f"{name}_bias", ["forward"], PRODUCT, y, y[-1:], y)
        add(f"{name}_bias", ["grad_in"], ["output"], y)
        add(f"{name}_bias", ["grad_wt"], ("input", "output"), y, y[-1:])
    x, s = VECTORS, SCORES
    add("scores", every, PRODUCT, x, x, s, s, x, x, x, s, x)
    add("context", every, PRODUCT, s, x, x, x, x, s, s, x, x)
    add("softmax", *BOTH, SCORES)
    add("gelu", *BOTH, HIDDEN)
    return found


@pytest.mark.parametrize("block", range(4))
def test_a_block_has_these_sites_and_no_other(block):
    prefix = f"block{block}_"
    expected = {f"{prefix}{n}": shape for n, shape in _sites_of_a_block().items()}
    table = workload("decoder").sites(per_replica=3)
    ours = {
        s.name: s.shape
        for s in table
        if s.layer.startswith(prefix) and s.direction != "update"
    }
    assert ours == expected


def test_embeddings_loss_and_updates_have_sites():
    table = workload("decoder").sites(per_replica=3)
    for name, shape in {
        "embedding/forward/weight": (256, 64),
        "embedding/forward/output": VECTORS,
        "embedding/grad_wt/input": VECTORS,
        "embedding/grad_wt/output": (256, 64),
        "position/forward/weight": KERNEL,
        "position/grad_wt/output": KERNEL,
        "loss/forward/input": (3, 64, 256),
        "loss/forward/output": (3, 64),
        "loss/grad_in/output": (3, 64, 256),
        "embedding/table/update/second_moment": (256, 64),
    }.items():
        assert table[table.id_of(name)].shape == shape, name
    assert not any(s.name.startswith("embedding/grad_in") for s in table)


@pytest.mark.parametrize(
    ("stage", "layer", "fmodel", "site"),
    [
        ("fwrd_inject", "block2_scores", "RD", "block2_scores/forward/output"),
        (
            "bkwd_inject",
            "block0_softmax_grad_in",
            "RD",
            "block0_softmax/grad_in/output",
        ),
        (
            "bkwd_inject",
            "block1_context_grad_wt",
            "WT",
            "block1_context/grad_wt/weight",
        ),
        ("bkwd_inject", "embedding_grad_wt", "INPUT", "embedding/grad_wt/input"),
    ],
)
def test_an_injection_can_name_attention_and_embedding(stage, layer, fmodel, site):
    injection = Injection(
        "decoder", stage, fmodel, 0, layer, 0, 0, ((0,) * 3,), (1.0,), 0.001
    )
    table = workload("decoder").sites()
    rank = len(table[table.id_of(site)].shape)
    injection = Injection(
        "decoder", stage, fmodel, 0, layer, 0, 0, ((0,) * rank,), (1.0,), 0.001
    )
    assert injection.resolve(table).name == site


def test_a_position_outside_the_scores_is_not_taken_for_an_example_too_many():
    outside = ((0, 0, 64, 0),)
    injection = Injection(
        "decoder", "bkwd_inject", "WT", 0, "block0_scores_grad_wt", 0, 0, outside,
        (1.0,), 0.001,
    )  # fmt: skip
    with pytest.raises(InputError, match="index 2 is 64; .* correct the position"):
        injection.resolve(workload("decoder").sites())


def test_a_token_changes_no_prediction_before_it():
    work = SMALL_DECODER
    run = Run(initial_state(work, 3).parameters, {})
    tokens = np.arange(6, dtype=np.int32)[np.newaxis]
    before = work.model(tf.constant(tokens), run).numpy()
    for place in range(6):
        other = tokens.copy()
        other[0, place] = 200
        after = work.model(tf.constant(other), run).numpy()
        assert_same_bits(after[:, :place], before[:, :place])
        assert (after[:, place] != before[:, place]).any()


def test_parts_of_an_attention_that_do_not_fit_are_refused():
    def attention(key: int, value: int) -> Attention:
        return Attention(
            Sequence((linear("query", 8),)),
            Sequence((linear("key", key),)),
            Sequence((linear("value", value),)),
            AttentionScores("scores", 2),
            CausalSoftmax("softmax"),
            AttentionContext("context", 8),
        )

    assert attention(8, 8).output_shape((6, 8)) == (6, 8)
    for widths in ((4, 8), (8, 4)):
        with pytest.raises(ValueError, match="differ in shape"):
            attention(*widths).output_shape((6, 8))
