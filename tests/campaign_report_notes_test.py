# SPDX-License-Identifier: Apache-2.0
"""What a report tells beside its rates: typical experiments, notes, FIT, failures."""

import dataclasses
import math
import pathlib

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.campaign_report_files import (
    OUTCOMES,
    document,
    frame,
    golden_loss,
    make_row,
    text_of,
    write_campaign,
)
from tpufi.campaign.effect import MASKED
from tpufi.campaign.engine.unplanned import CRASHED
from tpufi.campaign.fit_rate import fit_rate
from tpufi.campaign.report.document import Document
from tpufi.errors import InputError
from tpufi.faults.flip_flop_shares import CLASSES as FLIP_FLOPS
from tpufi.outcomes.outcome import CLASSES

ROWS = [make_row(number) for number in range(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    return write_campaign(tmp_path_factory.mktemp("report"), ROWS)


@pytest.fixture(scope="module")
def report(folder) -> Document:
    return document(folder)


def test_typical_experiments_are_the_median_and_the_ends(report):
    found = frame(report, "replays")
    for outcome in [*OUTCOMES][:-1]:
        rows = [r for r in ROWS if r.outcome == outcome and r.losses]
        last = [r.losses[-1][0] for r in rows]
        key = [(x if math.isfinite(x) else math.inf, -r.steps_run, r.experiment)
               for x, r in zip(last, rows, strict=True)]  # fmt: skip
        numbers = [experiment for *_, experiment in sorted(key)]
        chosen = found[found.outcome == outcome].set_index("which").experiment
        assert chosen["best"] == numbers[0] and chosen["worst"] == numbers[-1]
        assert chosen["median"] == numbers[(len(numbers) - 1) // 2]
    command = "tpufi replay --campaign 'my campaign' --experiment "
    assert found.command.tolist() == [f"{command}{n}" for n in found.experiment]


def test_loss_curves_stand_beside_golden_of_the_same_steps(report):
    found = frame(report, "typical_losses")
    for number, curve in found.groupby("experiment"):
        row = ROWS[number]
        assert curve.loss.tolist() == pytest.approx(
            [loss for loss, _ in row.losses], nan_ok=True
        )
        first = row.fault.epoch * 5 + row.fault.step
        golden = [golden_loss(first + step) for step in range(len(row.losses))]
        assert curve["golden loss"].tolist() == pytest.approx(golden)
    assert "of 2 golden runs" in text_of(report, "typical")


def test_it_has_a_sentence_for_a_paper_and_an_entry_to_cite(report):
    text = text_of(report, "run")
    assert "We injected 900 faults into resnet18 with tpufi " in text
    assert "Wilson intervals with confidence 0.95" in text
    assert "@software{tpufi, author = {{The tpufi authors}}, title = {tpufi: " in text


def test_the_header_tells_data_model_optimiser_device_date_and_size(report):
    header = dict(report.header)
    assert header.pop("size").startswith("900 experiments at 15 steps of the golden ")
    assert header == {
        "data": "synthetic, digest d; 8 x 128 examples in a step",
        "model": "resnet18",
        "optimiser": "Adam, initial learning rate 0.001",
        "device": "TensorFlow 2.19.1",
        "date": "2026-01-02T03:04:05Z",
    }


def test_a_golden_run_that_is_gone_is_told_and_left_out(tmp_path):
    folder = write_campaign(tmp_path, ROWS[:50])
    (tmp_path / "golden" / "steps.jsonl").unlink()
    found = document(folder)
    assert "Golden curves are left out: " in text_of(found, "notes")
    assert frame(found, "typical_losses")["golden loss"].isna().all()


def test_another_golden_run_is_refused(folder):
    with pytest.raises(InputError, match="not the golden run of this campaign, or not"):
        document(folder, golden=(folder.parent / "other",))


def test_notes_tell_what_limits_the_figures(tmp_path):
    rows = [r for r in ROWS[:160] if r.outcome != "low test accuracy" and r.experiment]
    found = document(write_campaign(tmp_path, rows))
    notes = text_of(found, "notes")
    judged = sum(row.outcome != CRASHED for row in rows)
    high = proportion_confint(0, judged, method="wilson")[1]
    bound = f"can have a rate of up to {100 * high:.2f}%"
    unseen = ", ".join(c for c in CLASSES if c not in {r.outcome for r in rows})
    assert "low test accuracy" in unseen
    assert f"Not seen: {unseen}. That is not never: each {bound}" in notes
    assert (
        f"{160 - len(rows)} of the first 160 experiments are not in the journal"
        in notes
    )
    assert f"rates are of the other {judged}" in notes
    assert "The faults were injected into only 15 different steps" in notes
    assert "models with weights RD 1, WT 1/2, then the site every element" in notes


def test_fit_is_told_for_the_classes_that_were_injected(folder):
    found = document(folder, raw_fit=600)
    counts = {}
    for name, model in (("weight", "WT"), ("input", "INPUT"), ("local control", "RD")):
        rows = [row for row in ROWS if row.fault.model == model]
        judged = [row.outcome for row in rows if row.outcome != CRASHED]
        hits = sum(outcome not in MASKED for outcome in judged)
        counts[name] = (hits, len(judged))
    classes = [group for group in FLIP_FLOPS if group.name in counts]
    expected = fit_rate(600, counts, classes)
    shares = sum(
        float(g.share * g.activeness) * np.divide(*counts[g.name]) for g in classes
    )
    assert expected.value == pytest.approx(600 * shares)
    text = text_of(found, "fit")
    assert text.startswith(f"{expected.value:.4g} FIT ({expected.interval.low:.4g} to ")
    assert "No experiment has a fault of input_16, weight_16, neuron, global" in text
    assert frame(found, "fit").FIT.sum() == pytest.approx(expected.value)
    assert not [s for s in document(folder).sections if s.key == "fit"]


def test_what_says_nothing_of_a_fault_is_listed_apart(report):
    found = frame(report, "unplanned")
    crashed = [row.experiment for row in ROWS if row.outcome == CRASHED]
    assert found.to_numpy().tolist() == [
        ["crashed", len(crashed), crashed[0], "worker ended"]
    ]


def test_a_campaign_of_one_masked_experiment_has_a_report(tmp_path):
    row = next(row for row in ROWS if row.outcome in MASKED)
    plain = dataclasses.replace(
        row, losses=(), fault=dataclasses.replace(row.fault, bit=None)
    )
    found = document(write_campaign(tmp_path, [plain], plan={}))
    assert frame(found, "outcomes").experiments.tolist() == [0, 1]
    keys = [section.key for section in found.sections]
    assert "typical" not in keys and "comparisons" not in keys and "by_bit" not in keys
    assert list(found.header) == ["data", "device", "date", "size"]
    notes = text_of(found, "notes")
    assert "names no workload that is known here" in notes
    assert "fewer than 30 experiments: 1 of 1 by fault model; 1 of 1 by dir" in notes


def test_propagation_is_summed_up_by_moment_and_part(report):
    found = frame(report, "propagation").set_index(["after steps", "part"])
    assert len(found) == 6
    for (after, part), line in found.iterrows():
        spread = [
            s for r in ROWS for s in r.spread if (s.after, s.part) == (after, part)
        ]
        assert line.experiments == len(spread)
        assert line.share == pytest.approx(len(spread) / len(ROWS))
        wilson = proportion_confint(len(spread), len(ROWS), method="wilson")
        assert line.interval == pytest.approx(wilson)
        assert line["tensors, mean"] == pytest.approx(
            np.mean([s.tensors for s in spread])
        )
        assert line["elements, mean"] == pytest.approx(
            np.mean([s.elements for s in spread])
        )
        assert line["with values not finite"] == sum(s.not_finite > 0 for s in spread)
        assert line["with a change over 1%"] == sum(s.relative > 0.01 for s in spread)
        assert line["largest change"] == 2.0
        tensors = [s.tensor for s in spread]
        often = line["tensor that changed most, most often"]
        assert tensors.count(often) == max(map(tensors.count, "abc"))


@pytest.mark.parametrize("rows", [[], [row for row in ROWS if row.outcome == CRASHED]])
def test_nothing_to_report_is_one_line(rows, tmp_path):
    folder = write_campaign(tmp_path, rows)
    with pytest.raises(
        InputError, match=f"of {len(rows)} experiments none says"
    ) as error:
        document(folder)
    assert "\n" not in str(error.value)
