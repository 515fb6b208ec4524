# SPDX-License-Identifier: Apache-2.0
"""Blocks of steps against single steps, by bits."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.campaign_runs import CONFIG, known_workload, small_plan, train_small
from tpufi.campaign.journal.schema import INCIDENTAL
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.training import Program, Session, state_digest
from tpufi.training.blocks import Blocks

HORIZON = 21


@pytest.fixture(scope="module")
def session() -> Session:
    known_workload()
    return CONFIG.session()


@pytest.fixture(scope="module")
def blocks(session) -> Blocks:
    return Blocks(session, 5)


def singly(session: Session, state, first: int, count: int) -> tuple:
    losses, accuracies = [], []
    for number in range(first, first + count):
        result = session.step(state, number)
        state = result.state
        losses.append(result.loss)
        accuracies.append(result.accuracy)
        if not math.isfinite(result.loss):
            break
    return state_digest(state), tuple(losses), tuple(accuracies)


@pytest.mark.parametrize(("first", "count"), [(0, 5), (6, 3), (9, 1), (14, 5)])
@pytest.mark.parametrize("then", (0, 2))
def test_a_block_has_the_bits_of_its_steps(session, blocks, first, count, then):
    # From another epoch too: the last block crosses into the next.
    state = session.initial_state()
    found = blocks.run(state, first, count, then)
    told = state_digest(found.state), found.losses, found.accuracies
    assert told == singly(session, state, first, count)
    if then:  # With batches that were made meanwhile.
        begin = first + count
        again = blocks.run(found.state, begin, then)
        assert state_digest(again.state) == singly(session, found.state, begin, then)[0]
    assert state_digest(state) == state_digest(session.initial_state())


def test_blocks_of_any_length_are_one_trace(session, blocks):
    before = session.program.traces
    for first, count in ((0, 2), (2, 4), (6, 5)):
        blocks.run(session.initial_state(), first, count)
    assert session.program.traces <= max(before, 2)


def test_a_block_ends_at_the_first_loss_that_is_not_finite(session, blocks):
    state = session.initial_state()
    name = min(state.slots)
    broken = {name: tf.fill(state.slots[name].shape, np.float32(np.nan))}
    state = state._replace(slots=state.slots | broken)
    found = blocks.run(state, 0, 5)
    told = state_digest(found.state), found.accuracies
    expected = singly(session, state, 0, 5)
    assert told == (expected[0], expected[2])
    assert len(found.losses) < 5 and math.isnan(found.losses[-1])
    assert all(map(math.isfinite, found.losses[:-1]))


def test_programs_under_xla_are_not_run_in_blocks(session):
    compiled = Program(session.program.workload, 2, 4, compiled=True)
    assert Blocks.serve(session)
    assert not Blocks.serve(dataclasses.replace(session, program=compiled))


@pytest.mark.slow
@pytest.mark.parametrize("propagation", (False, True))
def test_experiments_come_out_as_with_single_steps(propagation, tmp_path):
    golden = train_small(tmp_path / "golden", steps=8 + HORIZON + 3)
    plan = small_plan(golden, 30, horizon=HORIZON, propagation=propagation)
    runner = WorkloadSubject(plan).open()
    alone = Experimenter(plan, runner.session)
    alone.follower._blocks = None
    far = 0
    for number in range(30):
        row, other = runner.run(number), alone.run(number)
        far += row.steps_run == HORIZON
        for field in dataclasses.fields(row):
            if field.name not in INCIDENTAL:
                pair = getattr(row, field.name), getattr(other, field.name)
                assert repr(pair[0]) == repr(pair[1]), field.name
    assert far > 5
