# SPDX-License-Identifier: Apache-2.0
"""Inference campaigns with a journal: the same rows however they are run."""

import csv
import json

import numpy as np
import pytest

from tests.inference_files import (
    kept_rows,
    loaded_here,
    run_here,
    subject_here,
    write_files,
    write_plan,
)
from tpufi.campaign.compared import compared_lines
from tpufi.campaign.journal.answers import measures_of, values_of
from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report.facts import gather
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import build
from tpufi.campaign.status_table import status_lines
from tpufi.errors import InputError
from tpufi.outcomes.outcome import MASKED, MASKED_IDENTICAL


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A campaign that was run at once; its plan, its folder."""
    folder = tmp_path_factory.mktemp("campaign")
    plan = write_files(folder)
    assert run_here(plan, folder / "out") == "all 150 experiments are done"
    return plan, folder / "out"


def test_rows_are_the_same_after_stops(campaign, tmp_path):
    _, whole = campaign
    plan = write_files(tmp_path)
    ends = [run_here(plan, tmp_path / "out", blocks) for blocks in (2, 1, 4)]
    assert ends == [None, None, None]
    with Reader.open(tmp_path / "out") as journal:
        assert 0 < journal.count() < 150
    assert run_here(plan, tmp_path / "out") == "all 150 experiments are done"
    assert kept_rows(tmp_path / "out") == kept_rows(whole)
    assert run_here(plan, tmp_path / "out") == "all 150 experiments are done"


def test_a_row_is_what_a_run_of_its_fault_alone_gives(campaign):
    plan, out = campaign
    found, loaded = subject_here(plan), loaded_here(plan)
    with Reader.open(out) as journal:
        rows = list(journal.rows())[::29]
        names = [name for _, name, _ in measures_of(journal)]
        columns = [list(values_of(journal, i)) for i in range(len(names))]
    for row in rows:
        item = row.experiment % len(found.chosen)
        assert (row.fault.item, row.fault.step) == (item, 0)
        fault = loaded.space.of_item(found.fault(row.experiment), item % 4)
        run = loaded.fi.run([fault], loaded.inputs(item // 4))
        answer = run.outputs.numpy()[item % 4]
        golden = loaded.golden_answers(item // 4)[item % 4]
        same = answer.tobytes() == golden.tobytes()
        assert (row.outcome == MASKED_IDENTICAL) == same
        wrong = np.isnan(answer).any() or np.argmax(answer) != np.argmax(golden)
        place = [name.startswith("sdc_1") for name in names].index(True)
        assert bool(columns[place][row.experiment]) == wrong
        assert (row.outcome in (MASKED, MASKED_IDENTICAL)) == (not wrong)


def test_status_export_and_report_read_it(campaign, tmp_path):
    _, out = campaign
    with Reader.open(out) as journal:
        lines = list(status_lines(journal, ("op",)))
        assert lines[0].split()[:3] == ["measure", "experiments", "share"]
        assert any(line.split()[:2] == ["Conv2D", "masked"] for line in lines)
        assert export(journal, tmp_path / "rows.csv") == 150
        assert export(journal, tmp_path / "rows.parquet") == 150
        document = build(gather("folder", journal, Options()))
        names = [name for _, name, _ in measures_of(journal)]
        sdc = [i for i, name in enumerate(names) if name.startswith("sdc_1")][0]
        hits = sum(map(bool, values_of(journal, sdc)))
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row[names[sdc]]) for row in rows) == hits
    tables = {table.key: table for table in document.tables()}
    (row,) = [r for r in tables["measures"].rows() if r[0].startswith("sdc_1")]
    assert row[1:3] == (150, hits) and row[4][0] <= row[3] <= row[4][1]
    assert "confidence" in next(tables["measured_numbers"].rows())[0]
    assert {"notes", "outcomes", "answers"} <= {s.key for s in document.sections}
    assert "rates_by_bit" in {picture.key for picture in document.pictures()}


def test_only_items_that_are_right_are_used_on_request(tmp_path):
    plan = write_files(tmp_path, batch="2")
    loaded = loaded_here(plan)
    classes = [np.argmax(loaded.golden_answers(b), -1) for b in range(7)]
    labels = np.concatenate(classes)
    labels[[0, 5, 6, 11, 13]] += 1
    x = np.load(tmp_path / "images.npz")["x"]
    np.savez(tmp_path / "images.npz", x=x, labels=labels)
    plan = write_plan(tmp_path, only_correct="yes", batch="2", experiments="24")
    found = subject_here(plan)
    assert (len(found.chosen), found.given) == (8, 14)  # One of nine fills no batch.
    run_here(plan, tmp_path / "out")
    with Reader.open(tmp_path / "out") as journal:
        items = {row.fault.item for row in journal.rows()}
    assert items == {1, 2, 3, 4, 7, 8, 9, 10}


def test_a_mitigation_is_compared_pair_by_pair(campaign, tmp_path):
    _, out = campaign
    plan = write_files(tmp_path, mitigation="[ranges, nan_guard]")
    run_here(plan, tmp_path / "out")
    with Reader.open(out) as first, Reader.open(tmp_path / "out") as second:
        lines = list(compared_lines(first, second))
        guarded = [row.fault for row in second.rows()]
        assert guarded == [row.fault for row in first.rows()]
    assert lines[0] == "mitigation: none against ranges nan_guard"
    assert "of 150 pairs, difference " in lines[1]
    assert "only in the second 0" in [line for line in lines if "not_finite" in line][0]
    other = write_files(tmp_path / "other", seed="4", experiments="8")
    run_here(other, tmp_path / "third")
    with Reader.open(out) as first, Reader.open(tmp_path / "third") as second:
        with pytest.raises(InputError, match="differ in seed, so their faults are no"):
            list(compared_lines(first, second))


def test_the_users_own_measures_decide_what_fails(tmp_path):
    plan = write_files(tmp_path, measures="model.py:OWN", experiments="40", batch="2")
    run_here(plan, tmp_path / "out")
    with Reader.open(tmp_path / "out") as journal:
        assert [(n, t) for _, n, t in measures_of(journal)] == [
            ("first: the first score changed", True),
            ("sum: of the scores", False),
        ]
        outcomes = {key[0] for key in journal.tally(())}
        failed = sum(map(bool, values_of(journal, 0)))
        tally = journal.tally(())
    name = "first: the first score changed"
    assert outcomes <= {MASKED, MASKED_IDENTICAL, name}
    assert tally.get((name,), 0) == failed > 0


def test_another_program_does_not_add_to_a_journal(campaign, tmp_path):
    _, out = campaign
    plan = write_files(tmp_path)
    text = (tmp_path / "model.py").read_text()
    (tmp_path / "model.py").write_text(text.replace("seed(8)", "seed(9)"))
    with pytest.raises(InputError, match="begun with another golden"):
        run_here(plan, out)
    found = subject_here(plan).manifest()
    assert json.loads(found.plan)["kind"] == "inference"


def test_several_fault_models_are_run_and_columns_say_where(tmp_path):
    plan = write_files(
        tmp_path, faults="{WT: 1, ROW_ZERO: 1, RD_CORRECT: 2}", experiments="84"
    )
    run_here(plan, tmp_path / "out")
    with Reader.open(tmp_path / "out") as journal:
        rows = list(journal.rows())
    assert {row.fault.model for row in rows} == {"WT", "ROW_ZERO", "RD_CORRECT"}
    assert {row.fault.operand for row in rows if row.fault.model == "WT"} == {"weight"}
    for row in rows:
        fault = row.fault
        assert fault.direction == "forward" and fault.epoch == fault.step == 0
        assert fault.op and fault.site.startswith(f"{fault.layer}/")
        assert fault.item == row.experiment % 12 and row.error is None


def test_a_pilot_allots_experiments_to_strata(tmp_path):
    stop = "{strata: [op], pilot: 56}"
    plan = write_files(tmp_path, stop=stop, experiments="84", rounds="2")
    assert run_here(plan, tmp_path / "out") == "all 84 experiments are done"
    with Reader.open(tmp_path / "out") as journal:
        numbers = [row.experiment for row in journal.rows()]
        document = build(gather("folder", journal, Options()))
    assert len(numbers) == 84 and numbers[:56] == list(range(56)) and numbers[-1] >= 84
    assert "by_op" in {section.key for section in document.sections}


def test_what_an_inference_cannot_have_is_one_line(tmp_path):
    with pytest.raises(InputError, match="STALE writes the values of the step"):
        subject_here(write_files(tmp_path, faults="[STALE]"))
    with pytest.raises(InputError, match="N64_WT_16 fits none of .* leave the model"):
        subject_here(write_files(tmp_path, faults="[N64_WT_16]"))
