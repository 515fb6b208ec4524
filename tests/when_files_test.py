# SPDX-License-Identifier: Apache-2.0
"""When a fault is injected, in files: text, lines, injection files, plans, options."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaign_files import PLAN, write_golden
from tpufi.campaign.journal.row import FaultColumns
from tpufi.campaign.plan import CampaignPlan, sampling_entries
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.recorded_plan import _sampling
from tpufi.cli.main import main
from tpufi.errors import InputError
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.csv import injection_text, parse_injection
from tpufi.faults.injection_file import DrawnInjection
from tpufi.faults.jsonl import fault_line, parse_fault
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.models import workload
from tpufi.when import ALWAYS, FOREVER, ONCE, When
from tpufi.when_text import parse_when, when_text

SPACE = SiteSpace.of(workload("resnet18"), 4)
ENDS = st.lists(st.integers(0, 10**6), max_size=8, unique=True).map(sorted)
NUMBERS = st.floats(allow_nan=False)
WHENS = st.builds(
    When,
    steps=ENDS.map(lambda e: tuple(zip(e[::2], e[1::2], strict=False))),
    rate=st.floats(1e-9, 1),
    key=st.integers(0, (1 << 64) - 1),
    between=st.none() | st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple),
    exponents=st.lists(st.integers(-20, 20), unique=True, max_size=4).map(
        lambda e: tuple(sorted(e))
    ),
)


def sampler(when: When | None, **changes) -> Sampler:
    models = equally([any_fault_model(n) for n in ("FLIP", "ZERO", "RBFLIP")])
    return Sampler(SPACE, SamplingPlan(models, when=when, steps=(1, 9), **changes))


@settings(max_examples=300, deadline=None)
@given(when=WHENS)
def test_a_moment_is_text_and_back(when):
    text = when_text(when)
    assert parse_when(text) == when and text == when_text(parse_when(text))
    assert text.isascii() and "\n" not in text


def test_texts_are_what_people_write():
    assert parse_when("once") == ONCE and parse_when("always") == ALWAYS
    found = parse_when("rate=1e-3 steps=5-20,30-40 every=5 between=-1:2 exponents=-3,4")
    steps = ((5, 20), (30, 40))
    assert found == When(steps, 5, 1e-3, 0, (-1.0, 2.0), (-3, 4))
    assert parse_when("steps=7") == When(steps=((7, 7),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("never", "when: 'never'; expected once, always, or some of rate=1e-3"),
        ("", "when: ''; expected once, always"),
        ("rate=1e-3 rate=1e-4", "when: 'rate=1e-4'; expected once"),
        ("rate=often", "when: rate: 'often'; expected a number"),
        ("rate=0", "when: rate: 0.0; expected a probability, 1e-09 to 1"),
        ("rate=2", "when: rate: 2.0; expected a probability"),
        ("rate=nan", "when: rate: nan; expected a probability"),
        ("every=0", "when: every: 0; expected a number of steps"),
        ("steps=9-5", "when: steps: '9-5'; expected 0 <= first <= last"),
        ("steps=1-5,4-9", "when: steps: '4-9'; expected a first step of more than 5"),
        ("steps=a-b", "when: steps: 'a-b'; expected FIRST-LAST, e.g. 5-20"),
        ("exponents=", "when: exponents: ''; expected at least one"),
        ("between=2:1", "when: between: '2 to 1'; expected low <= high"),
        ("between=1", "when: between: '1'; expected LOW:HIGH"),
        ("key=12", "when: key: '12'; expected hexadecimal"),
    ],
)
def test_wrong_texts_are_one_line(text, message):
    with pytest.raises(InputError, match=message) as problem:
        parse_when(text)
    assert "\n" not in str(problem.value)


@settings(max_examples=60, deadline=None)
@given(when=WHENS, number=st.integers(0, 99))
def test_a_fault_with_a_moment_is_a_line_and_a_file(when, number):
    plain = sampler(None).draw(3, number)
    try:
        fault = dataclasses.replace(plain, when=when, duration=when.length)
    except InputError as problem:  # No float32 lies between two numbers.
        assert "no value of float32" in str(problem) or "runs of bits" in str(problem)
        return
    line = fault_line(fault)
    assert parse_fault(line) == fault and json.loads(line)["when"] == when_text(when)
    injection = DrawnInjection("resnet18", fault, 0.01)
    again = parse_injection(injection_text(injection), "file")
    assert again == injection


def test_lines_and_files_without_a_moment_are_as_before():
    fault = sampler(None).draw(3, 0)
    assert "when" not in fault_line(fault)
    assert "when" not in injection_text(DrawnInjection("resnet18", fault, 0.01))
    assert FaultColumns.of(fault, SPACE.table[0]).moment is None


def test_mistakes_of_lines_and_files_have_their_place():
    fault = sampler(When(rate=0.5)).draw(3, 0)
    line = fault_line(fault).replace('"when":"rate=0.5', '"when":"rate=5')
    with pytest.raises(InputError, match="here:1: when: rate: 5.0; expected a prob"):
        parse_fault(line, "here:1")
    text = injection_text(DrawnInjection("resnet18", fault, 0.01))
    broken = text.replace("when,rate=0.5", "when,rate=5")
    with pytest.raises(InputError, match=r"^file:\d+: when: rate: 5.0; expected"):
        parse_injection(broken, "file")
    shorter = text.replace(f"duration,{FOREVER}", "duration,2")
    with pytest.raises(InputError, match="duration: 2; expected 2147483647, as when"):
        parse_injection(shorter, "file")


def test_a_moment_changes_nothing_else_that_is_drawn_and_its_key_is():
    plain, rated = sampler(None), sampler(When(rate=0.25))
    keys = set()
    for number in range(40):
        fault, other = plain.draw(5, number), rated.draw(5, number)
        keys.add(other.when.key)
        assert other.duration == FOREVER and other.when.rate == 0.25
        assert dataclasses.replace(other, when=None, duration=1) == fault
    assert len(keys) == 40
    assert rated.draw(5, 7) == sampler(When(rate=0.25, key=9)).draw(5, 7)
    assert sampler(ONCE).draw(5, 7).duration == 1


def test_a_plan_records_its_moment_only_if_it_has_one():
    plain = SamplingPlan()
    assert "when" not in sampling_entries(plain)
    when = When(steps=((0, 4),), rate=1e-3)
    entries = json.loads(json.dumps(sampling_entries(SamplingPlan(when=when))))
    assert entries["when"] == "rate=0.001 steps=0-4"
    assert _sampling(entries).when == when
    with pytest.raises(InputError, match="durations: 1 to 3 beside when, which says"):
        SamplingPlan(durations=(1, 3), when=when)


def plan_of(tmp_path, *lines: str) -> CampaignPlan:
    write_golden(tmp_path / "golden")
    file = tmp_path / "campaign.yaml"
    file.write_text("\n".join([*lines, PLAN]))
    return read_plan(file)


@pytest.mark.parametrize(
    ("value", "when"),
    [
        ("once", ONCE),
        ("always", ALWAYS),
        ("{rate: 1e-3}", When(rate=1e-3)),
        ("{every: 10}", When(every=10)),
        ("{steps: 5-20}", When(steps=((5, 20),))),
        ("{steps: [5-20, 30-40], rate: 0.5}", When(((5, 20), (30, 40)), rate=0.5)),
        ("{between: [-0.5, inf]}", When(between=(-0.5, math.inf))),
        ("{exponents: [4, -3]}", When(exponents=(-3, 4))),
    ],
)
def test_the_key_of_a_plan(tmp_path, value, when):
    assert plan_of(tmp_path, f"when: {value}").sampling.when == when


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["when: often"], ":1: when: 'often'; expected one of"),
        (["when: {}"], ":1: when: keys and values; expected once, always, or keys"),
        (["when: {rate: 0}"], ":1: when: rate: 0.0; expected a probability, 1e-09 to"),
        (["when: {rate: 2}"], ":1: when: rate: 2.0; expected a probability"),
        (["when: {rate: nan}"], ":1: when: rate: nan; expected a probability"),
        (["when:", "  rate: x"], ":2: when.rate: 'x'; expected a number, e.g. 1e-3"),
        (["when: {every: 0}"], ":1: when: every: 0; expected a number of steps, 1 to"),
        (["when: {steps: 9-5}"], ":1: when.steps: '9-5'; expected a first number"),
        (
            ["when:", "  steps: [1-5, 5-9]"],
            ":2: when: steps: '5-9'; expected a first step of more than 5",
        ),
        (["when: {exponents: []}"], ":1: when.exponents: a list; expected exponents"),
        (
            ["when: {exponents: [1.5]}"],
            "when.exponents: '1.5'; expected a whole",
        ),
        (["when: {between: [2, 1]}"], ":1: when: between: '2 to 1'; expected low <= h"),
        (["when: {between: [2]}"], ":1: when.between: a list; expected .LOW, HIGH."),
        (["when: {chance: 1}"], ":1: when: unknown key 'chance'; known, nearest first"),
        (["durations: 1-2", "when: always"], "plan: durations: 1 to 2 beside when"),
    ],
)
def test_wrong_keys_of_a_plan_are_one_line_with_their_place(tmp_path, lines, message):
    with pytest.raises(InputError, match=message) as problem:
        plan_of(tmp_path, *lines)
    assert "\n" not in str(problem.value)
    assert str(problem.value).startswith(str(tmp_path / "campaign.yaml:"))


def drawn(*options: str) -> int:
    given = ["draw", "--workload", "resnet18", "--seed", "5", "--count", "3"]
    with pytest.raises(SystemExit) as ended:
        main([*given, "--models", "FLIP", *options])
    return ended.value.code


def test_tpufi_draw_takes_a_moment(tmp_path, capsys):
    out = tmp_path / "faults.jsonl"
    when = "--when", "rate=1e-3", "steps=5-20,30-40"
    assert drawn("--out", str(out), *when) == 0
    for line in out.read_text().splitlines():
        fault = parse_fault(line)
        assert fault.when.steps == ((5, 20), (30, 40)) and fault.when.rate == 1e-3
        assert fault.duration == 41 and fault.when.key
    assert drawn("--when", "rate=2") == 2
    assert "when: rate: 2.0; expected a probability" in capsys.readouterr().err
