# SPDX-License-Identifier: Apache-2.0
"""The sampler: a pure function, with the distributions the plan asks for."""

import collections
import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chi_square import assert_distributed
from tests.fault_reference import faulty_indices
from tests.tiny_workload import TINY
from tpufi.errors import InputError
from tpufi.faults.artefact_lists import sampling_list
from tpufi.faults.catalogue import FAULT_MODELS, NAMES, any_fault_model, fault_model
from tpufi.faults.flip_flop_shares import CLASSES, flip_flop_weights
from tpufi.faults.jsonl import fault_line, parse_fault
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.models import WORKLOADS, workload
from tpufi.site_table import Site, SiteTable

TYPES = ["float32", "float64", "bfloat16", "float16"]
SPACE = SiteSpace.of(TINY, 2)
ALL = equally([any_fault_model(name) for name in NAMES])
PUBLISHED = tuple(FAULT_MODELS.values())


def plan(*names, **fields) -> SamplingPlan:
    return SamplingPlan(models=equally([any_fault_model(n) for n in names]), **fields)


def test_a_draw_depends_on_seed_and_number_only():
    sampler = Sampler(SPACE, SamplingPlan())
    forwards = [sampler.draw(1, i) for i in range(50)]
    again = Sampler(SiteSpace.of(TINY, 2), SamplingPlan())
    assert [again.draw(1, i) for i in reversed(range(50))] == forwards[::-1]
    assert len(set(forwards)) == 50
    assert sampler.draw(2, 0) != forwards[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_model_draws_faults_of_its_own_sites(name, dtype):
    space = SiteSpace.of(dataclasses.replace(TINY, dtype=dtype), 2)
    model = any_fault_model(name)
    sampler = Sampler(space, plan(name, steps=(1, 4)))
    for number in range(40):
        fault = sampler.draw(3, number)
        site = space.table[space.table.id_of(fault.site)]
        fault.check(site)
        assert model.misfit(site, space.operation_of(site)) is None
        assert max(faulty_indices(fault)) < site.size
        assert fault.replica == 0 or site.direction != "update"
        assert 1 <= fault.step <= 4
        if model.confined_to is None:
            assert fault.affected is None
        assert parse_fault(fault_line(fault)) == fault


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_model_fits_every_workload(name):
    sampler = Sampler(SiteSpace.of(workload(name)), SamplingPlan(ALL, steps=(1, 48)))
    models = {sampler.draw(4, number).model for number in range(600)}
    assert models == {model.name for model, _ in ALL}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_any_seed_and_number_give_a_fault_that_survives_its_line(seed, number):
    fault = Sampler(SPACE, SamplingPlan(ALL, steps=(1, 9))).draw(seed, number)
    line = fault_line(fault)
    assert parse_fault(line) == fault and line.isascii()


def test_by_elements_every_element_of_every_site_is_equally_likely():
    # conv1 in the forward pass of one image: 8*8*3 + 3*3*3*4 + 8*8*4 elements.
    space = SiteSpace.of(TINY, 1)
    sampler = Sampler(space, plan("FLIP", patterns=("conv1/forward/*",)))
    elements = {
        (site.name, i): 1
        for site in space.table
        if site.name.startswith("conv1/forward/")
        for i in range(site.size)
    }
    assert len(elements) == 192 + 108 + 256
    faults = [sampler.draw(5, i) for i in range(8000)]
    drawn = [(fault.site, fault.elements.start) for fault in faults]
    assert_distributed(drawn, elements)
    assert set(drawn) == set(elements)


def test_every_element_of_every_site_can_be_drawn():
    probabilities = Sampler(SPACE, SamplingPlan(ALL, steps=(1, 4))).probabilities()
    reachable = {site for (_, site), p in probabilities.items() if p > 0}
    assert reachable == {site.name for site in SPACE.table}
    assert sum(probabilities.values()) == 1


@pytest.mark.parametrize("name", FAULT_MODELS)
def test_every_published_model_reaches_every_element_of_its_operand(name):
    # The input has fewer elements than a group, the weight is cut after one group.
    space = SiteSpace.of(TINY, 1)
    target = fault_model(name).target
    site = space.table[space.table.id_of(f"fc/forward/{target}")]
    sampler = Sampler(space, plan(name, patterns=(site.name,)))
    injected: set[int] = set()
    for number in range(1500 if fault_model(name).extent.size == 1 else 60):
        injected |= set(faulty_indices(sampler.draw(12, number)))
    assert injected == set(range(site.size))


@pytest.mark.parametrize("weights", ["elements", "sites", "macs"])
def test_sites_have_the_probabilities_of_their_weights(weights):
    fields = {
        "patterns": ("conv1/*put", "conv1/*/weight", "fc/*put", "bn1/forward/output"),
        "directions": ("forward", "grad_in", "grad_wt"),
    }
    sampler = Sampler(SPACE, plan("RBFLIP", site_weights=weights, **fields))
    expected = sampler.probabilities()
    by_hand = {}
    macs = {"conv1": 2 * 8 * 8 * 4 * 27, "fc": 2 * 8 * 10, "bn1": 0}
    for site in SPACE.table:
        if site.layer in macs and site.operand == "output":
            if site.layer != "bn1" or site.direction == "forward":
                weight = {"elements": site.size, "sites": 1, "macs": macs[site.layer]}
                by_hand["RBFLIP", site.name] = weight[weights]
    total = sum(by_hand.values())
    assert expected == {key: Fraction(w, total) for key, w in by_hand.items()}
    faults = [sampler.draw(6, i) for i in range(4000)]
    drawn = [(f.model, f.site) for f in faults]
    assert_distributed(drawn, {k: p for k, p in expected.items() if p})


def test_models_have_the_probabilities_of_their_weights():
    models = (
        (fault_model("RD"), Fraction("0.5")),
        (fault_model("WT"), Fraction("1.5")),
    )
    sampler = Sampler(SPACE, SamplingPlan(models))
    drawn = [sampler.draw(7, i).model for i in range(2000)]
    assert_distributed(drawn, {"RD": 1, "WT": 3})


def test_moment_duration_and_replica_are_uniform_and_include_both_ends():
    sampler = Sampler(
        SPACE,
        plan("FLIP", epochs=(3, 5), steps=(0, 3), durations=(2, 4), replicas=(1, 6)),
    )
    faults = [sampler.draw(8, i) for i in range(2000)]
    assert_distributed([f.epoch for f in faults], dict.fromkeys((3, 4, 5), 1))
    assert_distributed([f.step for f in faults], dict.fromkeys(range(4), 1))
    assert_distributed([f.duration for f in faults], dict.fromkeys((2, 3, 4), 1))
    passes = [f for f in faults if "/update/" not in f.site]
    assert_distributed([f.replica for f in passes], {1: 1, 6: 1})
    joint = collections.Counter((f.epoch, f.step) for f in faults)
    assert_distributed(list(joint.elements()), dict.fromkeys(joint, 1))


def test_flip_flop_shares_pick_the_kind_of_fault():
    models = flip_flop_weights(PUBLISHED)
    assert {m.name for m, _ in models} == {n for c in CLASSES for n in c.models}
    total = sum(weight for _, weight in models)
    assert total == sum(c.share * c.activeness for c in CLASSES)
    assert sum(c.share for c in CLASSES) == Fraction("0.72")
    sampler = Sampler(SPACE, SamplingPlan(models, site_weights="macs"))
    kinds = {name: c.name for c in CLASSES for name in c.models}
    drawn = [kinds[sampler.draw(9, i).model] for i in range(3000)]
    assert_distributed(drawn, {c.name: c.share * c.activeness for c in CLASSES})
    with pytest.raises(InputError, match="FLIP has no flip-flop share"):
        flip_flop_weights([any_fault_model("FLIP")])


def test_the_artefacts_lists_are_drawn_from_uniformly():
    space = SiteSpace.of(workload("resnet18"), 2)
    sampler = Sampler(space, plan("RD", site_weights="sites", stages=("bkwd_inject",)))
    layers = sampling_list("resnet18", "bkwd_inject")
    sites = ["/".join((n[:-8], n[-7:], "output")) for n in layers]
    drawn = [sampler.draw(10, i).site for i in range(1200)]
    assert_distributed(drawn, dict.fromkeys(sites, 1))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"patterns": ("bn1/forward/mean",)}, ["bn1/forward/mean"]),
        ({"patterns": ("re:(fc|bn1)/grad_wt/.*output",)},
         ["bn1/grad_wt/output", "bn1/grad_wt/bias_output", "fc/grad_wt/output"]),
        ({"patterns": ("fc/*",), "directions": ("grad_in",)},
         ["fc/grad_in/input", "fc/grad_in/weight", "fc/grad_in/output"]),
    ],
)  # fmt: skip
def test_patterns_and_directions_choose_sites(fields, expected):
    assert [s.name for s in plan("FLIP", **fields).sites(SPACE)] == expected


