# SPDX-License-Identifier: Apache-2.0
"""Figures of a campaign's report against numpy, scipy and statsmodels."""

import dataclasses
import pathlib

import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from tests.campaign_report_files import (
    document,
    frame,
    make_row,
    text_of,
    write_campaign,
)
from tpufi.campaign.effect import MASKED
from tpufi.campaign.engine.unplanned import CRASHED
from tpufi.campaign.report.document import Document
from tpufi.outcomes.outcome import CLASSES

ROWS = [make_row(number) for number in range(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    return write_campaign(tmp_path_factory.mktemp("report"), ROWS)


@pytest.fixture(scope="module")
def report(folder) -> Document:
    return document(folder, by=("model", "direction"))


@pytest.fixture(scope="module")
def experiments() -> pd.DataFrame:
    """What the report must be able to tell, from the rows themselves."""
    rows = [{**dataclasses.asdict(r), **dataclasses.asdict(r.fault)} for r in ROWS]
    found = pd.DataFrame(rows)
    found = found[found.outcome != CRASHED]
    found["visible"] = ~found.outcome.isin(MASKED)
    return found


def clustered(group: pd.DataFrame) -> tuple[float, float]:
    """The interval by steps, from its definition."""
    steps = group.groupby(["epoch", "step"]).visible.agg(["sum", "count"])
    m, n, rate = len(steps), len(group), group.visible.mean()
    if m == 1:
        return 0.0, 1.0
    if rate in (0, 1):
        return proportion_confint(rate * m, m, method="wilson")
    residues = steps["sum"] - rate * steps["count"]
    variance = m / (m - 1) * (residues**2).sum() / n**2
    effect = max(1.0, variance / (rate * (1 - rate) / n))
    trials = n / effect * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, m - 1)) ** 2
    return proportion_confint(rate * trials, trials, method="wilson")


def test_outcomes_are_counted_with_their_intervals(report, experiments):
    found = frame(report, "outcomes").set_index("outcome")
    expected = experiments.outcome.value_counts()
    assert found.experiments.drop("any visible effect").to_dict() == expected.to_dict()
    assert list(found.index[1:]) == [name for name in CLASSES if name in expected]
    for name, count in expected.items():
        interval = proportion_confint(count, len(experiments), method="wilson")
        assert found.interval[name] == pytest.approx(interval)
    visible = found.loc["any visible effect"]
    assert visible.experiments == experiments.visible.sum()
    assert visible["interval by steps"] == pytest.approx(clustered(experiments))


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("by_model", ["model"]),
        ("by_layer", ["layer"]),
        ("by_direction", ["direction"]),
        ("by_operand", ["operand"]),
        ("by_bit", ["bit"]),
        ("by_epoch", ["epoch"]),
        ("by_model-direction", ["model", "direction"]),
    ],
)
def test_a_stratum_table_is_what_grouping_the_rows_gives(
    table, columns, report, experiments
):
    found = frame(report, table)
    groups = dict(list(experiments.dropna(subset=columns).groupby(columns)))
    assert len(found) == len(groups)
    by_label = {" ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in key): g
                for key, g in groups.items()}  # fmt: skip
    for _, row in found.iterrows():
        group = by_label[row.iloc[0]]
        assert (row.experiments, row.visible) == (len(group), group.visible.sum())
        assert row.rate == pytest.approx(group.visible.mean())
        wilson = proportion_confint(row.visible, row.experiments, method="wilson")
        assert row.interval == pytest.approx(wilson, abs=1e-12)
        assert row["interval by steps"] == pytest.approx(clustered(group), abs=1e-9)
        counts = group.outcome.value_counts()
        assert {n: row[n] for n in counts.index} == counts.to_dict()
        assert row[[c for c in CLASSES if c in row.index]].sum() == len(group)


def test_layers_stand_by_their_depth_in_the_network(report):
    assert list(frame(report, "by_layer").layer) == [
        "conv1", "basicblock_2_basic_0_conv1",
    ]  # fmt: skip
    depths = list(frame(report, "by_depth")["layer depth"])
    assert depths == ["0% to 10%", "20% to 30%"]


