# SPDX-License-Identifier: Apache-2.0
"""No number that a caller writes is truncated: it is what it says, or refused."""

import dataclasses
import warnings

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.fault_test import FAULT
from tpufi.descriptor import fault_row
from tpufi.errors import InputError
from tpufi.fault import AffectedOutputs, Elements, Listed, Strided
from tpufi.instrument import SiteFault, WeightFault, flip, replace, zero
from tpufi.integers import integer

WRONG = (1.5, 1.0, np.float32(0), True, np.True_, "1", b"1", float("nan"), None, 1j)
X = tf.constant([1.0, 2.0, 3.0])
RAW = {"site": 1, "replica": 0, "start": 0, "count": 1, "operation": "zero"}


@pytest.fixture(scope="module")
def fi():
    weights = tf.Variable([1.0, 2.0, 3.0])
    fi = tpufi.instrument(lambda x: tf.nn.relu(x + 1.0) * weights)
    fi.armed(X)
    return fi


def of_site(**changes):
    return lambda fi: fi.run(
        SiteFault(
            **{
                "site": fi.sites[0].id,
                "elements": [0],
                "keep": -1,
                "words": [1],
                **changes,
            }
        ),
        X,
    )


def of_weight(**changes):
    def change(fi):
        given = {"variable": 0, "elements": [0], "words": [1], **changes}
        with fi.corrupted(WeightFault(**given)):
            pass

    return change


def of_fault(**changes):
    return lambda fi: dataclasses.replace(FAULT, **changes)


CALLS = {
    "elements": lambda bad: of_site(elements=[bad]),
    "elements of three": lambda bad: of_site(elements=[0, bad, 2]),
    "elements, an array": lambda bad: of_site(elements=np.array([bad])),
    "axes": lambda bad: of_site(elements=[(bad,)]),
    "words": lambda bad: of_site(words=[bad]),
    "keep": lambda bad: of_site(keep=bad),
    "site": lambda bad: of_site(site=bad),
    "iterations": lambda bad: of_site(iterations=(bad,)),
    "flip": lambda bad: lambda fi: fi.run(flip(1, bad, 0), X),
    "bit": lambda bad: lambda fi: fi.run(flip(1, 0, bad), X),
    "zero": lambda bad: lambda fi: fi.run(zero(1, [bad]), X),
    "bits": lambda bad: lambda fi: fi.run(replace(1, [0], bits=[bad]), X),
    "weight: variable": lambda bad: of_weight(variable=bad),
    "weight: elements": lambda bad: of_weight(elements=[bad]),
    "weight: words": lambda bad: of_weight(words=[bad]),
    "weight: keep": lambda bad: of_weight(keep=bad),
    "fault: replica": lambda bad: of_fault(replica=bad),
    "fault: epoch": lambda bad: of_fault(epoch=bad),
    "fault: step": lambda bad: of_fault(step=bad),
    "fault: duration": lambda bad: of_fault(duration=bad),
    "fault: shape": lambda bad: of_fault(shape=(8, bad)),
    "fault: keep": lambda bad: of_fault(keep=bad),
    "fault: words": lambda bad: of_fault(words=(bad,)),
    "fault: run": lambda bad: of_fault(elements=Elements.run(bad, 1)),
    "fault: count": lambda bad: of_fault(elements=Strided(0, bad, 1, 1)),
    "fault: block": lambda bad: of_fault(elements=Strided(0, 1, bad, 1)),
    "fault: stride": lambda bad: of_fault(elements=Strided(0, 1, 1, bad)),
    "fault: listed": lambda bad: of_fault(elements=Listed((0, bad))),
    "fault: affected": lambda bad: of_fault(affected=AffectedOutputs(bad, 1, 1)),
    "row: site": lambda bad: lambda fi: fault_row(**RAW | {"site": bad}),
    "row: replica": lambda bad: lambda fi: fault_row(**RAW | {"replica": bad}),
    "op: start": lambda bad: lambda fi: tpufi.zero_out(X, start=bad, count=1),
    "op: count": lambda bad: lambda fi: tpufi.zero_out(X, start=0, count=bad),
    "op: mask": lambda bad: lambda fi: tpufi.flip_bits(X, start=0, count=1, mask=bad),
}


@pytest.mark.parametrize("bad", WRONG, ids=repr)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_whole_number_is_refused(name, bad, fi):
    if (name, bad) == ("weight: variable", "1"):
        return  # A name.
    with warnings.catch_warnings(), pytest.raises(InputError) as caught:
        warnings.simplefilter("ignore")
        CALLS[name](bad)(fi)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("bad", [1 << 70, -(1 << 70)])
@pytest.mark.parametrize("name", ["elements", "words", "keep", "site", "bit", "bits"])
def test_a_number_of_more_than_64_bits_is_refused(name, bad, fi):
    with pytest.raises(InputError):
        CALLS[name](bad)(fi)


def test_whole_numbers_of_numpy_and_tensorflow_are_numbers():
    for value in (7, np.int8(7), np.uint64(7), np.array(7), tf.constant(7)):
        assert integer("x", value) == 7 and type(integer("x", value)) is int


@pytest.mark.parametrize("what", ["start", "count"])
def test_a_tensor_of_numbers_with_fractions_is_no_place(what):
    places = {"start": 0, "count": 1, what: tf.constant(1.5)}
    with pytest.raises(TypeError, match=f"{what} has type float32; use an integer"):
        tpufi.zero_out(X, **places)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_number_is_rounded_once(dtype):
    x = tf.zeros([1], dtype)
    fi = tpufi.instrument(lambda x: x + x, sites=["AddV2"])
    (site,) = fi.armed(x).sites
    tie, step = (2.0**-8, 2.0**-7) if dtype == "bfloat16" else (2.0**-11, 2.0**-10)
    for tiny in (2.0**-40, -(2.0**-40)):
        run = fi.run(replace(site, [0], 1 + tie + tiny), x)
        assert float(run.outputs[0]) == 1 + (step if tiny > 0 else 0)
