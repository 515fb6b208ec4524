# SPDX-License-Identifier: Apache-2.0
"""Faults with a moment in a training step of the user."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi import When
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.status_table import status_lines
from tpufi.errors import InputError
from tpufi.experiment.inject import injections_of

HORIZON = 12


def campaign_of(when: When, models=("FLIP", "ZERO")) -> tpufi.TrainingCampaign:
    w = tf.Variable(tf.reshape(tf.linspace(-0.5, 0.5, 12), (4, 3)))

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.matmul(x, w) - y) ** 2)
        w.assign_sub(0.1 * tape.gradient(loss, w))
        return loss

    rng = np.random.default_rng(2)
    data = [(x, x[:, :3]) for x in rng.normal(size=(5, 6, 4)).astype("float32")]
    return tpufi.TrainingCampaign(
        step, w, data, steps=(1, 6), horizon=HORIZON, faults=models, experiments=16,
        seed=4, when=when,
    )  # fmt: skip


@pytest.mark.parametrize(
    "when", [When(rate=0.3), When(every=4), When(steps=((2, 3), (8, 9))), When()],
    ids=str,
)  # fmt: skip
def test_a_row_is_a_training_with_single_faults_at_the_drawn_steps(when, tmp_path):
    campaign = campaign_of(when)
    campaign.run(tmp_path / "out")
    loaded, subject = campaign.subject.loaded, campaign.subject
    injected = 0
    with Reader.open(tmp_path / "out") as journal:
        rows = list(journal.rows())
        told = list(status_lines(journal))
    for row in rows:
        fault = subject.fault(row.experiment)
        first, table = fault.step, loaded.space.table
        times = injections_of(fault, table, 1, first, HORIZON)
        once = dataclasses.replace(fault, when=None, duration=1)
        loaded.golden.enter(first)
        for after in range(row.steps_run):
            loaded.step(first + after, (once,) if times[after] else ())
        assert loaded.golden.state() == row.state_digest
        assert row.injected_steps == sum(times[: row.steps_run])
        last = max((i for i, n in enumerate(times) if n), default=0)
        assert row.nonfinite_step is not None or row.steps_run > last
        assert row.reconverged_step is None or row.reconverged_step >= last
        injected += row.injected_steps
    steps = sum(row.steps_run for row in rows)
    assert len(rows) == 16 and injected > 16
    line = f"in no step up to the horizon, which is masked; {injected} of {steps} steps"
    assert any("of 16 faults with a moment" in one and line in one for one in told)
    for replayed in campaign.replay(tmp_path / "out", 0, 15):
        assert replayed.differences == ()


def test_values_decide_which_elements_change(tmp_path):
    never = campaign_of(When(between=(1e6, 1e7)))
    never.run(tmp_path / "never")
    with Reader.open(tmp_path / "never") as journal:
        for row in journal.rows():
            assert (row.injected_steps, row.error) == (0, None)
            assert row.outcome == "masked (bit-identical to golden)"
    large = campaign_of(When(exponents=(-3, -2, -1, 0), steps=((0, 2),)))
    large.run(tmp_path / "large")
    with Reader.open(tmp_path / "large") as journal:
        counts = [row.injected_steps for row in journal.rows()]
        assert {row.error for row in journal.rows()} == {None}
    assert 0 < sum(counts) < 3 * 16 and max(counts) <= 3


def test_a_single_call_has_no_moment():
    campaign = campaign_of(When(rate=0.5))
    fault = campaign.subject.fault(0)
    fi, batch = campaign.subject.loaded.fi, campaign.subject.loaded.program.batch(0)
    with pytest.raises(InputError, match="has a moment, rate=0.5 key=0x.*, which"):
        fi.run(fault, *batch)
    values = When(steps=((0, 0),), between=(-1e9, 1e9))
    one = dataclasses.replace(fault, when=values, duration=1)
    (injection,) = fi.run(one, *batch).injections
    assert injection.times == 1
    assert injection.golden.tolist() != injection.faulty.tolist()
    other = When(steps=((0, 0),), between=(1e8, 1e9))
    (none,) = fi.noted_run(
        [dataclasses.replace(one, when=other)], 64, *batch
    ).injections
    assert none.times == 0 and none.golden is None
