# SPDX-License-Identifier: Apache-2.0
"""Recovery from what detectors find: the bits of the golden run, or what is known."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_workload import TINY
from tpufi.data import Batches, load_dataset
from tpufi.descriptor import replacing
from tpufi.detect import WatchedSession, detector
from tpufi.detect.recovery import (
    AGAIN,
    FALSE_ALARM,
    FIRST,
    IDENTICAL,
    LOST,
    MOVED,
    PERSISTENT,
    TRANSIENT,
    UNCONFIRMED,
    UNSEEN,
    WITHIN,
    Incident,
    ProtectedRun,
    cost,
    recovery_outcome,
)
from tpufi.element import to_words
from tpufi.errors import InputError
from tpufi.experiment.protected import replay_protected
from tpufi.faults.csv import read_injection
from tpufi.golden import GoldenConfig, train_golden
from tpufi.training import Program, Session, same_state

pytestmark = pytest.mark.large

PUBLISHED = pathlib.Path(__file__).resolve().parents[1] / "injections" / "resnet18"
STEPS, FAULTY = 8, 4
NAMES = ("non_finite", "history_bounds", "state_checksum", "gradient_norm_z_score")


class Golden:
    """A clean run, and the same under detectors."""

    def __init__(self) -> None:
        small = dataclasses.replace(TINY, input_shape=(32, 32, 3))
        batches = Batches(load_dataset("synthetic:64"), 3, 3, 4)
        self.session = Session(Program(small, 3, 4), batches, 3, 0.001)
        found = {name: detector(name) for name in NAMES}
        self.watched = WatchedSession(self.session, found, compare=True)
        self.states = [self.session.initial_state()]
        for number in range(STEPS):
            self.states.append(self.session.step(self.states[-1], number).state)

    def row(self, value: float, replica: int = 1, site: str = "conv1/grad_wt/output"):
        words = to_words(np.array([value], np.float32))
        table = self.session.program.table
        return replacing(table.id_of(site), replica, np.arange(1), words)

    def run(self, **how) -> ProtectedRun:
        return ProtectedRun(how.pop("watched", self.watched), self.states[0], **how)


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden()


def _trained(run: ProtectedRun, faults) -> ProtectedRun:
    for _ in range(STEPS):
        run.step(faults)
    return run


def test_a_run_without_a_fault_is_the_golden_run(golden):
    run = _trained(golden.run(), lambda number, attempt: None)
    assert same_state(run.state, golden.states[STEPS])
    assert run.incidents == [] and run.replays == 0


def test_a_transient_fault_leaves_no_trace_in_state_or_memory(golden):
    row = golden.row(1e10)
    run = _trained(
        golden.run(),
        lambda number, attempt: row if (number, attempt) == (FAULTY, FIRST) else None,
    )
    (incident,) = run.incidents
    assert incident.kind == TRANSIENT and incident.step == FAULTY
    assert "history_bounds" in incident.detectors
    assert (incident.first, incident.steps_again) == (FAULTY - 1, 2)
    assert same_state(run.state, golden.states[STEPS])
    clean = _trained(golden.run(), lambda number, attempt: None)
    tf.nest.map_structure(np.testing.assert_array_equal, run.memory, clean.memory)


@pytest.mark.parametrize("replica", [0, 2])
def test_a_persistent_fault_is_attributed_to_its_replica(golden, replica):
    row = golden.row(1e10, replica)
    run = _trained(
        golden.run(),
        lambda number, attempt: row if number >= FAULTY and attempt < MOVED else None,
    )
    (incident,) = run.incidents
    assert (incident.kind, incident.replica) == (PERSISTENT, replica)
    assert incident.steps_again == 4
    assert same_state(run.state, golden.states[STEPS])


def test_a_fault_of_stored_state_is_found_at_the_next_step(golden):
    run = golden.run()
    for number in range(STEPS):
        if number == FAULTY:
            weights = run.state.parameters
            kernel = np.array(weights["fc/kernel"])  # A copy.
            kernel.view(np.uint32)[0, 0] ^= 1 << 20
            changed = weights | {"fc/kernel": tf.constant(kernel)}
            run.state = run.state._replace(parameters=changed)
        run.step()
    (incident,) = run.incidents
    assert incident.detectors == ("state_checksum",)
    assert (incident.kind, incident.step) == (TRANSIENT, FAULTY)
    assert same_state(run.state, golden.states[STEPS])


def test_a_false_alarm_costs_steps_and_is_heard_once(golden):
    nervous = {"non_finite": detector("non_finite", threshold=-1.0)}
    watched = WatchedSession(golden.session, nervous)
    run = _trained(golden.run(watched=watched), lambda number, attempt: None)
    (incident,) = run.incidents
    assert (incident.kind, incident.step, incident.steps_again) == (UNCONFIRMED, 0, 2)
    assert same_state(run.state, golden.states[STEPS])
    assert recovery_outcome(run.incidents, True, lambda: False) == FALSE_ALARM


def test_a_fault_older_than_the_kept_states_is_not_recovered(golden):
    slots = golden.states[0].slots
    name = "conv1/kernel/first_moment"
    large = slots | {name: tf.fill(slots[name].shape, tf.constant(1e6))}
    run = ProtectedRun(golden.watched, golden.states[0]._replace(slots=large))
    _trained(run, lambda number, attempt: None)
    assert {i.kind for i in run.incidents} == {UNCONFIRMED}
    assert len(run.incidents) == 1
    assert recovery_outcome(run.incidents, False, lambda: False) == LOST


def test_a_suspicious_step_is_done_again_and_found(golden):
    # The score of this fault is 0.1 * value / bound, about 0.7 of the threshold.
    bound = 20 * (12 * 32 * 32) ** 0.5 / 12
    row = golden.row(7 * bound)
    names = ("history_bounds",)
    watched = WatchedSession(golden.session, {n: detector(n) for n in names})
    run = _trained(
        golden.run(watched=watched),
        lambda number, attempt: row if (number, attempt) == (FAULTY, FIRST) else None,
    )
    assert [i.detectors for i in run.incidents] == [("exact_replay",)]
    assert run.replays == 1
    assert same_state(run.state, golden.states[STEPS])
    assert cost(run.incidents, run.replays)[TRANSIENT] == 2


def test_replay_of_every_step_finds_a_small_transient_and_no_repeated_fault(golden):
    watched = WatchedSession(
        golden.session, {"exact_replay": detector("exact_replay", every=1)}
    )
    row = golden.row(1e-3)
    once = _trained(
        golden.run(watched=watched),
        lambda number, attempt: row if (number, attempt) == (FAULTY, FIRST) else None,
    )
    assert [i.kind for i in once.incidents] == [TRANSIENT]
    assert same_state(once.state, golden.states[STEPS])
    always = _trained(
        golden.run(watched=watched),
        lambda number, attempt: row if number == FAULTY and attempt <= AGAIN else None,
    )
    assert always.incidents == []  # The same wrong bits twice: replay is blind to it.
    assert not same_state(always.state, golden.states[STEPS])


@pytest.mark.parametrize(
    ("incidents", "identical", "within", "expected"),
    [
        ([], True, True, UNSEEN),
        ([TRANSIENT], True, True, IDENTICAL),
        ([UNCONFIRMED, PERSISTENT], True, True, IDENTICAL),
        ([UNCONFIRMED], True, True, FALSE_ALARM),
        ([TRANSIENT], False, True, WITHIN),
        ([UNCONFIRMED], False, False, LOST),
    ],
)
def test_outcomes_of_recovery(incidents, identical, within, expected):
    found = [Incident(3, ("non_finite",), kind, 2, 2) for kind in incidents]
    assert recovery_outcome(found, identical, lambda: within) == expected


def test_numbers_out_of_range_are_refused(golden):
    with pytest.raises(InputError, match="kept 0: a step needs the state before it"):
        golden.run(kept=0)
    with pytest.raises(InputError, match="suspicion 0: a share of the threshold"):
        golden.run(suspicion=0)


def test_a_published_slow_degrade_is_recovered_bit_for_bit(tmp_path):
    # The published position is in image 124 of a replica; this batch has two.
    published = read_injection(PUBLISHED / "inj_slow_degrade.csv")
    (position,) = published.inj_pos
    injection = dataclasses.replace(published, inj_pos=((1, *position[1:]),))
    config = GoldenConfig("resnet18", "synthetic:64", per_replica=2)
    session = config.session(sites={injection.site_name})
    train_golden(config, tmp_path, 6, 3, session)
    found = replay_protected(
        injection, tmp_path, epoch=0, step=2, horizon=4, session=session
    )
    (incident,) = found.incidents
    assert incident.step - found.first <= 1  # Within two steps.
    assert incident.kind == TRANSIENT
    assert found.identical and found.outcome == IDENTICAL
    assert found.losses == found.golden