RESNET = SiteSpace.of(workload("resnet18"), 1)
ODD = ((fault_model("RD"), Fraction(1, 3**30)), (fault_model("WT"), 7**20))
INTEGERS = SiteSpace(
    "ints", SiteTable([Site("q", "forward", "output", (4,), "int8")]), {}, {}
)


@pytest.mark.parametrize(
    ("space", "make", "message"),
    [
        (SPACE, lambda: plan("WT", patterns=("relu1/*",)),
         "WT fits none of 4 sites, e.g. relu1/forward/input: its operand is input"),
        (SPACE, lambda: plan("WT_16", patterns=("bn1/*",)), "no convolution or dense"),
        (SPACE, lambda: plan("ROW_RD", patterns=("fc/*",)), "is no NHWC image"),
        (SPACE, lambda: plan("SYSTOLIC_OS", patterns=("bn1/*",)), "not the output of"),
        (SPACE, lambda: plan("FLIP_BITS:33"), "33 bits are more than the 32"),
        (SPACE, lambda: plan("CONSTANT:1e39"), "1e\\+39 is beyond float32"),
        (INTEGERS, lambda: plan("EXPONENT_FLIP"), "int8 has no exponent"),
        (INTEGERS, lambda: plan("NAN"), "nan is not a number of type int8"),
        (SPACE, lambda: plan("RBFLIP", patterns=("bn1/*",), site_weights="macs"),
         "no site that RBFLIP fits belongs to a multiplication"),
        (SPACE, lambda: plan("FLIP", patterns=("conv9/*",)),
         "'conv9/\\*' matches none of the .* nearest: conv1"),
        (SPACE, lambda: plan("FLIP", patterns=("re:(",)), "not a regular expression"),
        (SPACE, lambda: plan("FLIP", stages=("fwrd_inject",)), "no sampling list"),
        (RESNET, lambda: plan("FLIP", patterns=("bn1/*",), stages=("fwrd_inject",)),
         "no site of resnet18 is left"),
        (SPACE, lambda: plan("FLIP", site_weights="size"), "known: elements, sites"),
        (SPACE, lambda: plan("FLIP", directions=("back",)), "known: forward, grad_in"),
        (SPACE, lambda: plan("FLIP", stages=("fwd",)), "known: fwrd_inject"),
        (SPACE, lambda: plan("FLIP", epochs=(3, 2)), "epochs: 3 to 2; expected 0 <="),
        (SPACE, lambda: plan("FLIP", steps=(-1, 2)), "steps: -1 to 2"),
        (SPACE, lambda: plan("FLIP", durations=(0, 2)), "durations: 0 to 2"),
        (SPACE, lambda: plan("FLIP", replicas=()), "replicas: none"),
        (SPACE, lambda: plan("FLIP", replicas=(1, 1)), "replicas: 1; expected"),
        (SPACE, lambda: plan("FLIP", replicas=(-1,)), "replicas: -1"),
        (SPACE, lambda: plan(), "models: none"),
        (SPACE, lambda: plan("FLIP", "FLIP"), "FLIP twice"),
        (SPACE, lambda: plan("STALE"), "STALE needs the step before"),
        (SPACE, lambda: SamplingPlan(((fault_model("RD"), Fraction(0)),)), "weight 0"),
        (SPACE, lambda: SamplingPlan(ODD), "too many digits"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_meant_are_refused(space, make, message):
    with pytest.raises(InputError, match=message) as error:
        Sampler(space, make())
    assert "\n" not in str(error.value)


def test_a_batch_below_one_is_refused():
    with pytest.raises(InputError, match="batch of 0 per replica"):
        SiteSpace.of(TINY, 0)
