# SPDX-License-Identifier: Apache-2.0
"""A journal with every outcome, and its golden runs, for the tests of reports."""

import dataclasses
import json
import math
import pathlib
import random

import pandas as pd

from tests.campaign_rows import MANIFEST, fake_row
from tpufi.campaign.engine.unplanned import CRASHED
from tpufi.campaign.journal.manifest import golden_digest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.report.document import Document
from tpufi.campaign.report.facts import gather
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import build
from tpufi.experiment.spread import Spread
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.outcomes import outcome as classes

PER_EPOCH = 5
HORIZON = 6
PLAN = {
    "workload": "resnet18",
    "seed": 7,
    "horizon": HORIZON,
    "sampling": {
        "models": [["RD", "1"], ["WT", "1/2"]],
        "site_weights": "elements",
        "epochs": [0, 2],
    },
    "thresholds": {"immediate": 1, "sharp": 0.5},
}
_MODELS = {"FLIP": "RD", "INPUT_16": "WT", "ZERO": "INPUT"}
_LAYERS = {"conv1": "conv1", "fc": "basicblock_2_basic_0_conv1"}


def golden_loss(number: int) -> float:
    """The golden loss after a step, counted over epochs."""
    return 2.5 * math.exp(-number / 10)


# How often the made-up experiments have each.
OUTCOMES = {
    classes.MASKED_IDENTICAL: 40,
    classes.MASKED: 20,
    classes.LOW_TEST_ACCURACY: 5,
    classes.SLOW_DEGRADE: 8,
    classes.SHARP_DEGRADE: 4,
    classes.SHARP_SLOW_DEGRADE: 3,
    classes.SHORT_TERM: 6,
    classes.IMMEDIATE: 4,
    CRASHED: 1,
}


def make_row(number: int) -> Row:
    """A row with a known fault model and layer, and any outcome."""
    rng = random.Random(f"report {number}")
    row = fake_row(number, wall_s=0.5)
    fault = dataclasses.replace(
        row.fault,
        model=_MODELS[row.fault.model],
        layer=_LAYERS[row.fault.layer],
        operand=rng.choice(("input", "output")),
    )
    outcome = rng.choices(*zip(*OUTCOMES.items(), strict=True))[0]
    first = fault.epoch * PER_EPOCH + fault.step
    losses = [golden_loss(first + i) + rng.random() for i in range(HORIZON)]
    steps = HORIZON
    if outcome.endswith("INF/NaN"):
        steps = 1 + outcome.startswith("short") * rng.randrange(1, 4)
        losses = [*losses[: steps - 1], rng.choice((math.inf, math.nan))]
    return dataclasses.replace(
        row,
        fault=fault,
        outcome=outcome,
        steps_run=steps,
        losses=() if outcome == CRASHED else tuple((x, 0.25) for x in losses),
        detection_latency=row.detection_latency
        if outcome in [*OUTCOMES][3:-1]
        else None,
        error="worker ended" if outcome == CRASHED else None,
        spread=_spread(rng, 0 if outcome == CRASHED else steps),
    )


def _spread(rng: random.Random, steps: int) -> tuple[Spread, ...]:
    return tuple(
        Spread(after, part, rng.randrange(1, 9), rng.randrange(1, 999),
               rng.randrange(2), rng.choice((0.001, 0.5, 2.0)), rng.choice("abc"))
        for after in (1, 2, 4) if after <= steps
        for part in ("weights", "slots") if rng.random() < 0.7
    )  # fmt: skip


def write_golden(folder: pathlib.Path, shift: float = 0.0) -> pathlib.Path:
    """Write the curve of a golden run."""
    golden = GoldenFolder(folder)
    golden.write_manifest(GoldenConfig("resnet18", "synthetic"), {}, PER_EPOCH)
    for number in range(4 * PER_EPOCH):
        loss = golden_loss(number) + shift
        entry = {"number": number, "loss": loss, "accuracy": 0.5, "state": "s"}
        golden.append("steps.jsonl", entry)
    (folder / "epochs.jsonl").write_text("")
    return folder


def write_campaign(folder: pathlib.Path, rows: list[Row], plan=PLAN) -> pathlib.Path:
    """Write a journal with a golden run and one of its band beside it."""
    runs = [write_golden(folder / "golden"), write_golden(folder / "other", 0.3)]
    manifest = dataclasses.replace(
        MANIFEST, plan=json.dumps(plan), golden=golden_digest(runs)
    )
    session = json.dumps(
        {
            "begun": "2026-01-02T03:04:05Z",
            "command": ["tools/campaign.py", "run", "my campaign.yaml"],
            "golden": str(runs[0]),
            "band": [str(runs[1])],
        }
    )
    with Writer(folder / "campaign", manifest, session) as journal:
        journal.add(rows)
    return folder / "campaign"


def document(folder: pathlib.Path, **options) -> Document:
    """The report on a campaign, without any file."""
    with Reader.open(folder) as journal:
        return build(gather("my campaign", journal, Options(**options)))


def frame(of: Document, key: str) -> pd.DataFrame:
    """A table of a report."""
    (table,) = [table for table in of.tables() if table.key == key]
    return table.frame.infer_objects()


def text_of(of: Document, key: str) -> str:
    """All texts of a section."""
    (section,) = [section for section in of.sections if section.key == key]
    found = []
    for block in section.blocks:
        found += [block] if isinstance(block, str) else []
        found += block if isinstance(block, tuple) else []
    return "\n".join(found)
