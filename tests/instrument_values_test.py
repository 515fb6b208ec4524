# SPDX-License-Identifier: Apache-2.0
"""What users write in a fault: numbers or bits, flat indices or one for each axis."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.instrument import SiteFault, WeightFault, flip, replace, zero

FLOATS = [e.name for e in ELEMENTS.values() if e.exponent_bits and e.bits > 8]
INTEGERS = [e.name for e in ELEMENTS.values() if not e.exponent_bits]


def doubled(dtype: str):
    """Return an instrumented program whose only site has 2 x 3 elements of a type."""
    x = tf.ones([2, 3], tf.as_dtype(dtype))
    fi = tpufi.instrument(lambda x: x + x, sites=[{"op": "AddV2"}])
    return fi, x, fi.armed(x).sites[0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [1e4, -2.0, 0.1, float("inf"), float("nan")])
def test_a_value_is_a_number_of_the_type_of_the_site(dtype, value):
    fi, x, site = doubled(dtype)
    run = fi.run(replace(site, [4], [value]), x)
    want = np.full([2, 3], 2, ELEMENTS[dtype].numpy)
    want[1, 1] = value
    found = run.outputs.numpy()
    assert found.tobytes() == want.tobytes()
    (injection,) = run.injections
    assert injection.golden_values.tolist() == [2]
    assert injection.faulty_values.tobytes() == want[1, 1].tobytes()
    entry = injection.entry()
    assert entry["golden_values"] == ["2.0"] or entry["golden_values"] == ["2"]
    assert entry["faulty_values"] == [str(want[1, 1])]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_a_value_of_an_integer_site_is_an_integer(dtype):
    fi, x, site = doubled(dtype)
    most = np.iinfo(dtype).max
    run = fi.run(replace(site, [(0, 1), (1, 2)], [most, 5]), x)
    assert run.outputs.numpy().ravel().tolist() == [2, most, 2, 2, 2, 5]


def test_one_value_is_for_all_elements():
    fi, x, site = doubled("float32")
    run = fi.run(replace(site.id, range(2), 7), x)
    assert run.outputs.numpy().ravel().tolist() == [7, 7, 2, 2, 2, 2]


def test_bits_are_patterns():
    fi, x, site = doubled("float32")
    run = fi.run([replace(site, [0], bits=[0x7F800000])], x)
    assert run.outputs.numpy()[0, 0] == np.inf


def test_an_element_may_have_an_index_for_each_axis():
    fi, x, site = doubled("float32")
    by_axes = fi.run([flip(site, (1, 2), 31), zero(site, [(0, 0)])], x)
    flat = fi.run([flip(site.id, 5, 31), zero(site.id, [0])], x)
    assert by_axes.outputs.numpy().tolist() == flat.outputs.numpy().tolist()
    assert by_axes.outputs.numpy()[1, 2] == -2


def test_faults_come_one_or_several_in_calls_and_blocks_alike():
    fi, x, site = doubled("float32")
    fault = flip(site, 0, 31)
    want = fi.run(fault, x).outputs.numpy().tolist()
    assert fi.run([fault], x).outputs.numpy().tolist() == want
    for given in ((fault,), ([fault],)):
        with fi.injected(*given):
            assert fi(x).numpy().tolist() == want


WRONG = {
    "a float where bits are": (lambda s: replace(s, [0], bits=[1.5]), "no integer"),
    "values and bits": (lambda s: replace(s, [0], [1.0], bits=[1]), "give one of them"),
    "neither": (lambda s: replace(s, [0]), "give one of them"),
    "a text": (lambda s: replace(s, [0], ["x"]), "no number"),
    "a float bit": (lambda s: flip(s, 0, 1.5), "no integer"),
    "a float element": (lambda s: flip(s, 0.5, 1), "no integer"),
    "no list": (lambda s: zero(s, 3), "list of indices"),
    "no site": (lambda s: zero("AddV2", [0]), "no integer"),
    "no fault": (lambda s: "flip", "no fault"),
    "too many indices": (lambda s: flip(s, (0, 0, 0), 1), "2 axes"),
    "an index outside": (lambda s: flip(s, (0, 3), 1), "outside"),
    "a word of floats": (lambda s: SiteFault(s.id, [0], 0, [1.5]), "no integer"),
    "more values": (lambda s: replace(s, [0], [1.0, 2.0]), "give one, or one for each"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_fault_is_one_line(case):
    fi, x, site = doubled("float32")
    make, why = WRONG[case]
    with pytest.raises(InputError, match=why) as error:
        fi.run(make(site), x)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dtype", "value", "why"),
    [
        ("float16", 1e6, "largest number is 65504"),
        ("int32", 1 << 31, "to 2147483647"),
        ("uint8", -1, "from 0"),
        ("int32", 1.5, "no int32"),
        ("int32", float("nan"), "no int32"),
    ],
)
def test_a_value_that_the_type_does_not_have_is_refused(dtype, value, why):
    fi, x, site = doubled(dtype)
    with pytest.raises(InputError, match=why):
        fi.run(replace(site, [0], [value]), x)


def test_a_weight_takes_a_number_too():
    kernel = tf.Variable(tf.ones([2, 3]), name="kernel")
    fi = tpufi.instrument(lambda x: x + kernel)
    fi.armed(tf.zeros([2, 3]))
    with fi.corrupted(WeightFault("kernel", [(1, 0)], values=[1e4])) as changes:
        assert kernel.numpy()[1, 0] == 1e4
    assert kernel.numpy()[1, 0] == 1
    assert changes[0].elements.tolist() == [3]
    for wrong in (
        WeightFault("kernel", [(1, 3)], values=[1.0]),
        WeightFault("kernel", [0], -1, [1], [1.0]),
        WeightFault("kernel", [0], 0, [1.5]),
        WeightFault("kernel", [0], values=["x"]),
    ):
        with pytest.raises(InputError), fi.corrupted(wrong):
            pass
