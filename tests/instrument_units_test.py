# SPDX-License-Identifier: Apache-2.0
"""A broken unit in every product of any program, against the array cycle by cycle."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.array_cases import (
    KINDS,
    agrees,
    changing,
    random_element,
    random_fault,
    whole_numbers,
)
from tests.product_cases import CASES
from tests.systolic_array import multiply
from tpufi.errors import InputError
from tpufi.gate import is_injected
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    UnitFault,
    VectorLane,
)
from tpufi.when import When

layers = tf.keras.layers
OUTPUT = ProcessingElement(2, 2, "output", "output", 1, 0)
SIGN = 31


def every_product(*operands: tf.Tensor) -> list[tf.Tensor]:
    """Compute each case of operands of its own."""
    pairs = zip(operands[::2], operands[1::2], strict=True)
    return [
        case.compute(*pair) for case, pair in zip(CASES.values(), pairs, strict=True)
    ]


def operands_of_all(rng: np.random.Generator) -> list[np.ndarray]:
    return [
        whole_numbers(rng, *shape) for case in CASES.values() for shape in case.shapes
    ]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_an_element_breaks_what_it_computes_in_every_kind_of_product(kind):
    rng = np.random.default_rng([*map(ord, "".join(kind))])
    unit = random_element(rng, kind, 3)
    fi = tpufi.instrument(every_product)
    operands = operands_of_all(rng)
    for row in {0, unit.row}:
        place = ProcessingElement(unit.rows, unit.columns, *kind, row, unit.column)
        fault = random_fault(rng, place, has_zeros=True)
        run = fi.run(fault, *operands)
        pairs = zip(operands[::2], operands[1::2], strict=True)
        for (name, case), pair, found in zip(
            CASES.items(), pairs, run.outputs, strict=True
        ):
            assert agrees(found.numpy(), case.wanted(*pair, fault)), (name, fault)
        (record,) = run.injections
        assert len(record.products) == len(CASES)
        assert 0 <= record.changed <= record.passed
    assert fi.traces == 1


def small_model() -> tf.keras.Model:
    """Return a convolution and a dense layer of whole numbers."""
    rng = np.random.default_rng(3)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((4, 4, 2)),
            layers.Conv2D(3, 3, padding="same", use_bias=False, name="conv"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(4, use_bias=False, name="dense"),
        ]
    )
    for layer in model.layers:
        layer.set_weights(
            [np.sign(whole_numbers(rng, *w.shape)) for w in layer.weights]
        )
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return whole_numbers(np.random.default_rng(5), 2, 4, 4, 2)


def test_a_training_step_has_one_broken_element_in_both_passes(images):
    model = small_model()
    conv, dense = (model.get_layer(name) for name in ("conv", "dense"))
    scale = whole_numbers(np.random.default_rng(6), 2, 4)

    @tf.function
    def step(x, scale):
        with tf.GradientTape() as tape:
            seen = conv(x)
            flat = tf.reshape(tf.nn.relu(seen), (2, -1))
            y = dense(flat)
            loss = tf.reduce_sum(y * scale)
        return seen, flat, y, tape.gradient(loss, [conv.kernel, dense.kernel])

    fault = UnitFault.flipped(OUTPUT, SIGN)
    fi = tpufi.instrument(step)
    run = fi.run(fault, images, scale)
    seen, flat, y, (dconv, ddense) = tf.nest.map_structure(
        lambda t: t.numpy(), run.outputs
    )
    change = changing(fault)
    golden = [t.numpy() for t in tf.nest.flatten(step(images, scale))]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = np.array(
        [
            padded[b, i : i + 3, j : j + 3].ravel()
            for b in range(2)
            for i in range(4)
            for j in range(4)
        ]
    )
    kernel = conv.kernel.numpy().reshape(-1, 3)
    own = multiply(rows, kernel, OUTPUT, change).reshape(2, 4, 4, 3)
    np.testing.assert_array_equal(seen, own)
    np.testing.assert_array_equal(
        y, multiply(flat, dense.kernel.numpy(), OUTPUT, change)
    )
    np.testing.assert_array_equal(ddense, multiply(flat.T, scale, OUTPUT, change))
    dflat = multiply(scale, dense.kernel.numpy().T, OUTPUT, change)
    dseen = np.where(seen > 0, dflat.reshape(seen.shape), 0).reshape(-1, 3)
    wanted = multiply(rows.T, dseen, OUTPUT, change).reshape(dconv.shape)
    np.testing.assert_array_equal(dconv, wanted)
    assert not any(
        np.array_equal(a, b)
        for a, b in zip((seen, flat, y, dconv, ddense), golden, strict=True)
    )
    (record,) = run.injections
    assert len(record.products) == 5  # The gradient of the images is not computed.
    assert all(0 < changed <= passed for passed, changed in record.products.values())


def test_another_place_bit_or_moment_traces_nothing():
    traced = []

    def program(x):
        traced.append(x)
        return tf.matmul(x, x)

    fi = tpufi.instrument(program)
    x = whole_numbers(np.random.default_rng(7), 5, 5)
    for row, bit, when in ((0, 31, When()), (1, 22, When()), (1, 22, When(rate=0.5))):
        unit = ProcessingElement(2, 3, "weight", "weight", row, 2)
        fi.run(UnitFault.flipped(unit, bit, when=when), x)
    program_of_unit = fi.armed(x).with_unit(unit)
    assert len(traced) == 1
    assert program_of_unit is fi.armed(x).with_unit(unit.built)
    assert program_of_unit is not fi.armed(x).with_unit(ProcessingElement(2, 4))


def test_a_function_of_yours_is_not_traced_again_for_another_place():
    fi = tpufi.instrument(lambda x: tf.matmul(x, x))
    x = tf.constant(whole_numbers(np.random.default_rng(7), 4, 4))
    golden = tf.matmul(x, x).numpy()
    own = tf.function(lambda x: fi(x))
    for place in ((0, 0), (1, 1)):
        unit = ProcessingElement(2, 2, "output", "output", *place)
        with fi.injected(UnitFault.flipped(unit, SIGN)) as injections:
            found = own(x).numpy()
        wanted = golden.copy()
        wanted[place[0] :: 2, place[1] :: 2] *= -1
        np.testing.assert_array_equal(found, wanted)
        assert (injections[0].passed, injections[0].changed) == (4, 4)
    assert own.experimental_get_tracing_count() == 1
    np.testing.assert_array_equal(own(x).numpy(), golden)
    site = fi.armed(x).sites[0]
    with (
        fi.injected(tpufi.flip(site, 0, SIGN)),
        pytest.raises(InputError, match="kind"),
    ):
        own(x)


def test_each_product_draws_for_itself_in_each_call(images):
    model, when = small_model(), When(rate=0.5, key=11, every=2)
    fi = tpufi.instrument(model)
    fault = UnitFault.flipped(OUTPUT, SIGN, when=when, first=1)
    with fi.injected(fault) as injections:
        for _ in range(12):
            fi(images)
    products = fi.armed(images).with_unit(OUTPUT).products
    ids = tf.constant([[site.id for site in products]], tf.int64)
    moment, replica = tf.constant(when.moment(1)[None]), tf.constant(0, tf.int64)
    drawn = []
    for step, record in enumerate(injections):
        found = [record.products[site.name][0] > 0 for site in products]
        step = tf.constant(step, tf.int64)
        assert found == is_injected(moment, step, replica, ids)[0].numpy().tolist()
        assert found == [when.injects(int(step), 0, s.id, 1) for s in products]
        drawn += found
    assert 0 < sum(drawn) < 12

    @tf.function
    def own(x):
        return fi(x)

    with fi.injected(fault) as in_graph:
        for _ in range(12):
            own(images)
    sums = {
        name: tuple(np.sum([r.products[name] for r in injections], 0))
        for name in in_graph[0].products
    }
    assert sums == in_graph[0].products


def test_products_of_loops_and_branches_are_computed_by_the_unit():
    def program(x):
        y = tf.identity(x)
        for _ in tf.range(3):
            y = tf.matmul(y, x)
            if tf.reduce_sum(y) < 0:
                y = -tf.matmul(x, x)
        return y

    fi = tpufi.instrument(tf.function(program))
    rng = np.random.default_rng(9)
    fault = UnitFault.flipped(OUTPUT, SIGN)
    for _ in range(3):
        x = np.sign(whole_numbers(rng, 4, 4))
        wanted, times = x, 0
        for _ in range(3):
            wanted, times = multiply(wanted, x, OUTPUT, changing(fault)), times + 1
            if wanted.sum() < 0:
                wanted, times = -multiply(x, x, OUTPUT, changing(fault)), times + 1
        run = fi.run(fault, x)
        np.testing.assert_array_equal(run.outputs.numpy(), wanted)
        assert run.injections[0].passed == 4 * times


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_compiled_program_is_the_graph(kind):
    def program(x, kernel, matrix):
        seen = tf.nn.conv2d(x, kernel, 2, "SAME")
        return seen, tf.matmul(tf.reshape(seen, (4, -1)), matrix)

    rng = np.random.default_rng(8)
    operands = [whole_numbers(rng, *s) for s in ((2, 3, 4, 2), (3, 3, 2, 3), (6, 5))]
    fault = random_fault(rng, random_element(rng, kind, 3), has_zeros=True)
    runs = [
        tpufi.instrument(program, jit_compile=compiled).run(fault, *operands)
        for compiled in (True, False)
    ]
    for compiled, graph in zip(runs[0].outputs, runs[1].outputs, strict=True):
        assert agrees(compiled.numpy(), graph.numpy())
    assert runs[0].injections[0].products == runs[1].injections[0].products


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_program_of_any_batch_has_the_fault_of_one_batch(kind):
    def program(x, kernel, filters, matrix):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel, filters, matrix))
            seen = tf.nn.conv2d(x, kernel, 2, "SAME")
            own = tf.nn.depthwise_conv2d(seen, filters, [1] * 4, "VALID")
            y = tf.matmul(tf.reshape(own, (-1, 6)), matrix)
            again = tf.einsum("bhwc,bhwd->bcd", seen, seen)
            loss = tf.reduce_sum(y) + tf.reduce_sum(again)
        return y, again, tape.gradient(loss, (x, kernel, filters, matrix))

    rng = np.random.default_rng(8)
    shapes = (3, 3, 4, 2), (3, 3, 2, 3), (2, 1, 3, 2), (6, 5)
    operands = [np.sign(whole_numbers(rng, *shape)) for shape in shapes]
    fault = random_fault(rng, random_element(rng, kind, 3), has_zeros=True)
    signature = [tf.TensorSpec((None, *shapes[0][1:]))]
    signature += map(tf.TensorSpec, shapes[1:])
    any_batch = tf.function(program, input_signature=signature)
    runs = [tpufi.instrument(one).run(fault, *operands) for one in (program, any_batch)]
    results = (tf.nest.flatten(run.outputs) for run in runs)
    for one, other in zip(*results, strict=True):
        assert agrees(one.numpy(), other.numpy())
    passed = [
        {name: passed for name, (passed, _) in run.injections[0].products.items()}
        for run in runs
    ]
    assert passed[0] == passed[1] and len(passed[0]) == 12


@pytest.mark.parametrize(
    "kind", [("output", "output"), ("output", "weight"), ("weight", "weight")],
    ids="-".join,
)  # fmt: skip
def test_predict_has_a_broken_element_and_then_a_fault_of_a_site(kind, images):
    model = small_model()
    golden = model.predict(images, verbose=0)
    fi = tpufi.instrument(model)
    unit = ProcessingElement(2, 2, *kind, 1, 0)
    fault = UnitFault.flipped(unit, SIGN)
    wanted = fi.run(fault, images)
    with fi.attach():
        with fi.injected(fault) as injections:
            found = model.predict(images, batch_size=2, verbose=0)
            compiled = model.predict_function
        np.testing.assert_array_equal(found, wanted.outputs.numpy())
        assert injections[0].products == wanted.injections[0].products
        site = [s for s in fi.armed(images).sites if s.op == "MatMul"][0]
        with fi.injected(tpufi.flip(site, (1, 2), SIGN)):
            flipped = model.predict(images, verbose=0)
        with fi.injected(UnitFault.flipped(unit.built, SIGN)):
            model.predict(images, verbose=0)
            assert model.predict_function is compiled
    assert np.argwhere(flipped != golden).tolist() == [[1, 2]]
    np.testing.assert_array_equal(model.predict(images, verbose=0), golden)


def test_gradients_of_a_tape_pass_straight_through_the_unit():
    fi = tpufi.instrument(lambda x: tf.reduce_sum(tf.matmul(x, x)))
    x = tf.constant(whole_numbers(np.random.default_rng(7), 4, 4))
    found = []
    for fault in ((), UnitFault.flipped(OUTPUT, SIGN)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = fi.run(fault, x).outputs
        found.append(tape.gradient(y, x).numpy())
    np.testing.assert_array_equal(*found)


def test_products_that_units_do_not_have_are_told_with_the_reason():
    def program(x, numbers):
        y = tf.raw_ops.Conv2D(
            input=x, filter=x, strides=[1] * 4, padding="SAME", data_format="NCHW"
        )
        return y, tf.matmul(numbers, numbers), tf.matmul(x[0, 0], x[0, 0])

    fi = tpufi.instrument(program)
    x, numbers = tf.ones([2, 2, 2, 2]), tf.ones([2, 2], tf.int32)
    with pytest.warns(UserWarning, match="a part in 1 products .*NCHW|NHWC"):
        made = fi.armed(x, numbers).with_unit(OUTPUT)
    assert [site.op for site in made.products] == ["MatMul"]
    assert {reason for _, reason in made.skipped} == {
        "its images are not in the order NHWC",
        "elements of type int32",
    }


UNITS = {
    "fi.corrupted(WeightFault(...))": MemoryAddress("fc/kernel"),
    "operands=True": SavedActivation("fc"),
    "sites of the gradients": Link(),
    "ProcessingElement": VectorLane(),
}


@pytest.mark.parametrize("remedy", UNITS)
def test_a_unit_that_programs_do_not_have_is_refused_with_a_remedy(remedy):
    fi = tpufi.instrument(lambda x: tf.matmul(x, x))
    fault = UnitFault(UNITS[remedy])
    with pytest.raises(InputError, match="unit: a ") as error:
        fi.run(fault, tf.ones([2, 2]))
    assert remedy in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError), fi.injected(fault):
        pass
    assert not fi.enabled


def test_what_a_program_cannot_have_of_a_unit_is_refused():
    x = tf.ones([2, 2])
    fi = tpufi.instrument(lambda x: tf.matmul(x, x))
    fault = UnitFault.flipped(OUTPUT, SIGN)
    with pytest.raises(InputError, match="one broken unit and nothing else"):
        fi.run([fault, fault], x)
    with pytest.raises(InputError, match="one broken unit and nothing else"):
        fi.run([fault, tpufi.flip(0, 0, 1)], x)
    with pytest.raises(InputError, match="has a part in no operation"):
        tpufi.instrument(lambda x: x + x).run(fault, x)
    with pytest.raises(InputError, match="of float16"):
        fi.run(fault, tf.ones([2, 2], tf.float16))


def test_a_unit_that_does_nothing_is_warned_of():
    fi = tpufi.instrument(lambda x: tf.matmul(x, x))
    far = UnitFault.flipped(ProcessingElement(row=5), SIGN)
    with pytest.warns(UserWarning, match="no value passed through it"):
        run = fi.run(far, tf.ones([2, 2]))
    assert (run.injections[0].passed, run.injections[0].changed) == (0, 0)
    with pytest.warns(UserWarning, match="not called"), fi.injected(far):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fi.run(UnitFault.flipped(OUTPUT, SIGN), tf.ones([2, 2]))
