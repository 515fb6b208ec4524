# SPDX-License-Identifier: Apache-2.0
"""Inference campaigns: independent faults for each item, measures, mitigation."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.instrument import flip, replace
from tpufi.instrument.inference import (
    CLASSIFICATION,
    REGRESSION,
    InferenceCampaign,
    activation_bounds,
)
from tpufi.statistics.comparison import fisher

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


def test_faults_of_items_are_independent(model, batch):
    x, _ = batch
    fi = tpufi.instrument(model)
    campaign = InferenceCampaign(fi, seed=3)
    golden = fi.run((), x).outputs.numpy()
    for run in range(5):
        faults = campaign.faults(run, x)
        together = fi.run(faults, x).outputs.numpy()
        for item, fault in enumerate(faults):
            alone = fi.run([fault], x).outputs.numpy()
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
    frame = result.to_pandas()
    assert len(frame) == len(result.trials)
    assert frame.sdc_1.mean() == rate
    assert frame.groupby("op").sdc_1.sum().sum() == result.counts("sdc_1")[0]


def test_a_trial_is_what_its_columns_say(model, batch):
    fi = tpufi.instrument(model)
    result = InferenceCampaign(fi, seed=7, weight="sites").run([batch], runs=6)
    golden = model(batch[0]).numpy()
    names = {site.name: site.id for site in fi.sites}
    for trial in result.trials:
        fault = flip(names[trial.site], trial.element, trial.bit)
        faulty = fi.run([fault], batch[0]).outputs.numpy()[trial.item]
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
    assert_same(guarded.run((), x).outputs, plain.run((), x).outputs)
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
    assert guarded.run(
        [flip(plain.sites[0].id, 3, 30)], x
    ).injections[0].times == 1  # fmt: skip
    assert results[1].counts("not_finite")[0] == 0


def test_bounds_are_the_ranges_that_the_model_shows(model, batch):
    x, _ = batch
    bounds = activation_bounds(tpufi.instrument(model), [x[:2], x[2:]])
    layer = model.layers[0]
    parts = {"Relu": layer(x).numpy(), "MatMul": None}
    parts["Conv2D"] = tf.nn.conv2d(x, layer.kernel, 1, "VALID").numpy()
    ops = {site.name: site.op for site in tpufi.instrument(model).armed(x).sites}
    seen = set()
    for name, (low, high) in bounds.items():
        values = parts.get(ops[name])
        if values is not None:
            seen.add(ops[name])
            assert (low, high) == (values.min(), values.max())
    assert seen == {"Relu", "Conv2D"}


def test_bounds_of_a_loop_are_those_of_all_its_iterations():
    @tf.function
    def program(x):
        for _ in tf.range(3):
            x = x * 2.0
        return tf.exp(-x)

    fi = tpufi.instrument(program, sites=["Mul", "Exp"])
    bounds = activation_bounds(fi, [tf.constant([1.0, 3.0])])
    by_op = {name.split("/")[-1].split(":")[0]: b for name, b in bounds.items()}
    assert tuple(by_op["mul"]) == (2.0, 24.0)
    assert tuple(by_op["Exp"]) == pytest.approx((np.exp(-24), np.exp(-8)))


def test_bounds_are_of_what_ran_and_change_no_variable():
    count = tf.Variable(1.0)

    @tf.function
    def program(x):
        y = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.exp(x), lambda: tf.sin(x))
        empty = tf.sqrt(x[tf.size(x) :])
        return y * count.assign_add(1.0) + tf.reduce_sum(empty)

    fi = tpufi.instrument(program, sites=["Exp", "Sin", "Sqrt", "Mul"])
    batches = [tf.constant([0.0, 1.0]), tf.constant([2.0, -1.0])]
    by_op = {
        name.split("/")[-1].split(":")[0]: tuple(ends)
        for name, ends in activation_bounds(fi, batches).items()
    }
    low, high = float(np.exp(np.float32(-1))), float(np.exp(np.float32(2)))
    assert by_op == {
        "Exp": pytest.approx((low, high)),
        "mul": pytest.approx((2 * low, 2 * high)),
    }
    assert count.numpy() == 1.0
    assert fi.traces == 1


def test_a_nan_guard_makes_what_is_not_finite_zero(model, batch):
    x, _ = batch
    plain = tpufi.instrument(model, sites=["Relu"])
    guarded = tpufi.instrument(model, sites=["Relu"], nan_guard=True)
    assert_same(guarded.run((), x).outputs, plain.run((), x).outputs)
    (site,) = plain.armed(x).sites
    nothing = plain.run([replace(site.id, [5], bits=[0])], x).outputs
    for value in (np.nan, np.inf, -np.inf):
        word = int(np.float32(value).view(np.uint32))
        fault = replace(site.id, [5], bits=[word])
        assert not np.isfinite(plain.run([fault], x).outputs).all()
        run = guarded.run([fault], x)
        assert_same(run.outputs, nothing)
        assert run.injections[0].faulty.tolist() == [word]  # The log tells the fault.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda fi, b: InferenceCampaign(fi, weight="size"),
            "weight 'size'",
        ),
        (lambda fi, b: InferenceCampaign(fi).run([], 1), "0 batches"),
        (lambda fi, b: InferenceCampaign(fi).run([b], 0), "0 runs"),
        (lambda fi, b: InferenceCampaign(fi).run(b, 2), r"batch 0 is not \(inputs"),
        (lambda fi, b: InferenceCampaign(fi).run([b[0]], 2), r"run\(\[\(inputs"),
        (lambda fi, b: InferenceCampaign(fi).run([(b[0], None)], 1, True), "a label"),
        (lambda fi, b: InferenceCampaign(fi).run([b], 1).rate("sdc_2"), "no measure"),
        (lambda fi, b: InferenceCampaign(fi).run([b], 1).rate("confidence"), "number"),
        (lambda fi, b: activation_bounds(fi, []), "at least one batch"),
    ],
)
def test_wrong_use_is_told(call, message, model, batch):
    with pytest.raises(tpufi.InputError, match=message):
        call(tpufi.instrument(model), batch)
