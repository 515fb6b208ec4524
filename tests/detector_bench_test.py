# SPDX-License-Identifier: Apache-2.0
"""The bench of detectors: halves that are disjoint, and numbers against plain ones."""

import csv
import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from tpufi.campaign.detector_bench import TOGETHER, Bench, area, curve, joined, with_all
from tpufi.campaign.detector_sets import best_set, scored_set
from tpufi.campaign.detector_table import (
    BROKEN,
    MEASURED,
    OTHER,
    PUBLISHED,
    REPEATED,
    Found,
    Scores,
    family,
    fitted_half,
)
from tpufi.campaign.report.detector_bench import bench_document, long_tables
from tpufi.campaign.report.markdown import markdown
from tpufi.errors import InputError
from tpufi.outcomes.outcome import MASKED, SLOW_DEGRADE
from tpufi.statistics.intervals import wilson

NAMES = ("good", "bad")
EXPERIMENTS = 200


def campaign(seed: int, shift: float = 3.0, scale: float = 1.0) -> Found:
    """Return experiments of which `good` sees most that is harmful, `bad` nothing."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(EXPERIMENTS)
    harmful = rng.random(EXPERIMENTS) < 0.4
    peaks = {
        "good": scale * (rng.random(EXPERIMENTS) + shift * harmful * rng.random()),
        "bad": rng.random(EXPERIMENTS),
    }
    golden = np.float32(rng.random(50) * 0.5)
    directions = np.where(numbers % 3, "forward", "update")
    return Found(
        numbers,
        np.where(harmful, SLOW_DEGRADE, MASKED),
        np.full(EXPERIMENTS, "ZERO"),
        directions,
        directions,
        np.full(EXPERIMENTS, PUBLISHED),
        {
            name: Scores(name, 0.9, golden, [np.float32([0, p]) for p in own])
            for name, own in peaks.items()
        },
    )


@pytest.fixture(scope="module")
def bench() -> Bench:
    parts = {"one": campaign(1), "other": campaign(2, scale=100.0)}
    return Bench(parts, {"one": campaign(3)})


LIMIT = 0.8


@pytest.fixture(scope="module")
def several() -> Bench:
    """Four detectors, each of which sees some of what is harmful."""
    names = ("first", "second", "third", "fourth")

    def part(seed: int) -> Found:
        rng = np.random.default_rng(seed)
        one = campaign(seed)
        scores = {
            name: Scores(
                name,
                LIMIT,
                np.float32(rng.random(30) * 0.9),
                [np.float32(rng.random(3) * (0.7 + 0.2 * h)) for h in one.harmful],
            )
            for name in names
        }
        return dataclasses.replace(one, detectors=scores)

    return Bench({"one": part(4), "other": part(5)}, {"one": part(6)})


def test_no_experiment_of_any_workload_is_fitted_and_scored(bench):
    for workload, part in bench.parts.items():
        scored = bench.scored.numbers[bench.workloads == workload]
        fitted = part.numbers[fitted_half(part.numbers)]
        assert {*scored}.isdisjoint({*fitted})
        assert {*scored} | {*fitted} == {*part.numbers}


def test_thresholds_know_nothing_of_the_scored_half_and_of_the_clean_steps(bench):
    changed = {}
    for workload, part in bench.parts.items():
        fitted = fitted_half(part.numbers)
        found = {
            name: Scores(
                name,
                scores.threshold,
                scores.golden,
                [
                    own if keep else 7 * own + 1
                    for own, keep in zip(scores.steps, fitted, strict=True)
                ],
            )
            for name, scores in part.detectors.items()
        }
        outcomes = np.where(fitted, part.outcomes, MASKED)
        columns = (part.models, part.directions, part.places, part.families)
        changed[workload] = Found(part.numbers, outcomes, *columns, found)
    assert Bench(changed, {}).thresholds == bench.thresholds
    assert Bench(bench.parts, {"one": campaign(9)}).thresholds == bench.thresholds


def test_each_workload_has_thresholds_of_its_own_scale(bench):
    assert bench.thresholds["other"]["good"] > 20 * bench.thresholds["one"]["good"]


def test_coverage_and_clean_alarms_are_those_of_plain_loops(bench):
    alarms = bench.latencies(True)
    place = hits = 0
    for workload, part in bench.parts.items():
        limit = bench.thresholds[workload]["good"]
        for number, own in zip(part.numbers, part.detectors["good"].steps, strict=True):
            if number % 2:
                assert (alarms["good"][place] >= 0) == bool((own > limit).any())
                hits += bool((own > limit).any()) and part.harmful[number]
                place += 1
    assert place == len(bench.scored.numbers) == EXPERIMENTS
    assert hits == (alarms["good"] >= 0)[bench.scored.harmful].sum() > 20
    for fitted in (False, True):
        seen = np.zeros(50, bool)
        for name in NAMES:
            limit = bench.thresholds["one"][name] if fitted else 0.9
            own = bench.clean["one"].detectors[name].golden > limit
            assert bench.clean_alarms(fitted)[name] == own.sum()
            seen |= own
        assert bench.clean_alarms(fitted)[TOGETHER] == seen.sum()
    assert bench.clean_steps == 50


def test_all_together_are_as_fast_as_the_fastest():
    found = with_all({"a": np.array([-1, 4, -1]), "b": np.array([2, 1, -1])})
    assert found[TOGETHER].tolist() == [2, 1, -1]


def test_the_area_is_that_under_the_curve_and_mann_and_whitneys_statistic():
    rng = np.random.default_rng(5)
    harmful = rng.random(300) < 0.3
    peaks = np.round(rng.random(300) + 0.3 * harmful, 1)  # With ties.
    peaks[:9] = np.inf
    x, y = curve(peaks, harmful)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    test = stats.mannwhitneyu(peaks[harmful], peaks[~harmful])
    expected = test.statistic / (harmful.sum() * (~harmful).sum())
    assert area(peaks, harmful) == pytest.approx(expected)
    assert np.trapezoid(y, x) == pytest.approx(expected)


def test_campaigns_of_one_workload_are_put_together():
    found = joined([("w", campaign(1)), ("v", campaign(2)), ("w", campaign(3))])
    assert len(found["w"].numbers) == 2 * EXPERIMENTS == 2 * len(found["v"].numbers)
    assert found["w"].golden_steps == 50
    peaks = [campaign(n).detectors["good"].peaks for n in (1, 3)]
    np.testing.assert_array_equal(
        found["w"].detectors["good"].peaks, np.concatenate(peaks)
    )


def test_a_fault_has_the_family_of_its_model_and_moment():
    assert family("ZERO", None) == PUBLISHED
    assert family("ANATOMY", None) == MEASURED
    assert family("STUCK_AT_1", None) == OTHER
    assert family("ZERO", "rate=0.3") == REPEATED
    assert family("lane rate=0.3", "rate=0.3", "VectorLane") == BROKEN


def test_the_page_has_the_numbers_of_the_bench(bench, tmp_path):
    page = markdown(bench_document(bench, "A bench", "Of tests."))
    assert len(page.splitlines()) < 120
    board = page[page.index("## Leaderboard") :]
    assert board.index("| good |") < board.index("| bad |")
    boards = (t for t in bench_document(bench, "A", "B").tables() if "leader" in t.key)
    rows = next(boards).frame.to_dict("records")
    (good,) = (row for row in rows if row["detector"] == "good")
    found = bench.scored
    missed = int(found.harmful.sum()) - good["covered"]
    assert float(good["SPFM"]) == pytest.approx(1 - missed / len(found.numbers))
    coverage, clean, _ = long_tables(bench)
    coverage.write(tmp_path)
    with open(tmp_path / "coverage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    (row,) = [
        r
        for r in rows
        if (r["detector"], r["thresholds"], r["by"]) == ("good", "fitted", "workload")
        and r["value"] == "one"
    ]
    among = bench.scored.harmful & (bench.workloads == "one")
    hits = int((bench.latencies(True)["good"][among] >= 0).sum())
    assert (int(row["harmful"]), int(row["covered"])) == (among.sum(), hits)
    low, high = wilson(hits, int(among.sum()))
    assert float(row["interval, low"]) == pytest.approx(low)
    assert float(row["interval, high"]) == pytest.approx(high)
    golden = bench.clean["one"].detectors["good"].golden
    for row in clean.frame.to_dict("records"):
        if row["detector"] == "good" and row["thresholds"] == "fitted":
            above = np.flatnonzero(golden > bench.thresholds["one"]["good"])
            assert (row["clean steps"], row["alarms"]) == (50, len(above))
            assert row["first"] == (above[0] if above.size else None)


def test_a_bench_without_harm_has_a_page_too(tmp_path):
    part = campaign(1)
    masked = np.full(EXPERIMENTS, MASKED)
    columns = (part.models, part.directions, part.places, part.families)
    harmless = Found(part.numbers, masked, *columns, part.detectors)
    page = bench_document(Bench({"one": harmless}, {}), "A bench", "Of nothing.")
    assert "No harmful experiment is in the scored half." in markdown(page)
    for table in page.tables():
        table.write(tmp_path)


def test_campaigns_with_other_detectors_are_refused(bench):
    part = campaign(1)
    less = Found(
        *(part.numbers, part.outcomes, part.models, part.directions, part.places),
        part.families,
        {"good": part.detectors["good"]},
    )
    with pytest.raises(InputError, match="different detectors"):
        Bench({"one": part, "other": less}, {})
    with pytest.raises(InputError, match="no experiments"):
        Bench({}, {"one": part})


def test_the_set_for_a_price_covers_most_of_the_fitted_half(several):
    prices = {name: 0.125 * (1 + place) for place, name in enumerate(several.detectors)}
    hits = several.fitted_hits()
    for budget in (0.1, 0.125, 0.375, 0.5, 1.25, 2.0):
        found = best_set(several, prices, budget)
        sets = [
            names
            for size in range(1, len(prices) + 1)
            for names in itertools.combinations(several.detectors, size)
            if sum(prices[name] for name in names) <= budget
        ]
        gains = {names: np.any([hits[n] for n in names], 0).sum() for names in sets}
        if not sets:
            assert found == ()
            continue
        assert gains[found] == max(gains.values())
        cost = sum(prices[name] for name in found)
        equal = [n for n in sets if gains[n] == gains[found]]
        assert cost == pytest.approx(min(sum(prices[m] for m in n) for n in equal))


def test_a_set_is_scored_by_experiments_that_did_not_choose_it(several):
    names = several.detectors[:2]
    found = scored_set(several, names)
    latencies = []
    for part in several.parts.values():
        for place, number in enumerate(part.numbers):
            if number % 2 and part.harmful[place]:
                steps = [part.detectors[n].steps[place] for n in names]
                hits = np.flatnonzero(np.any(np.array(steps) > LIMIT, 0))
                latencies.append(hits[0] if hits.size else None)
    seen = [x for x in latencies if x is not None]
    assert (found.covered, found.harmful) == (len(seen), len(latencies))
    assert 0 < found.covered < found.harmful
    assert found.latency == np.median(seen)
    clean = several.clean["one"].detectors
    assert found.alarms == np.any([clean[n].golden > LIMIT for n in names], 0).sum() > 0


def test_a_set_with_an_unknown_detector_names_those_there_are(several):
    with pytest.raises(InputError, match="ugly is not in the bench; known: .*first"):
        scored_set(several, ("first", "ugly"))
