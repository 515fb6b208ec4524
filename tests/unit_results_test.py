# SPDX-License-Identifier: Apache-2.0
"""The page on broken units has the numbers of the journals; its plans are read."""

import dataclasses
import importlib.util
import random

import pandas as pd
import pytest

from tests.campaign_report_files import make_row, write_campaign
from tests.docs_blocks import ROOT
from tpufi.campaign.effect import is_judged, is_visible
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.report.facts import gather
from tpufi.campaign.report.options import Options
from tpufi.errors import InputError
from tpufi.models import any_workload
from tpufi.statistics.intervals import wilson

FOLDER = ROOT / "docs" / "results" / "unit_faults"
MOMENTS = ("always", "rate=0.01", "rate=0.0001", "once")
KINDS = ("pe:128x128/output/output", "lane", "memory")


def tool():
    """Return the program that writes the page."""
    spec = importlib.util.spec_from_file_location(
        "unit_results", ROOT / "tools" / "unit_results.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unit_row(number: int):
    """Return a row with a broken unit and any outcome."""
    rng, row = random.Random(number), make_row(number)
    kind, moment = rng.choice(KINDS), rng.choice(MOMENTS)
    fault = dataclasses.replace(
        row.fault,
        model=f"{kind} {moment}",
        layer="every layer",
        direction="every",
        moment=moment,
        bit=rng.choice((3, 27, 31)),
    )
    return dataclasses.replace(row, fault=fault)


@pytest.fixture(scope="module")
def rows() -> list:
    return [unit_row(number) for number in range(300)]


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    return write_campaign(tmp_path_factory.mktemp("units"), rows)


def test_rates_and_intervals_are_those_of_the_rows(folder, rows, tmp_path):
    main, out = tool().main, tmp_path / "page"
    out.mkdir()
    assert main([str(folder), "--out", str(out)]) == 0
    found = pd.read_csv(out / "tables" / "campaign_unit.csv")
    assert list(dict.fromkeys(found["when"])) == list(MOMENTS)
    for _, line in found.iterrows():
        here = [
            row.outcome
            for row in rows
            if row.fault.model == f"{line['unit']} {line['when']}"
            and is_judged(row.outcome)
        ]
        hits = sum(map(is_visible, here))
        assert (line["trainings"], line["visible"]) == (len(here), hits)
        low, high = wilson(hits, len(here))
        assert line["interval, low"] == pytest.approx(low)
        assert line["interval, high"] == pytest.approx(high)
    fields = pd.read_csv(out / "tables" / "campaign_bit.csv")
    assert set(fields["field"]) == {"mantissa bit", "exponent bit", "sign bit"}
    judged = sum(is_judged(row.outcome) for row in rows)
    for key in ("when", "unit", "bit"):
        table = pd.read_csv(out / "tables" / f"campaign_{key}.csv")
        assert table["trainings"].sum() == judged
    assert (out / "pictures" / "campaign_losses.png").stat().st_size > 10_000
    text = (out / "report.md").read_text()
    assert "300 trainings" in text and "pictures/campaign_losses.png" in text
    before = {p: p.read_bytes() for p in out.rglob("*.*")}
    main([str(folder), "--out", str(out)])
    assert {p: p.read_bytes() for p in out.rglob("*.*")} == before


def test_a_curve_is_a_quantile_of_the_distance_from_golden(folder, rows):
    with Reader.open(folder) as journal:
        facts = gather("campaign", journal, Options())
        numbers = [r.experiment for r in rows if r.losses and r.nonfinite_step is None]
        curve = tool()._above(facts, numbers[:10])
    distances = []
    for row in [r for r in rows if r.experiment in numbers[:10]]:
        place = row.fault.epoch, row.fault.step, 1
        distances.append(row.losses[0][0] - facts.golden.losses(*place)[0])
    assert curve[0] == pytest.approx(sorted(distances)[8])


def test_a_campaign_without_units_is_refused(tmp_path):
    folder = write_campaign(tmp_path, [make_row(number) for number in range(20)])
    out = tmp_path / "page"
    out.mkdir()
    with pytest.raises(InputError, match="no experiment with a broken unit"):
        tool().main([str(folder), "--out", str(out)])
    assert not list(out.iterdir())


@pytest.mark.parametrize("name", ["resnet18", "decoder"])
def test_the_plans_have_every_unit_at_every_rate_and_once(name):
    plan = read_plan(FOLDER / f"{name}.yaml")
    models = [model for model, _ in plan.sampling.models]
    kinds = {model.name.partition(" ")[0] for model in models}
    assert len(kinds) == 4 and len(models) == 16
    assert {model.name.partition(" ")[2] for model in models} == set(MOMENTS)
    source = plan.sampler(4)
    assert source.draw(plan.seed, 0) == source.draw(plan.seed, 0)
    assert any_workload(plan.workload).name == name
