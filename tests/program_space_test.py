# SPDX-License-Identifier: Apache-2.0
"""All fault models in the sites of any program, and what multiplications read."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same, check_off
from tpufi.descriptor import CAPACITY
from tpufi.errors import InputError
from tpufi.faults.catalogue import NAMES, any_fault_model
from tpufi.faults.plan import SamplingPlan, equally
from tpufi.faults.sampler import Sampler
from tpufi.faults.unit_model import UnitModel
from tpufi.instrument import replace
from tpufi.instrument.armed_program import SITES
from tpufi.instrument.inference.faulty_batch import FaultyBatch
from tpufi.instrument.program_space import ProgramSpace
from tpufi.units import ProcessingElement

ITEMS = 3
CONFINED = ("INPUT_16", "WT_16", "N64_INPUT_16", "N64_WT_16")


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(8)
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ]
    )


@pytest.fixture(scope="module")
def x():
    return tf.random.stateless_normal((ITEMS, 6, 6, 2), (1, 3))


@pytest.fixture(scope="module")
def fi(model, x):
    fi = tpufi.instrument(model, operands=True)
    fi.armed(x)
    return fi


@pytest.fixture(scope="module")
def space(fi):
    return ProgramSpace.of_sites(fi.sites, ITEMS)


def sampler(space, name: str, **changes) -> Sampler:
    moments = {"epochs": (0, 0), "steps": (0, 0), "replicas": (0,)} | changes
    return Sampler(space, SamplingPlan(equally([any_fault_model(name)]), **moments))


def test_operands_are_sites_that_change_no_bit(fi, model, x):
    check_off(fi, model, x)
    found = [(site.op, site.operand) for site in fi.sites if site.operand != "output"]
    assert sorted(found) == [
        ("Conv2D", "input"), ("Conv2D", "weight"),
        ("MatMul", "input"), ("MatMul", "weight"),
    ]  # fmt: skip
    assert {s.operand for s in tpufi.instrument(model).armed(x).sites} == {"output"}


def test_a_fault_in_an_operand_is_in_that_operand_alone(fi, x):
    @tf.function
    def program(x, w):
        return tf.matmul(x, w), x + 1.0

    own = tpufi.instrument(program, operands=True)
    a, w = tf.ones((2, 3)), tf.ones((3, 2))
    (site,) = [s for s in own.armed(a, w).sites if s.operand == "input"]
    product, other = own.run(replace(site, [0], [5.0]), a, w).outputs
    assert product.numpy().tolist() == [[7, 7], [3, 3]]
    assert_same(other, program(a, w)[1])
    both = tpufi.instrument(program, operands=True, sites=["MatMul"])
    sites = {s.operand: s for s in both.armed(a, w).sites}
    faults = [
        replace(sites["weight"], [0], [2.0]),
        replace(sites["output"], [3], [0.0]),
    ]
    product, _ = both.run(faults, a, w).outputs
    assert product.numpy().tolist() == [[4, 3], [4, 0]]


def test_macs_are_those_of_the_shapes(fi):
    macs = {(site.op, site.operand): site.macs for site in fi.sites}
    assert macs["Conv2D", "output"] == ITEMS * 4 * 4 * 4 * 3 * 3 * 2
    assert macs["MatMul", "weight"] == ITEMS * 4 * 5 and macs["Relu", "output"] == 0

    @tf.function
    def program(a, b):
        with tf.GradientTape() as tape:
            tape.watch(b)
            y = tf.nn.conv2d(a, b, 1, "VALID")
            z = tf.einsum("bhwc,cd->bd", y, tf.ones((3, 7)))
        return tape.gradient(z, b)

    armed = tpufi.instrument(program).armed(
        tf.ones((2, 5, 5, 1)), tf.ones((3, 3, 1, 3))
    )
    macs = {site.op: site.macs for site in armed.sites}
    assert macs["Conv2DBackpropFilter"] == 2 * 3 * 3 * 3 * 9
    assert max(macs.values()) == macs["Conv2DBackpropFilter"]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in CONFINED])
def test_every_fault_model_is_injected_into_a_program(name, fi, space, x):
    source = sampler(space, name, steps=(1, 1))
    golden = fi.run((), x).outputs.numpy()
    for number in range(6):
        fault = source.draw(3, number)
        if fault.stale:  # A step before is what an inference lacks.
            with pytest.raises(InputError, match="is stale, which a single call"):
                fi.run(space.of_item(fault, 0), x)
            continue
        position = number % ITEMS
        run = fi.noted_run([space.of_item(fault, position)], CAPACITY, x)
        assert [injection.times for injection in run.injections] == [1]
        if not space.is_shared(fault.site) and fault.operation != "copy_random":
            others = np.arange(ITEMS) != position
            np.testing.assert_array_equal(run.outputs.numpy()[others], golden[others])


@pytest.mark.parametrize("name", CONFINED)
def test_what_nothing_confines_is_refused_in_one_line(name, space):
    with pytest.raises(
        InputError, match=f"{name} fits none .* confined; leave"
    ) as error:
        sampler(space, name)
    assert "\n" not in str(error.value)


def test_each_item_has_the_answer_to_its_own_fault(fi, space, x):
    batch = FaultyBatch(fi, x, space, {SITES: ()})
    for name in ("WT", "RD_CORRECT_GLB", "FLIP", "ERROR_RATE:0.5"):
        source = sampler(space, name)
        faults = [source.draw(9, number) for number in range(ITEMS)]
        for item, answer in enumerate(batch.inject(faults)):
            alone = fi.run(space.of_item(faults[item], item), x).outputs.numpy()[item]
            assert alone.tobytes() == answer.value.tobytes()


def test_sites_can_be_drawn_by_multiply_accumulates(space):
    source = sampler(space, "FLIP", site_weights="macs")
    drawn = {space.graph[source.draw(1, n).site].op for n in range(40)}
    assert drawn == {"Conv2D", "MatMul"}


def test_a_program_without_a_site_is_told():
    with pytest.raises(InputError, match="no armed site has the batch of 7"):
        fi = tpufi.instrument(lambda x: x + 1.0)
        ProgramSpace.of_sites(fi.armed(tf.ones((2, 3))).sites, 7)


@pytest.mark.parametrize(("narrow", "bits"), [("float32", 32), ("bfloat16", 16)])
def test_a_unit_needs_no_site_and_its_bit_fits_the_narrowest_product(narrow, bits):
    unit = ProcessingElement(2, 2, "output", "output")
    models = equally([UnitModel(unit)])
    plan = SamplingPlan(models, epochs=(0, 0), steps=(0, 0), replicas=(0,))

    def program(x):
        for _ in tf.range(2):  # Where faults of sites cannot be drawn.
            x = tf.matmul(x, x)
            y = tf.cast(x, narrow)
            x = tf.cast(tf.matmul(y, y), tf.float32)
        return x

    fi = tpufi.instrument(tf.function(program), sites=["MatMul"])
    armed = fi.armed(tf.ones((2, 2)))
    with pytest.raises(InputError, match="no armed site fits"):
        ProgramSpace.of_program(armed)
    source = Sampler(ProgramSpace.of_program(armed, plan.units), plan)
    drawn = [source.draw(1, number) for number in range(200)]
    assert {fault.bit for fault in drawn} == {*range(bits)}
    assert fi.run(drawn[0], tf.ones((2, 2))).injections[0].passed
