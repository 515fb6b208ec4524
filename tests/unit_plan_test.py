# SPDX-License-Identifier: Apache-2.0
"""Broken units in campaign files: keys, what is drawn, and what is refused."""

import collections
import dataclasses

import pytest

from tests.campaign_files import PLAN, write_golden, write_plan
from tests.chi_square import assert_distributed
from tests.tiny_workload import TINY
from tpufi.campaign.plan import sampling_entries, strata
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.subjects import subject_of
from tpufi.campaign.workload.recorded_plan import _sampling
from tpufi.errors import InputError
from tpufi.faults.jsonl import fault_line
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.faults.unit_line import parse_broken_unit
from tpufi.faults.unit_model import UnitModel
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    UnitFault,
    VectorLane,
)
from tpufi.when import ALWAYS, When

HEAD = PLAN.split("faults:")[0]
TAIL = "epochs: 0-1\nsteps: 1-3\nreplicas: 0-1\nhorizon: 4\n"
ISSUE = "{pe: 128x128/output, when: {rate: 1e-3}}"
SPACE = SiteSpace.of(TINY, 4)


def plan_of(tmp_path, faults: str, more: str = ""):
    write_golden(tmp_path / "golden")
    text = f"{HEAD}faults: {faults}\n{TAIL}{more}"
    file = tmp_path / "campaign.yaml"
    file.write_text(text)
    return read_plan(file)


def models_of(tmp_path, faults: str, more: str = "") -> list:
    return [m for m, _ in plan_of(tmp_path, faults, more).sampling.models]


def sampler(*models: UnitModel) -> Sampler:
    plan = SamplingPlan(equally(models), epochs=(0, 1), steps=(1, 3), replicas=(0, 1))
    return Sampler(SPACE, plan)


def test_a_mapping_with_a_unit_is_one_unit(tmp_path):
    (model,) = models_of(tmp_path, ISSUE)
    element = ProcessingElement(128, 128, "output", "output")
    assert model == UnitModel(
        element, ("row", "column"), ("flip",), None, When(rate=1e-3)
    )
    assert model.name == "pe:128x128/output/output rate=0.001"


def test_units_stand_in_a_list_beside_fault_models_with_weights(tmp_path):
    text = (
        "[RBFLIP, {pe: 8x4/weight/input, row: 3, bit: 23-30, weight: 2,"
        " operation: [flip, stuck_1]}, {lane: 5, when: {steps: 3-9}}, {lane: any},"
        " {memory: 'fc/*', index: 2}, {saved: '*'},"
        " {link: missing, chunks: 8, when: once}]"
    )
    sampling = plan_of(tmp_path, text, "when: {rate: 0.5}\n").sampling
    found = {m.name: (m, w) for m, w in sampling.models}
    rate = When(rate=0.5)
    element = ProcessingElement(8, 4, "weight", "input", 3)
    assert found["pe:8x4/weight/input rate=0.5"] == (
        UnitModel(element, ("column",), ("flip", "stuck_1"), (23, 30), rate),
        2,
    )
    lane = UnitModel(VectorLane(5), ("sublane",), when=When(steps=((3, 9),)))
    assert found["lane steps=3-9"] == (lane, 1)
    assert found["lane rate=0.5"][0].drawn == ("lane", "sublane")
    memory = UnitModel(MemoryAddress("fc/*", 2), (), when=rate)
    assert found["memory:fc/* rate=0.5"][0] == memory
    saved = UnitModel(SavedActivation("*"), ("element",), when=rate)
    assert found["saved rate=0.5"][0] == saved
    assert found["link:missing once"][0].unit == Link("missing", 0, 8)
    assert "RBFLIP" in found
    stale = {m.name: m for m in models_of(tmp_path, "{link: stale, chunks: 8}")}
    assert stale == {"link:stale always": UnitModel(Link("stale", 0, 8), ("chunk",))}
    # A journal has them, and gives the same ones back.
    assert _sampling(sampling_entries(sampling)) == sampling


def test_a_unit_without_a_moment_is_broken_always(tmp_path):
    assert models_of(tmp_path, "{lane: any}")[0].when == ALWAYS


def test_experiments_are_a_pure_function_of_seed_and_number():
    models = (
        UnitModel(ProcessingElement(), operations=("stuck_0", "stuck_1")),
        UnitModel(MemoryAddress("*"), when=When(rate=0.1)),
    )
    one, other = sampler(*models), sampler(*models)
    lines = [fault_line(one.draw(7, n)) for n in range(200)]
    assert lines == [fault_line(other.draw(7, n)) for n in reversed(range(200))][::-1]
    assert len(set(lines)) == 200
    assert lines[0] == fault_line(one.draw(7, 0)) != fault_line(one.draw(8, 0))


