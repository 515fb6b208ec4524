# SPDX-License-Identifier: Apache-2.0
"""A training step with virtual replicas: one trace, exact controls, real replicas."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from tests.modes import assert_same_bits
from tests.one_replica import replica_passes
from tests.tiny_workload import TINY, tiny_batch
from tpufi.data.batches import Batch
from tpufi.descriptor import (
    EVERY_REPLICA,
    Descriptor,
    disarmed,
    read_record,
    replacing,
)
from tpufi.element import to_words
from tpufi.layers import Bias, Sequence
from tpufi.optimizers import SGD
from tpufi.training import Program, State, initial_state, same_state
from tpufi.training.state import to_arrays
from tpufi.training.step_values import ReplicaResult

REPLICAS, PER_REPLICA = 3, 4
RATE = 0.01
NAN = np.array([0x7FC00000], np.uint64)
# Where rounding must not hide a difference.
EXACT = dataclasses.replace(TINY, dtype="float64", optimizer=SGD())


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(TINY, REPLICAS, PER_REPLICA)


@pytest.fixture(scope="module")
def state() -> State:
    return initial_state(TINY, 1)


def _batch(replicas: int = REPLICAS, per_replica: int = PER_REPLICA, seed: int = 0):
    return tiny_batch(replicas, per_replica, seed)


def _exact_batch(replicas: int, per_replica: int) -> tuple[Batch, np.ndarray]:
    batch, keys = _batch(replicas, per_replica)
    return batch._replace(images=batch.images.astype(np.float64)), keys


def _fault(program: Program, site: str, replica: int, words=NAN) -> Descriptor:
    site_id = program.table.id_of(site)
    return replacing(site_id, replica, np.arange(len(words)), words)


class Replicas:
    """What each replica contributes, before the reduction; one trace."""

    def __init__(self, workload, state, batch: Batch, keys: np.ndarray):
        self.count, self.per_replica = batch.labels.shape
        self.table = workload.sites(self.per_replica)
        self._workload, self._state = workload, state
        self._batch, self._keys = batch, keys
        self._run = tf.function(self._traced, autograph=False)

    def __call__(self, replica: int, fault: Descriptor | None = None) -> ReplicaResult:
        fault = fault or disarmed()
        return self._run(
            tf.constant(self._batch.images[replica]),
            tf.constant(self._batch.labels[replica]),
            tf.constant(self._keys[replica]),
            tf.constant(replica, tf.int64),
            tf.constant(fault.faults),
            tf.constant(fault.words),
        )

    def _traced(self, images, labels, key, replica, faults, words) -> ReplicaResult:
        inputs, fault = (images, labels, key), (faults, words)
        return replica_passes(
            self._workload, self._state, inputs, fault, self.count, replica
        )


@pytest.fixture(scope="module")
def replicas(state) -> Replicas:
    return Replicas(TINY, state, *_batch())


def test_two_traces_serve_clean_steps_and_a_fault_in_every_site(program, state):
    batch, keys = _batch()
    program.step(state, batch, keys, RATE)
    rng = np.random.default_rng(3)
    assert len(program.table) >= 100
    for site_id, site in enumerate(program.table):
        # The update is done once, in the name of replica 0.
        replica = 0 if site.direction == "update" else int(rng.integers(REPLICAS))
        count = min(site.size, int(rng.integers(1, 65)))
        start = int(rng.integers(0, site.size - count + 1))
        words = rng.integers(0, 1 << 32, count, np.uint64)
        fault = replacing(site_id, replica, np.arange(start, start + count), words)
        result = program.step(state, batch, keys, RATE, fault)
        (injected,) = read_record(result.record)
        assert injected.count == count, site.name
    program.step(state, batch, keys, RATE, disarmed())
    program.step(state, batch, keys, RATE)
    assert program.traces == 2


def test_a_fault_of_every_replica_is_injected_into_each_of_them_and_the_update_once(
    program, state
):
    batch, keys = _batch()
    for site, count in (
        ("conv1/forward/output", REPLICAS),
        ("conv1/grad_wt/output", REPLICAS),
        ("conv1/kernel/update/gradient", 1),
    ):
        fault = _fault(program, site, EVERY_REPLICA)
        result = program.step(state, batch, keys, RATE, fault)
        assert read_record(result.record)[0].count == count, site


def test_an_armed_step_without_a_fault_equals_a_clean_one_by_bits(program, state):
    ours = theirs = state
    for step in range(4):
        batch, keys = _batch(seed=step)
        a, b = (
            program.step(s, batch, keys, RATE, fault)
            for s, fault in ((ours, disarmed()), (theirs, None))
        )
        assert (a.loss, a.accuracy) == (b.loss, b.accuracy)
        assert read_record(a.record)[0].count == 0 and b.record is None
        ours, theirs = a.state, b.state
        assert same_state(ours, theirs), f"step {step}"
    assert not same_state(ours, state)


def test_a_fault_of_an_absent_replica_changes_no_bit(program, state):
    batch, keys = _batch()
    clean = program.step(state, batch, keys, RATE)
    for site in program.table:
        fault = _fault(program, site.name, REPLICAS)
        result = program.step(state, batch, keys, RATE, fault)
        assert read_record(result.record)[0].count == 0, site.name
        assert same_state(result.state, clean.state), site.name


def test_the_same_step_gives_the_same_bits_and_leaves_its_state_alone(program, state):
    before = {name: array.copy() for name, array in to_arrays(state).items()}
    batch, keys = _batch()
    injected = _fault(program, "conv1/forward/output", 1)
    for fault in (None, disarmed(), injected):
        first = program.step(state, batch, keys, RATE, fault)
        for _ in range(3):
            again = program.step(state, batch, keys, RATE, fault)
            assert same_state(first.state, again.state)
            np.testing.assert_equal(first.loss, again.loss)
            if fault is not None:
                assert_same_bits(first.record, again.record)
    for name, array in to_arrays(state).items():
        assert array.tobytes() == before[name].tobytes(), name


@pytest.mark.parametrize(
    "site",
    [
        "conv1/forward/output",
        "block_conv1/forward/weight",
        "block_bn2/forward/mean",
        "block_dropout1/forward/mask",
        "block_downsample/grad_in/input",
        "block_conv2/grad_wt/weight",
        "block_bn1/grad_wt/output",
        "fc/grad_in/weight",
        "loss/grad_in/output",
    ],
)
def test_a_fault_in_one_replica_stays_there_until_the_reduction(
    program, replicas, site
):
    fault = _fault(program, site, 1)
    for replica in range(REPLICAS):
        clean, faulty = replicas(replica), replicas(replica, fault)
        changed = [
            not np.array_equal(to_words(a.numpy()), to_words(b.numpy()))
            for a, b in zip(
                tf.nest.flatten(clean), tf.nest.flatten(faulty), strict=True
            )
        ]
        assert any(changed) == (replica == 1)
        (injected,) = read_record(faulty.record.numpy())
        assert injected.count == (replica == 1)


def test_the_update_uses_the_sum_of_the_replicas_gradients():
    state = initial_state(EXACT, 2)
    batch, keys = _exact_batch(REPLICAS, PER_REPLICA)
    replicas = Replicas(EXACT, state, batch, keys)
    results = [replicas(r) for r in range(REPLICAS)]
    program = Program(EXACT, REPLICAS, PER_REPLICA)
    # A rate that is a power of two, so that only the subtraction rounds.
    step = program.step(state, batch, keys, 0.25)
    for name, weight in state.parameters.items():
        total = sum(r.gradients[name].numpy() for r in results)
        change = (weight - step.state.parameters[name]).numpy()
        np.testing.assert_allclose(change / 0.25, total, rtol=1e-12, atol=1e-14)
    for name in state.statistics:
        mean = sum(r.statistics[name].numpy() for r in results) / REPLICAS
        np.testing.assert_allclose(step.state.statistics[name], mean, rtol=1e-13)
    assert step.loss == pytest.approx(sum(float(r.loss) for r in results), rel=1e-12)
    correct = sum(int(r.correct) for r in results)
    assert step.accuracy == correct / (REPLICAS * PER_REPLICA)


def test_batch_statistics_are_those_of_each_replica():
    state = initial_state(EXACT, 2)
    batch, keys = _exact_batch(2, PER_REPLICA)
    split = Program(EXACT, 2, PER_REPLICA).step(state, batch, keys, RATE)
    variances = []
    for replica in range(2):
        kernel = state.parameters["conv1/kernel"]
        x = tf.nn.conv2d(batch.images[replica], kernel, 1, "SAME").numpy()
        variances.append(x.var((0, 1, 2)))
    expected = 0.9 * 1.0 + 0.1 * np.mean(variances, 0)
    actual = split.state.statistics["bn1/moving_variance"]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)

    merged = Batch(*(part.reshape(1, -1, *part.shape[2:]) for part in batch))
    joint = Program(EXACT, 1, 2 * PER_REPLICA).step(state, merged, keys[:1], RATE)
    other = joint.state.statistics["bn1/moving_variance"]
    assert np.abs(actual - other).max() > 1e-6


@pytest.mark.slow
def test_the_compiled_step_equals_the_graph_for_a_fault_in_every_site():
    state = initial_state(EXACT, 1)
    graph, compiled = (
        Program(EXACT, REPLICAS, PER_REPLICA, compiled=jit) for jit in (False, True)
    )
    batch, keys = _exact_batch(REPLICAS, PER_REPLICA)
    word = to_words(np.array([1e3]))
    faults = [_fault(graph, site.name, 0, word) for site in graph.table]
    for fault in (None, disarmed(), *faults):
        a, b = (p.step(state, batch, keys, RATE, fault) for p in (graph, compiled))
        if fault is not None:
            counts = [read_record(r.record)[0].count for r in (a, b)]
            assert counts == [fault.armed] * 2
        assert a.loss == pytest.approx(b.loss, rel=1e-9)
        x, y = to_arrays(a.state), to_arrays(b.state)
        for name, array in x.items():
            # Roundings of 1e-16, blown up by the fault and by norms of few images.
            np.testing.assert_allclose(array, y[name], rtol=1e-9, atol=1e-9)
    assert compiled.traces == graph.traces == 2


def test_evaluation_counts_present_images_only(program, state):
    batch, _ = _batch()
    present = np.arange(batch.labels.size).reshape(batch.labels.shape) < 7
    loss, correct = program.evaluate(state, batch._replace(present=present))
    parts = [
        program.evaluate(state, batch._replace(present=one & present))
        for one in (present.cumsum().reshape(present.shape) % 2 == k for k in (0, 1))
    ]
    assert loss == pytest.approx(parts[0][0] + parts[1][0], rel=1e-6)
    assert correct == parts[0][1] + parts[1][1] <= 7
    assert program.evaluate(state, batch._replace(present=present & False)) == (0, 0)


def test_the_initial_state_is_a_pure_function_of_the_seed():
    assert same_state(initial_state(TINY, 5), initial_state(TINY, 5))
    assert not same_state(initial_state(TINY, 5), initial_state(TINY, 6))


def _kernels(run: Callable[[], object]) -> set[str]:
    """Return the operations of all graphs as they were executed."""
    context.context().enable_run_metadata()
    run()
    metadata = context.context().export_run_metadata()
    context.context().disable_run_metadata()
    graphs = [g for f in metadata.function_graphs for g in f.partition_graphs]
    functions = [f.node_def for g in graphs for f in g.library.function]
    return {
        node.op for nodes in [*(g.node for g in graphs), *functions] for node in nodes
    }


def test_a_bias_is_added_apart_from_its_convolution():
    """A kernel for both may begin its sums with the bias (decision 0009)."""
    layers = (*TINY.model.parts[:1], Bias("bias1"), *TINY.model.parts[1:])
    workload = dataclasses.replace(TINY, model=Sequence(layers))
    program, (batch, keys) = Program(workload, 1, 2), tiny_batch(1, 2)
    state = initial_state(workload, 2)
    seen = _kernels(lambda: program.step(state, batch, keys, 0.01))
    assert any("Conv2D" in op for op in seen)
    assert not [op for op in seen if "Conv2D" in op and ("Fused" in op or "Bias" in op)]
