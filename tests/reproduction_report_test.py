# SPDX-License-Identifier: Apache-2.0
"""The page and the pictures of a reproduction, from results made for the purpose."""

import dataclasses
import math
import pathlib
import re

import pytest

from tpufi.contrib.isca23.reproduction.picture import draw
from tpufi.contrib.isca23.reproduction.plan import cases, plan_of
from tpufi.contrib.isca23.reproduction.report import Report, read_explanations
from tpufi.contrib.isca23.reproduction.results import Measured, Quantity
from tpufi.errors import InputError
from tpufi.outcomes import outcome
from tpufi.outcomes.outcome import Point, Validation
from tpufi.outcomes.outcome_thresholds import read_thresholds

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMITS = read_thresholds()
CASES = cases(ROOT / "injections", 128)[:3]
PLANS = {name: plan_of(name) for name in ("resnet18", "effnet")}
IMMEDIATE, MASKED, SLOW = (case.label for case in CASES)


def points(name: str, *losses: float) -> tuple[Point, ...]:
    return tuple(Point(x, 0.5, f"{name} {i}") for i, x in enumerate(losses))


GOLDEN = points("golden", 1.0, 0.9, 0.8, 0.7)
FINE = Measured(
    made_of={"environment": {"tensorflow": "2.19.1", "cores": "2"}},
    first=967,
    faulty=points("faulty", 1.0, 0.91, 0.81, 0.71),
    golden=GOLDEN,
    others=(points("other", 1.01, 0.89, 0.8, 0.7),),
    ended_early=False,
    validation=Validation(0.55, (0.56, 0.57)),
    state={"weights": Quantity(1.0, 2.0, 1.5, "conv1/kernel", 7, 0)},
    injected=(("0x3f800000", "0x40000000"),),
)
BROKEN = dataclasses.replace(
    FINE,
    faulty=points("faulty", 1.0, math.nan),
    others=(),
    ended_early=True,
    validation=None,
    state={"second_moment": Quantity(1e-9, 3e38, 3e38, "fc/kernel", 9, 4)},
)


def page(measured: dict[str, Measured], explanations: dict[str, str]) -> str:
    return Report(
        PLANS, "made-up data", LIMITS, CASES, measured, explanations,
        {"resnet18": "picture.png"},
    ).page()  # fmt: skip


def row(text: str, label: str) -> list[str]:
    outcomes = text.split("## What the fault")[0]
    (line,) = re.findall(rf"^\| {label} \|.*$", outcomes, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_a_row_for_each_measured_case_with_both_outcomes():
    text = page({IMMEDIATE: BROKEN, MASKED: FINE, SLOW: FINE}, {})
    assert row(text, IMMEDIATE) == [
        IMMEDIATE, outcome.IMMEDIATE, outcome.IMMEDIATE, "yes", "1.0000 / 1.0000",
        "0.9000 / nan", "0.9000 / nan", "0.500 / 0.500", "", "2", "1",
    ]  # fmt: skip
    assert row(text, MASKED) == [
        MASKED, outcome.MASKED, outcome.MASKED, "yes", "1.0000 / 1.0000",
        "0.9000 / 0.9100", "0.7000 / 0.7100", "0.500 / 0.500", "0.560 / 0.550", "4",
        "2",
    ]  # fmt: skip
    assert row(text, SLOW)[1:4] == [outcome.SLOW_DEGRADE, outcome.MASKED, "**no**"]
    assert "2 of 3 outcomes agree with the names of the files." in text


def test_the_page_tells_scale_data_thresholds_and_versions():
    text = page({MASKED: FINE}, {})
    for part in ("made-up data", str(LIMITS), "2.19.1", "124, 125", "8 x 128 images",
                 "100 (resnet18); 3000 (effnet)"):  # fmt: skip
        assert part in text
    assert "1 of 1 outcomes agree" in text
    assert "2 of 3 files have not been replayed so." in text
    assert "![resnet18](picture.png)" in text


def test_the_evidence_of_every_case_is_listed():
    text = page({IMMEDIATE: BROKEN, MASKED: FINE}, {})
    assert (
        f"| {IMMEDIATE} | second_moment | 1e-09 / 3e+38 | 3e+38 | fc/kernel | 9 | 4 |"
        in text
    )  # noqa: E501
    assert f"| {MASKED} | weights | 1 / 2 | 1.5 | conv1/kernel | 7 | 0 |" in text


def test_a_disagreement_shows_its_explanation_or_that_there_is_none():
    text = page({SLOW: FINE}, {})
    assert f"### {SLOW}\n\nIt disagrees and has not been explained yet." in text
    text = page({SLOW: FINE}, {SLOW: "Because."})
    assert f"### {SLOW}\n\nBecause." in text and "not been explained" not in text


def test_missing_golden_runs_of_the_band_are_told():
    text = page({MASKED: FINE, IMMEDIATE: BROKEN}, {})
    assert "1 of 1 cases that stayed finite have not been compared with all 3" in text
    full = dataclasses.replace(FINE, others=FINE.others * 2)
    assert "that stayed finite" not in page({MASKED: full, IMMEDIATE: BROKEN}, {})


def test_other_thresholds_give_other_outcomes_from_the_same_measurements():
    strict = dataclasses.replace(LIMITS, excess=0.005, widths=0.0)
    assert FINE.outcome(LIMITS) == outcome.MASKED
    assert FINE.outcome(strict) == outcome.SLOW_DEGRADE


def test_the_picture_is_a_png_with_a_panel_for_each_case(tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    draw({MASKED: (FINE, "masked")}, one)
    draw({MASKED: (FINE, "masked"), IMMEDIATE: (BROKEN, "immediate")}, two)
    widths = [int.from_bytes(p.read_bytes()[16:20], "big") for p in (one, two)]
    assert one.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert widths == [380, 760]
    assert len(list(tmp_path.iterdir())) == 2


def test_explanations_are_read_by_label(tmp_path):
    file = tmp_path / "explanations.toml"
    assert read_explanations(file, (SLOW,)) == {}
    file.write_text(f'"{SLOW}" = """\nTwo\nlines.\n"""\n')
    assert read_explanations(file, (SLOW, MASKED)) == {SLOW: "Two\nlines."}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('"resnet18/inj_x" = "text"', "'resnet18/inj_x' is no published injection"),
        (f'"{SLOW}" = " "', "has no text"),
        (f'"{SLOW}" = 3', "has no text"),
        (f'"{SLOW}" = ', "cannot read explanations"),
    ],
)
def test_wrong_explanations_are_told_in_one_line(content, message, tmp_path):
    file = tmp_path / "explanations.toml"
    file.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_explanations(file, (SLOW,))
    assert "explanations.toml: " in str(error.value) and "\n" not in str(error.value)
