# SPDX-License-Identifier: Apache-2.0
"""Detectors of broken units: their scores, and memory that breaks the state."""

import dataclasses

import numpy as np
import pytest

from tests.campaign_runs import SMALL, SMALL_PLAN, train_small
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.data import Batches, load_dataset
from tpufi.detect import WatchedSession, detector
from tpufi.training import Program, Session, same_state
from tpufi.units import MemoryAddress, UnitFault
from tpufi.when import ONCE

FAULTS = """\
faults:
  - {pe: 128x128/output}
  - {lane: any}
  - {memory: "*", operation: stuck_1}
  - {link: corrupted, chunks: 8}
"""
DETECTORS = ("non_finite", "state_checksum", "linear_products", "conv_checksums")


@pytest.fixture(scope="module")
def watched() -> WatchedSession:
    batches = Batches(load_dataset("synthetic:64"), 3, 2, 4)
    session = Session(Program(SMALL, 2, 4), batches, 3, SMALL.learning_rate)
    return WatchedSession(session, {"sum": detector("state_checksum")})


def scores_of(watched: WatchedSession, fault: UnitFault, steps: int) -> list[float]:
    """Return the scores of steps with a fault that has the bits of unwatched ones."""
    state, memory, scores = watched.session.initial_state(), watched.memory(), []
    for number in range(steps):
        found = watched.step(state, number, memory, fault)
        plain = watched.session.step(state, number, fault)
        assert same_state(found.result.state, plain.state)
        np.testing.assert_array_equal(found.result.record, plain.record)
        scores.append(found.scores["sum"])
        state, memory = found.result.state, found.memory
    return scores


@pytest.mark.parametrize("replica", [0, 1, -1])
@pytest.mark.parametrize("bit", [2, 30])
def test_a_stuck_bit_in_memory_is_seen_in_the_step_that_reads_it(replica, bit, watched):
    place = MemoryAddress("fc/kernel", 3)
    state = watched.session.initial_state()
    for number in range(2):  # What is read in step 2, from which on it is broken.
        state = watched.session.step(state, number).state
    word = state.parameters["fc/kernel"].numpy().view(np.uint32).flat[3]
    at = 1 - (int(word) >> bit & 1)
    fault = UnitFault.stuck(place, bit, at, replica=replica, first=2)
    assert scores_of(watched, fault, 3) == [0, 0, 1]


@pytest.mark.parametrize(
    ("replica", "expected"),
    [(0, [0, 1, 1, 0]), (-1, [0, 1, 1, 0]), (1, [0, 1, 0, 0])],
)
def test_a_bit_that_flips_once_is_seen_where_it_is_read_and_where_it_is_left(
    replica, expected, watched
):
    # The update is that of replica 0: another one's memory is read and not written.
    place = MemoryAddress("conv1/kernel/first_moment", 5)
    fault = UnitFault.flipped(place, 20, replica=replica, when=ONCE, first=1)
    assert scores_of(watched, fault, 4) == expected


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> CampaignPlan:
    folder = tmp_path_factory.mktemp("units")
    train_small(folder / "golden")
    file = folder / "campaign.yaml"
    file.write_text(f"{SMALL_PLAN}{FAULTS}detectors: [{', '.join(DETECTORS)}]\n")
    return read_plan(file)


@pytest.mark.slow
def test_every_step_of_every_broken_unit_has_scores(plan):
    watched = WorkloadSubject(plan, True, golden_scores(plan)).open()
    unwatched = dataclasses.replace(plan, detectors=())
    alone = Experimenter(unwatched, watched.session)
    found: dict[type, list[int]] = {}
    for number in range(40):
        found.setdefault(type(watched.fault(number).fault.unit), []).append(number)
    assert len(found) == 4
    for number in (n for own in found.values() for n in own[:3]):
        row, other = watched.run(number), alone.run(number)
        assert repr(row.losses) == repr(other.losses)
        assert row.state_digest == other.state_digest and row.error is None
        assert row.injected_steps == other.injected_steps
        assert [len(own) for own in row.scores] == [row.steps_run] * len(DETECTORS)
