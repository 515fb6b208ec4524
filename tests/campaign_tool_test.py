# SPDX-License-Identifier: Apache-2.0
"""tpufi campaign: plan, status and export, and the errors of all commands."""

import csv
import dataclasses
import pathlib
import re

import pyarrow.parquet as pq
import pytest

from tests.campaign_files import PLAN, write_plan
from tests.campaign_journal_test import truncated, written
from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tests.cli_test import one_line, run_tool
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.row import FaultColumns
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.plan import strata
from tpufi.cli.campaign import COMMAND as campaign
from tpufi.fault import single_bit
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.jsonl import parse_fault
from tpufi.faults.plan import SamplingPlan, SiteSpace
from tpufi.faults.sampler import Sampler
from tpufi.models import workload
from tpufi.statistics.intervals import clopper_pearson, wilson
from tpufi.statistics.sample_size import wilson_size


def files(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    # SQLite may leave an empty log beside a damaged file.
    found = (f for f in folder.rglob("*") if f.is_file())
    return {f: f.read_bytes() for f in found if not f.name.endswith(("-shm", "-wal"))}


def lines(capsys, *arguments) -> list[str]:
    assert campaign.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_plan_tells_shares_margins_and_sizes_of_strata(tmp_path, capsys):
    file = write_plan(tmp_path)
    found = lines(capsys, "plan", file, "--by", "model", "--margin", "0.05")
    assert found[0].startswith("resnet18, seed 7, 2000 experiments of ")
    assert "confidence 0.99" in found[1] and "664 experiments (Leveugle" in found[1]
    # 1/7 of the experiments have INPUT_16.
    small = next(line.split() for line in found if line.startswith("INPUT_16"))
    half = wilson(1000 / 7, 2000 / 7, 0.99).width / 2
    assert small == [
        "INPUT_16", "14.286%", "286", f"{half:.3%}", str(7 * wilson_size(0.05, 0.99)),
    ]  # fmt: skip
    assert found[-1].startswith("2 strata; ")


def test_plan_tells_time_from_a_measured_experiment(tmp_path, capsys):
    file = write_plan(tmp_path)
    found = lines(capsys, "plan", file, "--seconds", "3.6", "--workers", "2")
    assert found[-1].startswith("1 hours for the campaign, ")


def test_plan_shows_the_faults_of_the_first_experiments(tmp_path, capsys):
    file = write_plan(tmp_path)
    found = lines(capsys, "plan", file, "--faults", "5")
    assert len(found) == 5
    assert {parse_fault(line).model for line in found} <= {"RBFLIP", "INPUT_16"}
    assert found == lines(capsys, "plan", file, "--faults", "7")[:5]


@pytest.mark.parametrize(
    ("option", "method"), [([], wilson), (["--exact"], clopper_pearson)]
)
def test_status_tells_outcomes_with_their_intervals(option, method, tmp_path, capsys):
    written(tmp_path, range(400))
    masked = sum(fake_row(n).outcome == "masked" for n in range(400))
    found = lines(capsys, "status", tmp_path, *option)
    low, high = method(masked, 400)
    heads = re.split("  +", found[0].strip())
    assert heads == [
        "outcome", "experiments", "share", "95% interval", "interval by step",
    ]  # fmt: skip
    (row,) = [line for line in found if line.startswith("masked ")]
    cells = re.split("  +", row)
    assert cells[1:3] == [f"{masked} of 400", f"{masked / 400:.3%}"]
    assert cells[3] == f"{low:.3%} to {high:.3%}" and " to " in cells[4]
    assert len({len(line) for line in found[: found.index(row) + 1]}) == 1
    ran = found.index(next(line for line in found if " in 1 session, " in line))
    assert re.fullmatch(r"400 experiments in 1 session, \d s", found[ran])
    assert found.index("  golden: g") > ran > found.index(row)
    assert any(line.startswith("widest interval: ") for line in found)
    (detected,) = [line for line in found if line.startswith("detected: ")]
    assert detected.startswith(f"detected: {400 - masked} of 400, after ")
    assert "inf" not in detected


def test_status_by_stratum_counts_each_apart(tmp_path, capsys):
    written(tmp_path, range(400))
    found = lines(capsys, "status", tmp_path, "--by", "model", "direction")
    rows = [fake_row(n) for n in range(400)]
    mine = [
        r for r in rows if (r.fault.model, r.fault.direction) == ("FLIP", "grad_in")
    ]
    masked = sum(row.outcome == "masked" for row in mine)
    start = ["FLIP", "grad_in", "masked", f"{masked} of {len(mine)}"]
    assert any(re.split("  +", line)[:4] == start for line in found)


def test_the_status_of_an_empty_journal_is_no_error(tmp_path, capsys):
    written(tmp_path, [])
    assert lines(capsys, "status", tmp_path)[0].startswith("0 experiments in 1 session")


def test_parquet_and_csv_hold_every_row(tmp_path, capsys):
    written(tmp_path, range(50))
    rows = [fake_row(n, wall_s=0.5) for n in range(50)]
    out = tmp_path / "rows.parquet"
    assert lines(capsys, "export", tmp_path, out) == [f"{out}: 50 experiments"]
    table = pq.read_table(out).to_pylist()
    assert list(table[0]) == list(schema.COLUMNS)
    for row, entry in zip(rows, table, strict=True):
        losses = entry.pop("losses")
        assert tuple(losses) == tuple(x for pair in row.losses for x in pair)
        columns = dict(zip(schema.COLUMNS, schema.to_columns(row), strict=True))
        del columns["losses"]
        assert entry == columns
    out = tmp_path / "rows.csv"
    lines(capsys, "export", tmp_path, out)
    with open(out, newline="") as file:
        entries = list(csv.DictReader(file))
    assert [int(entry["experiment"]) for entry in entries] == list(range(50))
    assert [entry["error"] for entry in entries] == [row.error or "" for row in rows]
    assert not list(tmp_path.glob(".*.tmp"))


def test_an_empty_journal_exports_no_rows(tmp_path, capsys):
    written(tmp_path, [])
    for name in ("rows.parquet", "rows.csv"):
        assert lines(capsys, "export", tmp_path, tmp_path / name)[0].endswith(
            ": 0 experiments"
        )
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["walk"], "invalid choice: 'walk'"),
        (["run", "campaign.yaml"], "required: --out"),
        (["run", "broken.yaml", "--out", "c"], "broken.yaml:3: seed: 'x'; expected"),
        (["run", "nogolden.yaml", "--out", "c"], "no golden run (manifest.json is"),
        (["run", "campaign.yaml", "--out", "c", "--workers", "0"], "0 is below 1"),
        (
            ["run", "campaign.yaml", "--out", "c", "--engine", "slurm"],
            "invalid choice: 'slurm'",
        ),
        (
            ["run", "campaign.yaml", "--out", "c", "--resources", "TPU"],
            "'TPU' is not NAME=N, e.g. TPU=4",
        ),
        (
            ["run", "campaign.yaml", "--out", "broken"],
            "journal.sqlite: is damaged; keep a copy",
        ),
        (
            ["run", "campaign.yaml", "--out", "good"],
            "journal.sqlite: begun with another plan",
        ),
        (
            ["run", "campaign.yaml", "--out", "campaign.yaml"],
            "campaign.yaml: cannot make the folder: File exists",
        ),
        (["plan"], "required: file"),
        (["plan", "nowhere.yaml"], "nowhere.yaml: cannot read it: No such file"),
        (["plan", "broken.yaml"], "broken.yaml:3: seed: 'x'; expected a whole number"),
        (["plan", "campaign.yaml", "--margin", "1"], "1 is not below 1"),
        (["plan", "campaign.yaml", "--margin", "0"], "0 is not above 0"),
        (["plan", "campaign.yaml", "--rate", "half"], "'half' is not a number"),
        (["plan", "campaign.yaml", "--seconds", "inf"], "inf is not above 0"),
        (["plan", "campaign.yaml", "--by", "bit"], "invalid choice: 'bit'"),
        (["plan", "nosites.yaml"], "matches none of the"),
        (["plan", "regex.yaml"], "plan: patterns: 're:(': is not a regular expression"),
        (["plan", "nogolden.yaml"], "no golden run (manifest.json is missing)"),
        (["status", "."], "journal.sqlite: there is no journal; name the folder"),
        (["status", "broken"], "journal.sqlite: is damaged; keep a copy"),
        (["export", "broken", "out.csv"], "journal.sqlite: is damaged; keep a copy"),
        (["export", "good", "out.xlsx"], "ending '.xlsx'; known: .parquet, .csv"),
        (["export", "good", "no/out.csv"], "no/out.csv: no such folder; make it first"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_plan(tmp_path)
    (tmp_path / "broken.yaml").write_text(PLAN.replace("seed: 7", "seed: x"))
    (tmp_path / "nosites.yaml").write_text(PLAN.replace("basicblock_2_", "stage_9_"))
    (tmp_path / "regex.yaml").write_text(PLAN.replace("re:conv1/.*", '"re:("'))
    (tmp_path / "nogolden.yaml").write_text(PLAN.replace("golden: golden", "golden: x"))
    written(tmp_path / "good", range(3))
    truncated(written(tmp_path / "broken", range(2000)))
    before = files(tmp_path)
    assert run_tool(campaign, *arguments) == 2
    assert message in one_line(capsys)
    assert files(tmp_path) == before


def test_a_fault_becomes_columns_of_the_row():
    space = SiteSpace.of(workload("resnet18"), 4)
    for name, has_bit in (("RBFLIP", True), ("STUCK_AT_0", True), ("ZERO", False),
                          ("FLIP_BITS:2", False), ("RD", False)):  # fmt: skip
        plan = SamplingPlan(models=((any_fault_model(name), 1),), steps=(1, 2))
        sampler = Sampler(space, plan)
        fault = sampler.draw(3, 1)
        columns = FaultColumns.of(fault, sampler.site(fault.site))
        place = f"{columns.layer}/{columns.direction}/{columns.operand}"
        assert (place, columns.model, columns.start) == (
            fault.site, fault.model, fault.elements.start,
        )  # fmt: skip
        assert len(columns.fault_digest) == 16
        assert (single_bit(fault) is not None) is has_bit, name
        if has_bit:
            assert 0 <= columns.bit < 32


def test_the_columns_of_a_weight_update_name_the_weight():
    space = SiteSpace.of(workload("resnet18"), 4)
    plan = SamplingPlan(
        models=((any_fault_model("FLIP"), 1),), patterns=("conv1/kernel/update/*",)
    )
    sampler = Sampler(space, plan)
    fault = sampler.draw(3, 1)
    columns = FaultColumns.of(fault, sampler.site(fault.site))
    assert (columns.layer, columns.direction) == ("conv1/kernel", "update")
    assert columns.op == "Adam" and columns.site is columns.item is None
    assert strata(sampler, ("layer",)) == {("conv1/kernel",): 1}


def test_a_pilot_tells_how_to_divide_experiments(tmp_path, capsys):
    file = write_plan(tmp_path)
    text = file.read_text()
    with Writer(tmp_path / "pilot", MANIFEST, SESSION) as journal:
        rows = []
        for number in range(40):
            outcome = "masked" if number % 4 else "short-term INF/NaN"
            row = fake_row(number, outcome=outcome)
            direction = "forward" if number < 20 else "grad_in"
            fault = dataclasses.replace(row.fault, direction=direction)
            rows.append(dataclasses.replace(row, fault=fault))
        journal.add(rows)
    arguments = ("plan", file, "--pilot", tmp_path / "pilot", "--by", "direction")
    found = lines(capsys, *arguments)
    assert found[0] == "Neyman's allocation of 2000 experiments, from 40"
    counts = [int(line.split(": ")[1].split(",")[0]) for line in found[1:]]
    assert sum(counts) == 2000 and len(counts) == 2
    assert file.read_text() == text
    assert run_tool(campaign, "plan", file, "--pilot", tmp_path / "pilot") == 2
    assert "the pilot has no experiment in stratum" in one_line(capsys)
