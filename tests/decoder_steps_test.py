# SPDX-License-Identifier: Apache-2.0
"""Training steps of a decoder: faults are where they say, and training learns."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.drawn_examples import drawn_examples
from tests.small_decoder import SMALL_DECODER
from tpufi.cli.golden import COMMAND as golden
from tpufi.data import Batches, Text, python_text
from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, read_record, replacing
from tpufi.element import to_words
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig
from tpufi.layers import Run
from tpufi.models import workload
from tpufi.models.decoder import architecture
from tpufi.optimizers import SGD
from tpufi.training import Program, Session, initial_state, same_state
from tpufi.training.state import to_arrays

REPLICAS, WINDOWS, RATE = 2, 3, 0.001
WORD = np.array([0x40490FDB], np.uint64)


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(SMALL_DECODER, REPLICAS, WINDOWS)


@pytest.fixture(scope="module")
def state():
    return initial_state(SMALL_DECODER, 1)


def _batch(seed: int = 0) -> tuple[Batch, np.ndarray]:
    rng = np.random.default_rng(seed)
    examples = drawn_examples(SMALL_DECODER, rng, (REPLICAS, WINDOWS))
    present = np.ones((REPLICAS, WINDOWS), bool)
    return Batch(*examples, present), np.zeros((REPLICAS, 2), np.uint32)


@pytest.mark.slow
def test_a_fault_in_every_site_is_injected_in_one_trace(program, state):
    batch, keys = _batch()
    for site_id, site in enumerate(program.table):
        replica = 0 if site.direction == "update" else site_id % REPLICAS
        fault = replacing(site_id, replica, np.array([site.size - 1]), WORD)
        result = program.step(state, batch, keys, RATE, fault)
        assert read_record(result.record)[0].count == 1, site.name
    assert program.traces == 1


def test_the_same_steps_give_the_same_bits(program, state):
    ends = []
    for _ in range(2):
        own = state
        for number in range(3):
            own = program.step(own, *_batch(number), RATE).state
        ends.append(own)
    assert same_state(*ends)


def _look(program: Program, state, site: str, fault: Descriptor) -> np.ndarray:
    """Return the bits of a whole site in replica 1, as the record shows them."""
    site_id = program.table.id_of(site)
    size = program.table[site_id].size
    words = np.zeros(size, np.uint64)
    all_of_it = replacing(site_id, 1, np.arange(size), words, capacity=size)
    both = Descriptor(
        np.concatenate([fault.faults, all_of_it.faults]),
        np.concatenate([fault.words, all_of_it.words]),
    )
    result = program.step(state, *_batch(), RATE, both)
    injected, looked = read_record(result.record)
    assert injected.count == 1 and looked.count == size
    return looked.golden


@pytest.mark.parametrize(
    ("injected", "next_reader"),
    [
        ("block1_softmax/grad_in/output", "block1_scores/grad_in/input"),
        ("block1_softmax/grad_in/output", "block1_scores/grad_wt/weight"),
        ("block0_context/grad_in/output", "block0_softmax/grad_in/input"),
        ("block1_scores/forward/output", "block1_softmax/forward/input"),
        ("block0_softmax/forward/output", "block0_context/grad_wt/input"),
    ],
)
def test_a_fault_around_the_scores_changes_exactly_its_element(
    program, state, injected, next_reader
):
    table = program.table
    site_id, size = table.id_of(injected), table[table.id_of(injected)].size
    assert table[table.id_of(next_reader)].size == size
    # Replica 0 does not enter what is looked at in replica 1.
    for position in (0, size // 2, size - 1):
        place = np.array([position])
        elsewhere = replacing(site_id, 0, place, WORD, capacity=size)
        here = replacing(site_id, 1, place, WORD, capacity=size)
        clean = _look(program, state, next_reader, elsewhere)
        faulty = _look(program, state, next_reader, here)
        assert np.flatnonzero(clean != faulty).tolist() == [position]
        assert faulty[position] == WORD[0]


@pytest.mark.slow
def test_a_compiled_step_equals_the_graph_for_a_fault_in_some_sites():
    # One block, in float64, where rounding does not hide a difference.
    work = dataclasses.replace(
        SMALL_DECODER,
        model=architecture(blocks=1, width=8, heads=2),
        dtype="float64",
        optimizer=SGD(),
    )
    start = initial_state(work, 1)
    graph, compiled = (
        Program(work, REPLICAS, WINDOWS, compiled=jit) for jit in (False, True)
    )
    names = ("embedding/grad_wt/input", "block0_softmax/grad_in/output")
    for name in (None, *names):
        fault = None
        if name:
            word = to_words(np.array([3.0]))
            fault = replacing(graph.table.id_of(name), 1, np.array([6]), word)
        a, b = (p.step(start, *_batch(), RATE, fault) for p in (graph, compiled))
        assert a.loss == pytest.approx(b.loss, rel=1e-12)
        if fault is not None:
            counts = [read_record(r.record)[0].count for r in (a, b)]
            assert counts == [1, 1]
        x, y = to_arrays(a.state), to_arrays(b.state)
        for weight, array in x.items():
            np.testing.assert_allclose(array, y[weight], rtol=1e-12, atol=1e-14)
    assert compiled.traces == 2


def _session(text: Text, seed: int = 1) -> Session:
    batches = Batches(text, seed, REPLICAS, 8, test_per_replica=5)
    return Session(Program(SMALL_DECODER, REPLICAS, 8), batches, seed, 0.01)


def test_training_learns_the_text_and_evaluation_is_the_mean_over_its_tokens():
    text = Text("rhyme", b"one two three four five once I caught a fish " * 40, 6)
    session = _session(text)
    state = session.initial_state()
    losses = []
    for number in range(40):
        result = session.step(state, number)
        state = result.state
        losses.append(result.loss)
    assert losses[0] == pytest.approx(np.log(256), abs=0.5)
    assert np.mean(losses[-5:]) < losses[0] - 2.5

    tokens, labels = text.test_examples(slice(None))
    assert len(labels) % (REPLICAS * 5)  # The last batch is not full.
    logits = SMALL_DECODER.model(tf.constant(tokens), Run(state.parameters, {}))
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    loss, accuracy = session.evaluate(state)
    assert loss == pytest.approx(float(tf.reduce_mean(each)), rel=1e-5)
    right = np.argmax(logits, -1) == labels
    assert accuracy == right.mean()


def test_the_loss_of_a_step_is_the_mean_over_all_tokens_of_all_replicas(program, state):
    batch, keys = _batch()
    tokens = batch.images.reshape(-1, 6)
    logits = SMALL_DECODER.model(tf.constant(tokens), Run(state.parameters, {}))
    labels = batch.labels.reshape(-1, 6)
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    result = program.step(state, batch, keys, RATE)
    assert result.loss == pytest.approx(float(tf.reduce_mean(each)), rel=1e-6)
    assert result.accuracy == (np.argmax(logits, -1) == labels).mean()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("decoder", "synthetic:10", r"float32 \(32, 32, 3\); expected int32 \(64,\)"),
        ("resnet18", "python-text", r"int32 \(64,\); expected float32 \(32, 32, 3\)"),
    ],
)
def test_data_of_another_kind_are_refused(name, data, words):
    with pytest.raises(InputError, match=words):
        GoldenConfig(name, data).session()


@pytest.mark.slow
def test_the_tool_trains_a_golden_run_on_the_text_of_python(tmp_path):
    options = ["--model", "decoder", "--data", "python-text", "--steps", "3"]
    size = ["--replicas", "2", "--per-replica", "4"]
    assert golden.main([*options, *size, "--out", str(tmp_path / "run")]) == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["environment"]["data_digest"] == python_text().digest
    lines = (tmp_path / "run" / "steps.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 3
    assert losses[0] == pytest.approx(np.log(256), abs=0.5)
    checkpoint = np.load(tmp_path / "run" / "state_00000003.npz")
    first = to_arrays(initial_state(workload("decoder"), 123))
    name = "parameters/embedding/table"
    assert (checkpoint[name] != first[name]).any()
