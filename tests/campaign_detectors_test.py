# SPDX-License-Identifier: Apache-2.0
"""Detectors of a campaign: scores of all steps in its journal, and what they tell."""

import csv
import dataclasses
import math
import pathlib
import shutil
import sys
from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.campaign_files import write_plan
from tests.campaign_runs import (
    SMALL_PLAN,
    STEPS,
    known_workload,
    small_plan,
    train_small,
)
from tpufi.campaign.detector_table import (
    Scores,
    fitted_half,
    fitted_threshold,
    mcnemar,
    read_found,
)
from tpufi.campaign.engine.local_pool import LocalPool
from tpufi.campaign.engine.replayed import recorded_row
from tpufi.campaign.engine.run import Scale, run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.scores import golden_scores_of, scores_of_one
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_combined, write_report
from tpufi.campaign.subject import Runner
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.detect import DETECTORS
from tpufi.detect.catalogue import SETS
from tpufi.errors import InputError

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from measure import trainfi

EXPERIMENTS = 24
CHOSEN = (
    ("non_finite", ()),
    ("history_bounds", ()),
    ("state_checksum", ()),
    ("update_jump", ()),
    ("conv_checksums", ()),
    ("exact_replay", (("every", 1.0),)),
)


@dataclasses.dataclass(frozen=True)
class DetectingRunner:
    """Makes the runner of a subject in a worker."""

    subject: WorkloadSubject

    def __call__(self, alive: Callable[[], None]):
        known_workload()
        return self.subject.open(alive)


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> pathlib.Path:
    return train_small(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def plan(golden) -> CampaignPlan:
    return small_plan(golden, EXPERIMENTS, detectors=CHOSEN, propagation=False)


@pytest.fixture(scope="module")
def subject(plan) -> WorkloadSubject:
    return WorkloadSubject(plan, True, golden_scores(plan))


@pytest.fixture(scope="module")
def runner(subject) -> Runner:
    return subject.open()


@pytest.fixture(scope="module")
def campaign(subject, runner, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("campaign")
    _write(subject, runner, folder, EXPERIMENTS)
    return folder


def _write(
    subject: WorkloadSubject, runner: Runner, folder: pathlib.Path, count: int
) -> None:
    """Write a campaign of the first experiments."""
    written = subject.manifest(), subject.session(["campaign.py"], "0")
    scores = subject.measures, subject.golden_scores
    with Writer(folder, *written, *scores) as journal:
        journal.add([runner.run(number) for number in range(count)])


def test_every_step_of_the_golden_run_has_a_score(subject, campaign):
    assert subject.golden.steps == STEPS and subject.golden.first == 0
    assert set(subject.golden.alarms.values()) == {0}
    with Reader.open(campaign) as journal:
        for measure, name in enumerate(subject.golden.scores):
            found = golden_scores_of(journal, measure)
            np.testing.assert_array_equal(found, subject.golden.scores[name])
        assert journal.plan()["golden scores"] == [0, STEPS]


def test_every_step_of_an_experiment_has_a_score_of_every_detector(campaign):
    with Reader.open(campaign) as journal:
        for row in journal.rows():
            scores = scores_of_one(journal, row.experiment)
            assert [len(own) for own in scores] == [row.steps_run] * len(CHOSEN)


def test_watched_experiments_end_as_unwatched_ones(golden, campaign):
    plain = small_plan(golden, EXPERIMENTS, propagation=False)
    runner = WorkloadSubject(plain).open()
    with Reader.open(campaign) as journal:
        for number in range(8):
            row, other = journal.row(number), runner.run(number)
            for name in ("outcome", "steps_run", "state_digest", "fault"):
                assert getattr(row, name) == getattr(other, name)
            assert repr(row.losses) == repr(other.losses)


def test_replay_of_every_step_alarms_where_the_state_diverges(campaign):
    (found,) = [i for i, (name, _) in enumerate(CHOSEN) if name == "exact_replay"]
    seen = 0
    with Reader.open(campaign) as journal:
        for number in range(EXPERIMENTS):
            row = recorded_row(journal, number)
            diverged = row.diverged_step
            expected = math.nan if diverged is None else float(diverged)
            np.testing.assert_equal(row.values[found], expected)
            seen += diverged is not None
    assert seen > EXPERIMENTS // 3


def test_an_experiment_done_again_has_the_same_scores(runner, campaign):
    with Reader.open(campaign) as journal:
        for number in (17, 3):
            row = recorded_row(journal, number)
            again = runner.run(number)
            assert repr(again.scores) == repr(row.scores)
            assert repr(again.values) == repr(row.values)


def test_the_journal_gives_the_plan_back(plan, campaign):
    with Reader.open(campaign) as journal:
        recorded, _ = recorded_plan(journal)
    assert recorded.detectors == plan.detectors


@pytest.mark.slow
def test_three_workers_give_the_scores_of_one(subject, campaign, tmp_path):
    run_campaign(
        subject,
        tmp_path,
        subject.manifest(),
        subject.session(["campaign.py"], "0"),
        lambda: LocalPool(DetectingRunner(subject), 3, 300, 300, "spawn"),
        Watcher(),
        Scale(16, 3),
    )
    with Reader.open(tmp_path) as three, Reader.open(campaign) as one:
        for number in range(EXPERIMENTS):
            a, b = recorded_row(three, number), recorded_row(one, number)
            assert repr(a.scores) == repr(b.scores)
            assert repr(a.values) == repr(b.values)


def test_a_campaign_goes_on_where_it_was(subject, runner, campaign, tmp_path):
    shutil.copytree(campaign, tmp_path / "campaign")
    written = subject.manifest(), subject.session(["campaign.py"], "0")
    scores = subject.measures, subject.golden_scores
    with Writer(tmp_path / "campaign", *written, *scores) as journal:
        assert journal.add([runner.run(EXPERIMENTS)]) == 1
    with Reader.open(tmp_path / "campaign") as journal:
        assert journal.count() == EXPERIMENTS + 1


def test_the_report_tells_coverage_and_false_alarms(campaign, tmp_path):
    write_report(campaign, tmp_path / "report", Options())
    text = (tmp_path / "report" / "report.md").read_text()
    assert "## Detectors" in text and "## Monitors" not in text
    with open(tmp_path / "report" / "tables" / "detectors.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(CHOSEN) + 1  # And all together.
    with Reader.open(campaign) as journal:
        found = read_found(journal)
    cells = lines[-2]
    assert cells["detector"] == "exact_replay"
    assert int(cells["harmful"]) == found.harmful.sum()
    assert float(cells["per million"]) == 0
    assert int(cells["clean steps"]) == STEPS


def test_the_report_on_several_campaigns_puts_their_detectors_together(
    campaign, tmp_path
):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        shutil.copytree(campaign, folder)
    write_combined(folders, tmp_path / "report", Options())
    assert "## Detectors: Leaderboard" in (tmp_path / "report/report.md").read_text()
    with Reader.open(campaign) as journal:
        found = read_found(journal)
    odd = found.numbers % 2 == 1
    with open(tmp_path / "report/tables/leaderboard_default.csv", newline="") as file:
        lines = {line["detector"]: line for line in csv.DictReader(file)}
    for name, scores in found.detectors.items():
        hits = (scores.latencies(scores.threshold) >= 0) & found.harmful & odd
        assert int(lines[name]["covered"]) == 2 * hits.sum()


def test_the_data_set_has_what_the_detectors_found(campaign, tmp_path):
    runs, folder = tmp_path / "runs", tmp_path / "set"
    shutil.copytree(campaign, runs / "campaigns" / "some")
    trainfi.add_campaigns(runs, ["some", "none"], folder)
    (found,) = trainfi.read_bench(folder, "clean").parts.values()
    with Reader.open(campaign) as journal:
        expected = read_found(journal)
    for name in ("numbers", "outcomes", "models", "directions", "places", "families"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert [*found.detectors] == [*expected.detectors]
    for name, scores in expected.detectors.items():
        own = found.detectors[name]
        assert own.threshold == scores.threshold
        assert own.golden.tobytes() == scores.golden.tobytes()
        for ours, theirs in zip(own.steps, scores.steps, strict=True):
            assert ours.tobytes() == theirs.tobytes()
    rows = trainfi.read_experiments(folder, "some")
    assert len(rows) == EXPERIMENTS
    assert not [name for name in rows if name.startswith(trainfi.SCORE)]


def test_a_smaller_campaign_does_not_replace_one_of_the_data_set(
    subject, runner, campaign, tmp_path
):
    large, small, folder = tmp_path / "large", tmp_path / "small", tmp_path / "set"
    shutil.copytree(campaign, large / "campaigns" / "some")
    (small / "campaigns" / "some").mkdir(parents=True)
    _write(subject, runner, small / "campaigns" / "some", 3)
    for runs, count in ((small, 3), (large, EXPERIMENTS), (small, EXPERIMENTS)):
        trainfi.add_campaigns(runs, ["some"], folder)
        assert len(trainfi.read_experiments(folder, "some")) == count


def test_a_data_set_without_golden_steps_is_one_line(campaign, tmp_path):
    shutil.copytree(campaign, tmp_path / "campaigns" / "some")
    with pytest.raises(InputError, match=r"no trainfi_v1.parquet or no trainfi_v1_c"):
        trainfi.read_bench(tmp_path, "clean")
    trainfi.add_campaigns(tmp_path, ["some"], tmp_path)
    clean = tmp_path / trainfi.CLEAN
    table = pq.read_table(clean).to_pandas().assign(plan="another")
    table.to_parquet(clean)
    with pytest.raises(InputError, match="no golden run of some"):
        trainfi.read_bench(tmp_path, "clean")


def test_no_experiment_is_fitted_and_scored():
    numbers = np.arange(1000)
    fitted = fitted_half(numbers)
    assert {*numbers[fitted]}.isdisjoint({*numbers[~fitted]})
    assert fitted.sum() == (~fitted).sum() == 500
    # Whatever the scored half is like, the threshold is the same.
    rng = np.random.default_rng(3)
    peaks, harmful = rng.random(1000), rng.random(1000) < 0.3
    peaks[harmful] += 0.4
    one = Scores("x", 1.0, np.float32([0.1]), [np.float32([p]) for p in peaks])
    peaks[~fitted] = rng.random(500)
    other = Scores("x", 1.0, np.float32([0.1]), [np.float32([p]) for p in peaks])
    threshold = fitted_threshold(one, harmful, fitted)
    assert threshold == fitted_threshold(other, harmful, fitted)
    assert 0.3 < threshold < 1.1


def test_a_fitted_threshold_is_the_best_of_all_and_no_golden_step_is_above_it():
    rng = np.random.default_rng(4)
    peaks, harmful = rng.random(40), rng.random(40) < 0.5
    scores = Scores("x", 1.0, np.float32([0.25]), [np.float32([p]) for p in peaks])
    fitted = np.ones(40, bool)

    def gain(threshold):
        alarms = np.float32(peaks) > threshold
        return alarms[harmful].mean() - alarms[~harmful].mean()

    best = max(gain(t) for t in np.linspace(0.25, 1, 20_000))
    found = fitted_threshold(scores, harmful, fitted)
    assert gain(found) == pytest.approx(best) and found >= 0.25
    assert scores.golden_alarms(found) == 0


def test_scores_that_are_not_a_number_are_alarms():
    steps = [np.float32([0, np.nan, 0]), np.float32([0, 1]), np.float32([])]
    scores = Scores("x", 1.0, np.float32([0, np.nan]), steps)
    assert scores.latencies(1.0).tolist() == [1, -1, -1]
    assert scores.peaks.tolist() == [np.inf, 1.0, -np.inf]
    assert scores.golden_alarms(1.0) == 1


def test_mcnemars_test_looks_at_faults_that_only_one_detector_saw():
    first = np.array([True] * 8 + [False] * 2)
    second = np.array([False] * 8 + [False] * 2)
    assert mcnemar(first, second) == pytest.approx(2 / 2**8)
    assert mcnemar(first, first) == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "detectors: [non_finite, update_jump]",
            [("non_finite", ()), ("update_jump", ())],
        ),
        ("detectors: all", [(name, ()) for name in DETECTORS]),
        (
            "detectors: [sentinel, non_finite]",
            [(name, ()) for name in (*SETS["sentinel"], "non_finite")],
        ),
        (
            "detectors:\n  sentinel: {}\n  dense_checksums: {threshold: 2}",
            [
                (name, (("threshold", 2.0),) if name == "dense_checksums" else ())
                for name in SETS["sentinel"]
            ],
        ),
        (
            "detectors:\n  history_bounds: {threshold: 0.5}\n  non_finite: {}",
            [("history_bounds", (("threshold", 0.5),)), ("non_finite", ())],
        ),
    ],
)
def test_a_plan_names_detectors(text, expected, tmp_path):
    known_workload()
    assert read_plan(write_plan(tmp_path, SMALL_PLAN + text)).detectors == tuple(
        expected
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detectors: [nan]", "detector 'nan'; known: non_finite, history_bounds"),
        (
            "detectors:\n  all: {threshold: 3}",
            "all: .*nothing: settings are those of one detector",
        ),
        ("detectors: []", "detectors: .*expected a list, not empty"),
        ("detectors:\n  non_finite: {limit: 3}", "'limit'; it has threshold"),
        ("detectors:\n  non_finite: 3", "non_finite: expected keys among threshold"),
    ],
)
def test_detectors_that_are_not_known_are_refused(text, message, tmp_path):
    known_workload()
    with pytest.raises(InputError, match=message):
        read_plan(write_plan(tmp_path, SMALL_PLAN + text))