def test_value_classes_tell_the_field_of_the_bit(report, experiments):
    found = frame(report, "by_value_class").set_index("value class").experiments
    bits = experiments.bit.fillna(-1).value_counts()
    assert found.to_dict() == {
        "exponent bit": bits[30],
        "mantissa bit": bits[3],
        "several bits": bits[-1],
    }


def test_the_map_has_the_counts_of_every_cell(report, experiments):
    found = frame(report, "layer_model").set_index(["layer", "fault model"])
    expected = experiments.groupby(["layer", "model"]).visible.agg(["count", "sum"])
    assert set(found.index) == set(expected.index)
    for key, (count, hits) in expected.iterrows():
        assert tuple(found.loc[key, ["experiments", "visible"]]) == (count, hits)


def test_exact_intervals_are_clopper_pearsons(folder, experiments):
    found = frame(document(folder, exact=True, confidence=0.9), "by_model")
    for _, row in found.iterrows():
        exact = proportion_confint(row.visible, row.experiments, 0.1, method="beta")
        assert row.interval == pytest.approx(exact)


def test_tests_in_pairs_agree_with_statsmodels_and_scipy(report, experiments):
    found = frame(report, "tests_model")
    groups = dict(list(experiments.groupby("model").visible))
    assert len(found) == 3
    for _, row in found.iterrows():
        a, b = groups[row["fault model"]], groups[row.against]
        hits, sizes = [a.sum(), b.sum()], [len(a), len(b)]
        assert row.difference == pytest.approx(a.mean() - b.mean())
        assert row.test == "z"
        assert row.p == pytest.approx(proportions_ztest(hits, sizes)[1])
        assert row["p by steps"] >= row.p
    adjusted = multipletests(found["p by steps"], method="holm")[1]
    assert found["p by steps, Holm"].to_list() == pytest.approx(adjusted.tolist())


def test_a_stratum_of_many_is_tested_against_all_others(folder, experiments):
    keys = ["model", "layer", "direction"]
    found = frame(document(folder, by=tuple(keys)), f"tests_{'-'.join(keys)}")
    labels = experiments[keys].agg(" ".join, axis=1)
    assert len(found) == labels.nunique() == 12
    for _, row in found.iterrows():
        inside = experiments.visible[labels == row.iloc[0]]
        others = experiments.visible[labels != row.iloc[0]]
        assert row.against == "all others"
        assert (row.rate, row["other rate"]) == pytest.approx(
            (inside.mean(), others.mean())
        )
        counts = [inside.sum(), others.sum()], [len(inside), len(others)]
        assert row.p == pytest.approx(proportions_ztest(*counts)[1])


def test_small_counts_are_tested_exactly(tmp_path):
    rows = [row for row in ROWS[:120] if row.outcome in MASKED][:40]
    rows += [next(row for row in ROWS if row.outcome == "slow degrade")]
    found = frame(document(write_campaign(tmp_path, rows)), "tests_direction")
    (row,) = found.itertuples()
    pairs = [(r.fault.direction, r.outcome in MASKED) for r in rows]
    table = [
        [pairs.count((direction, masked)) for masked in (False, True)]
        for direction in ("forward", "grad_in")
    ]
    assert row.test == "Fisher"
    assert row.p == pytest.approx(stats.fisher_exact(table)[1])


def test_latencies_are_those_of_the_rows(report, experiments):
    found = frame(report, "latency")
    seen = experiments.detection_latency.dropna().value_counts().sort_index()
    assert found.steps.tolist() == seen.index.tolist()
    assert found.experiments.tolist() == seen.tolist()
    share = found["share so far"].iloc[-1]
    assert share == pytest.approx(seen.sum() / len(experiments))
    assert text_of(report, "latency").startswith(f"{seen.sum()} of {len(experiments)} ")
