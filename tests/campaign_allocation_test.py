# SPDX-License-Identifier: Apache-2.0
"""A campaign that allots its experiments by Neyman's rule, and its honest rates."""

import dataclasses
import functools
import json
import pathlib
import re

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.campaign_report_files import document, frame, text_of
from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tests.campaign_runs import CONFIG, run_small, small_plan
from tpufi.campaign.allocation import Allocation
from tpufi.campaign.engine.numbers import windows
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan import CampaignPlan, strata
from tpufi.campaign.status_table import status_lines
from tpufi.campaign.stop_rule import StopRule
from tpufi.errors import InputError
from tpufi.faults.sampler import Sampler
from tpufi.outcomes.outcome import IMMEDIATE, MASKED
from tpufi.random import derive

KEYS = ("direction",)
TOTAL, PILOT = 1500, 300
# Rate of a visible effect by direction; forward is what a campaign should look at.
RATES = {"forward": 0.4}
RARELY = 0.01


def allotted_plan(**changes) -> CampaignPlan:
    stop = StopRule(**{"experiments": TOTAL, "strata": KEYS, "pilot": PILOT, **changes})
    return small_plan(pathlib.Path("golden"), stop=stop)


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Rows with the plan's own faults and outcomes of known rates."""

    plan: CampaignPlan

    @functools.cached_property
    def sampler(self) -> Sampler:
        return self.plan.sampler(CONFIG.per_replica)

    def __call__(self, alive) -> "Outcomes":
        small_plan(pathlib.Path("golden"))  # This process has to know the workload.
        return self

    def run(self, number: int, attempt: int = 1) -> Row:
        fault = self.sampler.draw(self.plan.seed, number)
        columns = FaultColumns.of(fault, self.sampler.site(fault.site))
        word, _ = derive(self.plan.seed, "outcome of the test", number)
        visible = word < RATES.get(columns.direction, RARELY) * 2**32
        outcome = IMMEDIATE if visible else MASKED
        return fake_row(number, fault=columns, outcome=outcome, attempt=attempt)


def run_alone(plan, folder, size, most_windows=None) -> None:
    """Run windows one after the other, as the engine does."""
    sampler, runner = plan.sampler(CONFIG.per_replica), Outcomes(plan)
    allocation = Allocation.of(plan, sampler)
    manifest = dataclasses.replace(
        MANIFEST,
        plan=json.dumps({"workload": plan.workload}),
        allocation=allocation.text(),
    )
    with Writer(folder, manifest, SESSION) as journal:
        for count, window in enumerate(windows(plan, sampler, journal, size)):
            if count == most_windows:
                return
            journal.add([runner.run(number) for number in window])


def rows_of(folder) -> list[tuple]:
    with Reader.open(folder) as journal:
        return [(row.experiment, row.fault, row.outcome) for row in journal.rows()]


@pytest.fixture(scope="module")
def plan():
    return allotted_plan()