def test_places_bits_operations_and_replicas_are_equally_likely():
    draw = sampler(UnitModel(ProcessingElement(4, 2), operations=("flip", "stuck_1")))
    faults = [draw.draw(3, n) for n in range(4000)]
    for what, size in (
        (lambda f: f.fault.unit.place, 8),
        (lambda f: f.bit, 32),
        (lambda f: f.operation, 2),
        (lambda f: f.replica, 2),
        (lambda f: (f.epoch, f.step), 6),
    ):
        found = [what(fault) for fault in faults]
        assert len(set(found)) == size
        assert_distributed(found, dict.fromkeys(found, 1))


def test_memory_is_drawn_by_its_elements_and_a_rate_has_a_key():
    draw = sampler(UnitModel(MemoryAddress("fc/*"), when=When(rate=0.1)))
    faults = [draw.draw(3, n) for n in range(3000)]
    counts = collections.Counter(f.fault.unit.tensor for f in faults)
    sizes = {n: s for n, s in SPACE.addresses.stored.items() if n in counts}
    assert set(sizes) == {n for n in SPACE.addresses.stored if n.startswith("fc/")}
    assert_distributed([f.fault.unit.tensor for f in faults], sizes)
    assert all(f.fault.unit.index < sizes[f.fault.unit.tensor] for f in faults)
    assert len({f.when.key for f in faults}) == 3000
    assert {f.when.rate for f in faults} == {0.1}


def test_given_places_and_operations_are_taken():
    element = ProcessingElement(8, 8, "output", "output", 3, 5)
    draw = sampler(UnitModel(element, (), ("zero",), when=When(steps=((2, 3),))))
    fault = draw.draw(1, 0)
    assert fault.fault.unit == element and fault.operation == "zero"
    assert fault.bit is None and fault.start == 29 and fault.duration == 4
    armed = fault.descriptor(SPACE.table, first=9)
    assert armed == UnitFault(
        element, "zero", replica=fault.replica, when=fault.when, first=9
    )


def test_strata_are_kinds_with_their_moments_and_add_up():
    draw = sampler(
        UnitModel(VectorLane(), when=When(rate=0.1)),
        UnitModel(VectorLane(), when=When(rate=0.01)),
        UnitModel(MemoryAddress("*")),
    )
    found = strata(draw, ("model",))
    assert found == {
        ("lane rate=0.1",): pytest.approx(1 / 3),
        ("lane rate=0.01",): pytest.approx(1 / 3),
        ("memory always",): pytest.approx(1 / 3),
    }
    assert sum(strata(draw, ("op", "layer")).values()) == 1
    assert ("VectorLane",) in strata(draw, ("op",))
    # The armed program needs no site for them.
    assert draw.sites() == frozenset()


def test_a_line_tells_all_of_a_unit():
    draw = sampler(UnitModel(Link("corrupted", 0, 8), bits=(31, 31)))
    line = fault_line(draw.draw(5, 2))
    assert line.startswith('{"model":"link:corrupted always","unit":"link:corrupted@')
    assert '/8","replica":' in line and '"word":"0x80000000"' in line


def test_a_line_is_read_as_the_unit_it_was_written_of():
    draw = sampler(
        UnitModel(ProcessingElement(8, 4, "input", "accumulator"), when=When(rate=0.1)),
        UnitModel(VectorLane(), operations=("stuck_0", "stuck_1", "zero")),
        UnitModel(MemoryAddress("*"), when=When(every=3)),
        UnitModel(SavedActivation("*")),
        UnitModel(Link("twice", 0, 8)),
        UnitModel(Link("stale", 0, 8)),
    )
    for number in range(100):
        fault = draw.draw(9, number)
        read = parse_broken_unit(fault.line() + "\n")
        assert read.line() == fault.line() and read.fault == fault.fault
        assert read.bit == fault.bit and read.operation == fault.operation


LINE = (
    '{"model":"lane","unit":"lane@1,2","operation":"flip","keep":"0x0","word":"0x4",'
    '"when":"once","replica":0,"epoch":0,"step":1}'
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lane@1,2", "lane@1", "'lane@1'; expected pe:128x128"),
        ("lane@1,2", "lane@128,0", "lane 128 is not 0 to 127"),
        ("lane@1,2", "link:twice@1,4", "'link:twice@1,4'; expected"),
        ("flip", "add", "operation 'add' is unknown"),
        ('"0x4"', "4", "word: 4; expected a string"),
        ('"0x4"', '"x4"', "word: 'x4'; expected hexadecimal"),
        ('"step":1', '"step":-1', "step: -1; expected 0 or more"),
        ('"step":1', '"step":true', "step: True; expected a whole number"),
        ('"once"', '"rate=2"', "rate: 2.0; expected a probability"),
        (',"step":1', "", "expected one JSON object with the keys"),
        ("{", "[", "expected one JSON object with the keys"),
    ],
)
def test_a_line_that_is_none_is_told_in_one(old, new, message):
    parse_broken_unit(LINE)
    with pytest.raises(InputError) as caught:
        parse_broken_unit(LINE.replace(old, new))
    assert message in str(caught.value) and "\n" not in str(caught.value)


