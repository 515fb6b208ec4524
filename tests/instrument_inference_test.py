# SPDX-License-Identifier: Apache-2.0
"""Inference campaigns: independent faults for each item, measures, mitigation."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.campaign.statistics.comparison import fisher
from tpufi.instrument import flip
from tpufi.instrument.inference import (
    CLASSIFICATION,
    REGRESSION,
    InferenceCampaign,
    activation_bounds,
)

keras = tf.keras
ITEMS = 4


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(8)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(7),
        ]
    )


@pytest.fixture(scope="module")
def batch(model):
    x = tf.random.stateless_normal((ITEMS, 6, 6, 1), (1, 3))
    labels = np.argmax(model(x), -1)
    labels[1] = (labels[1] + 1) % 7  # One item that the model gets wrong.
    return x, labels


def test_items_are_struck_independently(model, batch):
    x, _ = batch
    fi = tpufi.instrument(model)
    campaign = InferenceCampaign(fi, seed=3)
    golden = fi.strike((), x).outputs.numpy()
    for run in range(5):
        faults = campaign.faults(run, x)
        together = fi.strike(faults, x).outputs.numpy()
        for item, fault in enumerate(faults):
            alone = fi.strike([fault], x).outputs.numpy()
            np.testing.assert_array_equal(alone[item], together[item])
            others = np.arange(ITEMS) != item
            np.testing.assert_array_equal(alone[others], golden[others])
    assert fi.traces == 1


def test_only_items_that_are_right_without_a_fault_are_tried(model, batch, tmp_path):
    fi = tpufi.instrument(model)
    result = InferenceCampaign(fi, seed=5).run([batch], runs=60, only_correct=True)
    assert len(result.trials) == 60 * (ITEMS - 1) and result.left_out == 60
    assert {trial.item for trial in result.trials} == {0, 2, 3}
    rate, (low, high) = result.rate("sdc_1")
    assert 0 < low < rate < high < 1
    assert result.rate("sdc_5")[0] <= rate
    for trial in result.trials:
        if trial.masked:
            assert not trial.measures["sdc_1: top-1 class changed or NaN"]
    again = InferenceCampaign(fi, seed=5).run([batch], runs=60, only_correct=True)
    assert repr(again) == repr(result)
    result.write(tmp_path / "trials.csv")
    with open(tmp_path / "trials.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.trials)
    assert set(CLASSIFICATION) < set(rows[0])
    column = "sdc_1: top-1 class changed or NaN"
    assert sum(int(row[column]) for row in rows) == result.counts("sdc_1")[0]
    assert "sdc_1" in result.summary()


def test_a_clean_prefix_changes_no_trial(model, batch):
    fi = tpufi.instrument(model)
    whole, part = (
        InferenceCampaign(fi, seed=4, clean_prefix=wanted).run([batch, batch], runs=24)
        for wanted in (False, True)
    )
    assert repr(part) == repr(whole)
    assert fi.traces == 1


def test_a_trial_is_what_its_columns_say(model, batch):
    fi = tpufi.instrument(model)
    result = InferenceCampaign(fi, seed=7, weight="sites").run([batch], runs=6)
    golden = model(batch[0]).numpy()
    names = {site.name: site.id for site in fi.sites}
    for trial in result.trials:
        fault = flip(names[trial.site], trial.element, trial.bit)
        faulty = fi.strike([fault], batch[0]).outputs.numpy()[trial.item]
        assert (np.argmax(faulty) != np.argmax(golden[trial.item])) == trial.measures[
            "sdc_1: top-1 class changed or NaN"
        ] or np.isnan(faulty).any()


@pytest.mark.parametrize(
    ("golden", "faulty", "changed", "left"),
    [
        ([1, 2, 9, 4, 5, 6, 7], [1, 2, 9, 4, 5, 6, 7], False, False),
        ([1, 2, 9, 4, 5, 6, 7], [1, 2, 8, 4, 5, 6, 9], True, False),
        ([1, 2, 9, 4, 5, 6, 7], [3, 4, 0, 4, 5, 6, 9], True, True),
        ([1, 2, 9, 4, 5, 6, 7], [1, math.nan, 9, 4, 5, 6, 7], True, True),
        ([1, 2, 9, 4, 5, 6, 7], [1, math.inf, 9, 4, 5, 6, 7], True, False),
    ],
)
def test_measures_of_a_classification(golden, faulty, changed, left):
    golden, faulty = np.array(golden, np.float64), np.array(faulty, np.float64)
    values = {n.split(":")[0]: f(golden, faulty) for n, f in CLASSIFICATION.items()}
    assert (values["sdc_1"], values["sdc_5"]) == (changed, left)
    assert values["not_finite"] == (not np.isfinite(faulty).all())
    deltas = {n.split(":")[0]: f(golden, faulty) for n, f in REGRESSION.items()}
    if np.isfinite(faulty).all():
        assert deltas["delta"] == np.abs(golden - faulty).max()


def test_bounds_leave_golden_runs_alone_and_lower_the_rate_of_errors(model, batch):
    x, _ = batch
    plain = tpufi.instrument(model, sites=["Conv2D", "Relu"])
    bounds = activation_bounds(plain, [x])
    assert set(bounds) == {site.name for site in plain.sites}
    guarded = tpufi.instrument(model, sites=["Conv2D", "Relu"], bounds=bounds)
    assert_same(guarded.strike((), x).outputs, plain.strike((), x).outputs)
    results = [
        InferenceCampaign(fi, seed=9).run([(x, None)], runs=160)
        for fi in (plain, guarded)
    ]
    # The same faults in both: the draw does not depend on the program's answers.
    places = [[(t.site, t.element, t.bit) for t in r.trials] for r in results]
    assert places[0] == places[1]
    before, after = (r.counts("sdc_1") for r in results)
    assert after[0] < before[0]
    assert fisher(before, after) < 0.05
    assert guarded.strike(
        [flip(plain.sites[0].id, 3, 30)], x
    ).strikes[0].times == 1  # fmt: skip
    assert results[1].counts("not_finite")[0] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda fi, b: InferenceCampaign(fi, weight="size"),
            "weight 'size'",
        ),
        (lambda fi, b: InferenceCampaign(fi).run([], 1), "0 batches"),
        (lambda fi, b: InferenceCampaign(fi).run([b], 0), "0 runs"),
        (lambda fi, b: InferenceCampaign(fi).run([(b[0], None)], 1, True), "a label"),
        (lambda fi, b: InferenceCampaign(fi).run([b], 1).rate("sdc_2"), "no measure"),
        (lambda fi, b: InferenceCampaign(fi).run([b], 1).rate("confidence"), "number"),
        (lambda fi, b: activation_bounds(fi, []), "at least one batch"),
    ],
)
def test_wrong_use_is_told(call, message, model, batch):
    with pytest.raises(tpufi.InputError, match=message):
        call(tpufi.instrument(model), batch)
