# SPDX-License-Identifier: Apache-2.0
"""A detector in a file of the user, named in a plan."""

import pathlib

import pytest

from tests.campaign_files import write_plan
from tests.campaign_runs import SMALL_PLAN, known_workload, small_plan, train_small
from tests.docs_blocks import ROOT, blocks
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.scores import scores_of_one
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.detect import any_detector
from tpufi.errors import InputError


@pytest.fixture
def file(tmp_path) -> pathlib.Path:
    """Return the file of the page."""
    page = blocks(ROOT / "docs" / "how_to" / "own_detector.md")
    (text,) = [block.text for block in page if block.file == "mine.py"]
    assert len([line for line in text.splitlines() if line]) <= 20
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def test_its_scores_are_in_the_journal_and_it_is_known_by_its_content(file, tmp_path):
    golden = train_small(tmp_path / "golden")
    chosen = (("non_finite", ()), (f"{file}:DETECTOR", (("threshold", 3.0),)))
    plan = small_plan(golden, 2, detectors=chosen, propagation=False)
    assert [*plan.watching()] == ["non_finite", "mine_DETECTOR"]
    assert plan.watching()["mine_DETECTOR"].threshold == 3
    subject = WorkloadSubject(plan, True, golden_scores(plan))
    losses = [line["loss"] for line in subject_curve(golden)]
    for number, score in enumerate(subject.golden.scores["mine_DETECTOR"]):
        ratio = losses[number] / losses[number - 1] if number else 0.0
        assert score == pytest.approx(ratio, rel=1e-5)
    runner = subject.open()
    written = subject.manifest(), subject.session(["campaign.py"], "0")
    scores = subject.measures, subject.golden_scores
    with Writer(tmp_path / "campaign", *written, *scores) as journal:
        journal.add([runner.run(number) for number in range(2)])
    with Reader.open(tmp_path / "campaign") as journal:
        row = journal.row(0)
        assert len(scores_of_one(journal, 0)[1]) == row.steps_run
        assert str(tmp_path) not in journal.manifest()["plan"]
        with pytest.raises(InputError, match="name its campaign file with --plan"):
            recorded_plan(journal)
    before = plan.identity()
    file.write_text(file.read_text() + "\n")
    assert plan.identity()["own detectors"] != before["own detectors"]
    assert plan.identity()["detectors"] == before["detectors"]


def subject_curve(golden: pathlib.Path) -> list[dict]:
    """Return the lines of a golden run."""
    from tpufi.golden import GoldenFolder

    return GoldenFolder(golden).read_lines("steps.jsonl")


def test_a_plan_names_it_beside_all_others(file):
    known_workload()
    text = SMALL_PLAN + 'detectors: [all, "mine.py:DETECTOR"]'
    plan = read_plan(write_plan(file.parent, text))
    assert [*plan.watching()][-1] == "mine_DETECTOR"
    assert len(plan.detectors) > 10


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mine.py:dataclasses", {}, "module; expected a tpufi.detect.Detector"),
        ("mine.py:NONE", {}, "no 'NONE'; nearest"),
        ("none.py:DETECTOR", {}, "no such file"),
        ("mine.py:DETECTOR", {"limit": 3.0}, "limit.*make it run"),
    ],
)
def test_what_is_no_detector_is_refused_in_one_line(file, name, settings, message):
    with pytest.raises(InputError, match=message):
        any_detector(str(file.parent / name), **settings)


def test_two_of_one_name_are_refused(file, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "mine.py"
    other.write_text(file.read_text())
    known_workload()
    text = f'detectors: ["mine.py:DETECTOR", "{other}:DETECTOR"]'
    with pytest.raises(InputError, match="two have one name"):
        read_plan(write_plan(tmp_path, SMALL_PLAN + text))
