# SPDX-License-Identifier: Apache-2.0
"""Recovery in campaigns: what became of each experiment under protection."""

import pathlib

import pytest

from tests.campaign_files import write_plan
from tests.campaign_runs import SMALL_PLAN, known_workload, small_plan, train_small
from tpufi.campaign.detector_table import read_found
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_report
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.recovered import MEASURES
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.detect.recovery import IDENTICAL, UNSEEN
from tpufi.errors import InputError

EXPERIMENTS = 12
CHOSEN = (("exact_replay", (("every", 1.0),)), ("non_finite", ()))
NAMES = [name.removeprefix("recovery: ") for name, _ in MEASURES]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> pathlib.Path:
    """Return a campaign whose detectors see every changed bit in its own step."""
    home = tmp_path_factory.mktemp("recovery")
    plan = small_plan(
        train_small(home / "golden"),
        EXPERIMENTS,
        detectors=CHOSEN,
        recovery=True,
        propagation=False,
    )
    subject = WorkloadSubject(plan, True, golden_scores(plan))
    runner = subject.open()
    written = subject.manifest(), subject.session(["campaign.py"], "0")
    scores = subject.measures, subject.golden_scores
    with Writer(home / "campaign", *written, *scores) as journal:
        journal.add([runner.run(number) for number in range(EXPERIMENTS)])
    return home / "campaign"


def values(journal: Reader, number: int) -> dict[str, float]:
    """Return the values of recovery of an experiment, by name."""
    statement = "SELECT value FROM answer WHERE experiment = ? ORDER BY measure"
    found = [value for (value,) in journal.query(statement, (number,))]
    assert len(found) == len(CHOSEN) + len(MEASURES)
    return dict(zip(NAMES, found[len(CHOSEN) :], strict=True))


def test_what_is_seen_in_its_own_step_is_recovered_bit_for_bit(campaign):
    recovered = 0
    with Reader.open(campaign) as journal:
        for number in range(EXPERIMENTS):
            row, found = journal.row(number), values(journal, number)
            again = found.pop("steps done again")
            (outcome,) = [name for name, value in found.items() if value]
            if row.diverged_step is None:
                assert (outcome, again) == (UNSEEN, 0)
                continue
            assert outcome == IDENTICAL and again >= 1
            recovered += 1
    assert recovered > EXPERIMENTS // 3


def test_the_report_tells_the_shares_and_detectors_stay_what_they_are(
    campaign, tmp_path
):
    with Reader.open(campaign) as journal:
        assert [*read_found(journal).detectors] == [name for name, _ in CHOSEN]
        plan, _ = recorded_plan(journal)
        assert plan.recovery
        count = sum(
            journal.row(number).diverged_step is not None
            for number in range(EXPERIMENTS)
        )
    write_report(campaign, tmp_path / "report", Options())
    lines = (tmp_path / "report/tables/measures.csv").read_text().splitlines()
    (line,) = [line for line in lines if f"recovery: {IDENTICAL}" in line]
    assert f",{EXPERIMENTS},{count}," in line


PLAN = SMALL_PLAN + "recovery: yes\n"


def test_a_plan_asks_for_recovery_and_needs_detectors_for_it(tmp_path):
    known_workload()
    plan = read_plan(write_plan(tmp_path, PLAN + "detectors: [non_finite]"))
    assert plan.recovery and plan.identity()["recovery"] is True
    with pytest.raises(InputError, match="recovery: needs alarms; name detectors too"):
        read_plan(write_plan(tmp_path, PLAN))