BROKEN = {
    "outside_the_array": ("{pe: 128x128/output, row: 128}", "row 128 is not 0 to 127"),
    "no_array": ("{pe: big}", "faults.pe: 'big'; expected ROWSxCOLUMNS/DATAFLOW"),
    "unknown_dataflow": ("{pe: 8x8/diagonal}", "dataflow 'diagonal' is unknown"),
    "unknown_register": ("{pe: 8x8/weight/output}", "register 'output' is unknown"),
    "rate_of_0": ("{lane: any, when: {rate: 0}}", "rate: 0.0; expected a probability"),
    "rate_of_2": ("{lane: any, when: {rate: 2}}", "rate: 2.0; expected a probability"),
    "overlap": ("{lane: any, when: {steps: [1-5, 4-9]}}", "steps: '4-9'; expected a"),
    "unknown_unit": ("{alu: 3, bit: 4}", "unit 'alu'; expected one of lane, link"),
    "two_units": ("{lane: 3, pe: 8x8/output}", "unit lane, pe; expected one of"),
    "unknown_key": ("{lane: 3, row: 4}", "unknown key 'row'; known, nearest first"),
    "unknown_operation": ("{lane: any, operation: stick}", "'stick'; expected one of"),
    "no_bit": ("{lane: any, operation: zero, bit: 3}", "bit: nothing of it keeps or"),
    "bits": ("{lane: any, bit: 9-3}", "faults.bit: '9-3'; expected a first number"),
    "many_bits": ("{lane: any, bit: 64}", "bit 64 to 64; expected 0 <= first"),
    "no_lane": ("{lane: 128}", "lane 128 is not 0 to 127 of 8x128 lanes"),
    "lane_text": ("{lane: some}", "faults.lane: 'some'; expected a whole number"),
    "link": ("{link: late}", "faults.link: 'late'; expected one of"),
    "link_operation": ("{link: twice, operation: flip}", "expected a link that"),
    "stale_bit": ("{link: stale, bit: 3}", "bit: nothing of it keeps or"),
    "chunk": ("{link: twice, chunks: 4, chunk: 4}", "chunk 4 is not 0 to 3"),
    "trigger": ("{lane: any, when: {exponents: [3]}}", "give when no between and no"),
    "twice": ("[{lane: 1}, {lane: 2}]", "lane always twice; name it once"),
    "weight": ("{lane: any, weight: 0}", "faults.weight: '0'; expected a number above"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_mistake_is_one_line_with_its_place(tmp_path, name):
    faults, message = BROKEN[name]
    with pytest.raises(InputError) as caught:
        plan_of(tmp_path, faults)
    told = str(caught.value)
    assert message in told and "\n" not in told
    assert told.startswith(f"{tmp_path / 'campaign.yaml'}:")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("durations: 2\n", "durations: of faults of a tensor"),
        ("sites: {weights: flip_flops}\n", "a unit has no share of flip-flops"),
        ("sites: {patterns: ['*']}\n", "sites: a unit is in all layers"),
    ],
)
def test_keys_of_tensors_are_refused_beside_units_alone(tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        plan_of(tmp_path, "{lane: any}", more)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("{memory: 'fcc/*'}", "tensor 'fcc/.' matches none of .* nearest: .*fc/"),
        ("{saved: conv99}", "layer 'conv99' matches none of .* nearest: conv"),
        ("{lane: any, bit: 32}", "bit 32 is not 0 to 31 of float32"),
        ("{memory: fc_bias/bias, index: 10}", "10 lies outside fc_bias/bias of 10 el"),
    ],
)
def test_what_the_workload_lacks_is_one_line(tmp_path, faults, message):
    plan_of(tmp_path, faults)
    with pytest.raises(InputError, match=message):
        subject_of(tmp_path / "campaign.yaml").source  # noqa: B018


def test_a_stale_link_needs_a_step_before_it(tmp_path):
    link = equally([UnitModel(Link("stale", 0, 8))])
    with pytest.raises(InputError, match="link:stale always needs the step before"):
        SamplingPlan(link, epochs=(0, 1), steps=(0, 3))
    later = plan_of(tmp_path, "{link: stale}").moments(8)
    assert later.stale == ("link:stale always",)
    assert plan_of(tmp_path, "{link: twice}").moments(8).stale == ()


def test_a_space_in_which_no_unit_breaks_draws_none(tmp_path):
    space = dataclasses.replace(SPACE, addresses=None)
    with pytest.raises(InputError, match="no unit breaks in this space; leave it out"):
        Sampler(space, SamplingPlan(equally([UnitModel(VectorLane())])))


def test_plans_without_units_have_the_identity_they_had(tmp_path):
    plan = read_plan(write_plan(tmp_path))
    assert sampling_entries(plan.sampling)["models"] == [
        ["RBFLIP", "3"],
        ["INPUT_16", "1/2"],
    ]