@pytest.fixture(scope="module")
def campaign(plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("allotted")
    run_alone(plan, folder, 400)
    return folder


def test_as_many_experiments_are_run_as_wanted_and_the_pilot_whole(campaign):
    numbers = [number for number, *_ in rows_of(campaign)]
    assert len(numbers) == TOTAL
    assert numbers[:PILOT] == list(range(PILOT))
    assert numbers[-1] > TOTAL  # Some were passed over.


def test_strata_get_the_sizes_of_neymans_allocation(plan, campaign):
    shares = strata(plan.sampler(CONFIG.per_replica), KEYS)
    rows = rows_of(campaign)
    pilot = [row for row in rows if row[0] < PILOT]
    spread = {}
    for (direction,), share in shares.items():
        hits = [o == IMMEDIATE for _, f, o in pilot if f.direction == direction]
        rate = (sum(hits) + 1) / (len(hits) + 2)
        spread[direction] = float(share) * np.sqrt(rate * (1 - rate))
    for direction, weight in spread.items():
        found = sum(f.direction == direction for n, f, _ in rows if n >= PILOT)
        expected = (TOTAL - PILOT) * weight / sum(spread.values())
        assert abs(found - expected) < 4 * np.sqrt(expected) + 1


@pytest.mark.parametrize("size", (7, 5000))
def test_neither_the_windows_nor_an_interruption_change_a_row(
    plan, campaign, size, tmp_path
):
    run_alone(plan, tmp_path, size, most_windows=3 * PILOT // (2 * size))
    run_alone(plan, tmp_path, 64)
    assert rows_of(tmp_path) == rows_of(campaign)


def test_a_longer_campaign_goes_on_where_the_shorter_one_ended(campaign, tmp_path):
    run_alone(allotted_plan(experiments=PILOT + 100), tmp_path, 50)
    run_alone(allotted_plan(), tmp_path, 50)
    assert rows_of(tmp_path) == rows_of(campaign)


def test_workers_give_the_rows_of_one(tmp_path):
    plan = allotted_plan(experiments=80, pilot=30)
    run_alone(plan, tmp_path / "alone", 16)
    ended = run_small(plan, tmp_path / "two", Outcomes(plan), 2, method="fork")
    assert ended.reason == "all 80 experiments are done"
    assert rows_of(tmp_path / "two") == rows_of(tmp_path / "alone")


def test_the_rate_of_the_whole_weights_strata_by_their_shares(plan, campaign):
    shares = strata(plan.sampler(CONFIG.per_replica), KEYS)
    rows = rows_of(campaign)
    by = {
        direction: [o == IMMEDIATE for _, f, o in rows if f.direction == direction]
        for (direction,) in shares
    }
    rate = sum(float(s) * np.mean(by[d]) for (d,), s in shares.items())
    true = sum(float(s) * RATES.get(d, RARELY) for (d,), s in shares.items())
    report = document(campaign)
    found = frame(report, "outcomes").set_index("outcome").loc["any visible effect"]
    assert found["share"] == pytest.approx(rate)
    assert found["experiments"] == sum(map(sum, by.values()))
    weights = np.concatenate(
        [np.full(len(by[d]), float(s) / len(by[d])) for (d,), s in shares.items()]
    )
    kish = weights.sum() ** 2 / (weights**2).sum()
    interval = proportion_confint(rate * kish, kish, method="wilson")
    assert found["interval"] == pytest.approx(interval)
    assert interval[0] < true < interval[1]
    plain = found["experiments"] / TOTAL
    assert plain > interval[1]  # What the counts alone would have said.


def test_a_stratum_by_itself_needs_no_weights(plan, campaign):
    found = frame(document(campaign), "by_direction").set_index("direction")
    for direction, row in found.iterrows():
        assert row["rate"] == pytest.approx(row["visible"] / row["experiments"])
        plain = proportion_confint(row["visible"], row["experiments"], method="wilson")
        assert row["interval"] == pytest.approx(plain)
        assert direction in {key for (key,) in strata(plan.sampler(4), KEYS)}


def test_weighted_estimates_are_unbiased_over_many_campaigns(plan, tmp_path):
    shares = strata(plan.sampler(CONFIG.per_replica), KEYS)
    true = sum(float(s) * RATES.get(d, RARELY) for (d,), s in shares.items())
    found = []
    for seed in range(12):
        one = dataclasses.replace(allotted_plan(experiments=400, pilot=100), seed=seed)
        run_alone(one, tmp_path / str(seed), 400)
        table = frame(document(tmp_path / str(seed)), "outcomes")
        found.append(table.set_index("outcome").share["any visible effect"])
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - true) < 3.5 * error


def test_the_report_and_the_status_say_that_experiments_were_allotted(campaign):
    report = document(campaign)
    notes = text_of(report, "notes")
    assert "The first 300 experiments are a pilot" in notes
    assert "not in the journal" not in notes
    with Reader.open(campaign) as journal:
        lines = "\n".join(status_lines(journal))
    assert "were allotted to strata" in lines and re.search("forward +immediate", lines)
    with pytest.raises(InputError, match="leave out --exact"):
        document(campaign, exact=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pilot": 0}, "pilot: 0; expected 1 up to 1499"),
        ({"pilot": TOTAL}, "pilot: 1500; expected 1 up to 1499, below experiments"),
        ({"strata": ()}, "pilot: 300; expected strata beside it"),
    ],
)
def test_a_pilot_that_cannot_be_is_told(changes, message):
    with pytest.raises(InputError) as error:
        allotted_plan(**changes)
    assert message in str(error.value)
