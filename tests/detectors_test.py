# SPDX-License-Identifier: Apache-2.0
"""Every detector: its formula, no alarm in clean steps, an alarm for its fault."""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.detector_cases import CASES, NETWORK, Step, run_of_adam
from tests.small_decoder import SMALL_DECODER
from tests.tiny_workload import TINY
from tpufi.data import Batches, load_dataset
from tpufi.descriptor import disarmed, fault_row, replacing
from tpufi.detect import DETECTORS, WatchedSession, detector
from tpufi.detect.catalogue import SETS, named_detectors
from tpufi.detect.watch import named
from tpufi.element import to_words
from tpufi.errors import InputError
from tpufi.optimizers import SGD
from tpufi.training import Program, Session, same_state
from tpufi.training.program import step_inputs
from tpufi.training.step_values import StepInputs

pytestmark = pytest.mark.large

SMALL = dataclasses.replace(TINY, input_shape=(32, 32, 3))
WORKLOADS = {
    "small": SMALL,
    "small_sgd": dataclasses.replace(SMALL, optimizer=SGD()),
    "small_decoder": SMALL_DECODER,
}
BEFORE = 24  # Clean steps, more than any detector waits for.
every_detector = pytest.mark.parametrize("name", DETECTORS)


def _session(name: str = "small", replicas: int = 4, per_replica: int = 4) -> Session:
    workload = WORKLOADS[name]
    data = load_dataset("synthetic:64")
    if "decoder" in name:
        data = dataclasses.replace(load_dataset("python-text"), context=6)
    program = Program(workload, replicas, per_replica)
    batches = Batches(data, 3, replicas, per_replica)
    return Session(program, batches, 3, workload.learning_rate)


def _all() -> dict:
    return {name: detector(name, **CASES[name].settings) for name in DETECTORS}


class Watched:
    """A clean run of a small workload under all detectors."""

    def __init__(self, workload: str) -> None:
        self.session = WatchedSession(_session(workload), _all())
        self.state = self.session.session.initial_state()
        self.memory, self.scores = self.session.memory(), []
        for number in range(BEFORE):
            found = self.session.step(self.state, number, self.memory)
            self.state, self.memory = found.result.state, found.memory
            self.scores.append(found.scores)


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched("small")


@pytest.fixture(scope="module")
def watched_decoder() -> Watched:
    return Watched("small_decoder")


def test_every_detector_has_a_case():
    assert CASES.keys() == DETECTORS.keys()


@every_detector
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_the_score_is_that_of_the_formula(name, compiled):
    found, steps = detector(name), run_of_adam(30, seed=5)
    score = tf.function(
        lambda tensors, memory: found.score(
            Step(**tensors).signals(found), memory, NETWORK
        ),
        jit_compile=compiled,
        autograph=False,
    )
    memory, scores = found.memory(NETWORK), []
    for step in steps:
        value, memory = score(step.tensors(), memory)
        scores.append(float(value))
    expected = CASES[name].reference(steps)
    # float32 sums of 100 elements, and quotients of them.
    np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=1e-6)
    assert not any(map(found.alarms, scores))


@every_detector
def test_the_memory_keeps_its_shapes_and_types(name):
    found, (step,) = detector(name), run_of_adam(1, seed=6)
    before = found.memory(NETWORK)
    score, after = found.score(Step(**step.tensors()).signals(found), before, NETWORK)
    assert score.dtype == tf.float32 and score.shape == ()
    tf.nest.assert_same_structure(before, after)
    for a, b in zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)


def test_scores_of_clean_steps_raise_no_alarm(watched, watched_decoder):
    for run in (watched, watched_decoder):
        for scores in run.scores:
            assert run.session.alarms(scores) == ()


def test_no_sum_of_three_gradients_depends_on_who_reads_them():
    session = _session("small_decoder")
    watched = WatchedSession(session, _all())
    watched.step(session.initial_state(), 0, watched.memory())
    (traced,) = watched._clean._list_all_concrete_functions()
    graph = traced.graph.as_graph_def()
    nodes = [n for f in graph.library.function for n in f.node_def] + [*graph.node]
    sums = [
        sum(not name.startswith("^") for name in node.input)
        for node in nodes
        if node.op == "AddN" and tf.as_dtype(node.attr["T"].type).is_floating
    ]
    # The input gradients of query, key and value are three, and detectors read them.
    assert sums and max(sums) == 2


@every_detector
def test_its_fault_raises_an_alarm(name, watched, watched_decoder):
    case, fault = CASES[name], None
    watched = {"small": watched, "small_decoder": watched_decoder}[case.workload]
    state = watched.state
    if case.site:
        words = to_words(np.array([case.value], np.float32))
        table = watched.session.session.program.table
        fault = replacing(table.id_of(case.site), 1, np.arange(1), words)
    else:
        kernel = np.array(state.parameters["conv1/kernel"])  # A copy.
        kernel.view(np.uint32)[0, 0, 0, 0] ^= 1
        changed = state.parameters | {"conv1/kernel": tf.constant(kernel)}
        state = state._replace(parameters=changed)
    found = watched.session.step(state, BEFORE, watched.memory, fault)
    assert name in watched.session.alarms(found.scores)


@pytest.mark.parametrize("direction", ["forward", "grad_in", "grad_wt"])
def test_a_flip_in_any_product_of_a_convolution_is_seen_by_its_checksum(
    direction, watched
):
    site = watched.session.session.program.table.id_of(
        f"block_conv2/{direction}/output"
    )
    where = {"site": site, "replica": 1, "start": 5, "count": 1}
    flip = fault_row(**where, operation="flip", words=[1 << 30])
    found = watched.session.step(watched.state, BEFORE, watched.memory, flip)
    assert "conv_checksums" in watched.session.alarms(found.scores)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_watched_step_has_the_bits_of_an_unwatched_one(name):
    session = _session(name, 2)
    # The decoder's first gradient of its embedding is beyond the bound: docs.
    clip = None if "decoder" in name else 1.0
    watched = WatchedSession(session, _all(), clip=clip, compare=True)
    state, memory = session.initial_state(), watched.memory()
    site = session.program.table[0]
    one = to_words(np.ones(1, np.float32))
    fault = replacing(session.program.table.id_of(site.name), 0, np.arange(1), one)
    for number, row in enumerate([None, None, disarmed(), fault, None]):
        found = watched.step(state, number, memory, row)
        plain = session.step(state, number, row)
        assert same_state(found.result.state, plain.state)
        assert (found.result.loss, found.result.accuracy) == (
            plain.loss,
            plain.accuracy,
        )
        if row is not None:
            np.testing.assert_array_equal(found.result.record, plain.record)
        state, memory = found.result.state, found.memory


def test_watching_traces_no_program_of_the_session(watched):
    session = _session()
    seen = WatchedSession(session, {"non_finite": detector("non_finite")})
    seen.step(session.initial_state(), 0, seen.memory())
    assert session.program.traces == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_a_thousand_clean_steps_raise_no_alarm(name):
    session = _session(name)
    watched = WatchedSession(
        session, _all() | {"exact_replay": detector("exact_replay")}
    )
    state, memory = session.initial_state(), watched.memory()
    for number in range(1000):
        found = watched.step(state, number, memory)
        assert watched.alarms(found.scores) == (), (number, found.scores)
        state, memory = found.result.state, found.memory


def test_clipping_keeps_a_spike_out_of_the_second_moment(watched):
    session = watched.session.session
    clipped = WatchedSession(session, _all(), clip=1.0)
    words = to_words(np.array([1e15], np.float32))
    site = session.program.table.id_of("conv1/grad_wt/output")
    row = replacing(site, 1, np.arange(1), words)
    found = clipped.step(watched.state, BEFORE, watched.memory, row)
    after = found.result.state.slots["conv1/kernel/second_moment"].numpy().max()
    free = watched.session.step(watched.state, BEFORE, watched.memory, row)
    bound = 20 * math.sqrt(clipped.network.terms["conv1/kernel"]) / 16
    assert after <= 0.0011 * bound**2
    assert free.result.state.slots["conv1/kernel/second_moment"].numpy().max() > 1e26


def test_detectors_without_a_name_of_their_own_are_refused():
    two = [detector("non_finite"), detector("non_finite", threshold=2.0)]
    with pytest.raises(InputError, match="two have one name"):
        named(two)
    with pytest.raises(InputError, match="there is none"):
        named([])
    with pytest.raises(InputError, match="detector 'nan'; known: non_finite"):
        detector("nan")
    with pytest.raises(InputError, match="'bound'; it has decay, threshold"):
        detector("feature_value", bound=1)


@pytest.mark.parametrize("name", ["small", "small_decoder"])
def test_replicas_on_devices_of_their_own_score_as_on_one_device(name):
    replicas = 2
    session = _session(name, replicas)
    watched = WatchedSession(session, _all(), compare=True)
    state, memory = session.initial_state(), watched.memory()
    inputs = step_inputs(*session.inputs(0))
    expected = watched.step(state, 0, memory)
    step, watch = session.program.training_step, watched._watch

    def of_replica(replica: int, summed: Callable) -> tuple:
        mine = StepInputs(*(x[replica] for x in inputs[:3]), inputs.rate)
        number = tf.constant(replica, tf.int64)
        return step.watched_on_device(state, mine, number, watch, memory, summed)

    @tf.function(autograph=False)
    def all_devices() -> list:
        contributed = []
        for replica in range(replicas):
            of_replica(replica, lambda own: contributed.append(own) or own)
        total = tf.nest.map_structure(tf.add, *contributed)
        return [of_replica(r, lambda own: total) for r in range(replicas)]

    # The states have equal bits; a score may be rounded otherwise in another graph.
    close = functools.partial(np.testing.assert_allclose, rtol=4 * 2.0**-24)
    with session.program.running():
        devices = all_devices()
    for found, (scores, kept, norms) in devices:
        assert same_state(found.state, expected.result.state)
        close(scores, [*expected.scores.values()])
        close(norms, expected.norms)
        for ours, theirs in zip(
            tf.nest.flatten(kept), tf.nest.flatten(expected.memory), strict=True
        ):
            close(ours, theirs)


def test_a_set_of_detectors_has_a_name_of_its_own():
    assert SETS.keys().isdisjoint(DETECTORS)
    for name, members in SETS.items():
        assert tuple(named_detectors(name)) == members
    assert [*named_detectors("non_finite")] == ["non_finite"]
    with pytest.raises(InputError, match="'everything'; known: all, sentinel, non_fin"):
        named_detectors("everything")
