# SPDX-License-Identifier: Apache-2.0
"""TensorFI's behaviour: on and off, fault types, modes, configuration."""

import collections
import json
import logging

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.chi_square import assert_distributed
from tests.instrument_checks import assert_same
from tpufi.element import to_words
from tpufi.instrument.tensorfi.config import operation_config
from tpufi.instrument.tensorfi.fault_types import Rules, Tensor, change
from tpufi.instrument.tensorfi.fields import tree_of
from tpufi.instrument.tensorfi.injector import TensorFI
from tpufi.instrument.tensorfi.operation_names import NEVER_STRUCK, Ops, types_of
from tpufi.sampling.draws import Draws

BASE = {"TensorFaultType": "bitFlip-element", "InjectMode": "errorRate", "Seed": 1}
X = tf.constant([[1.0, -2.0, 3.0], [0.5, 0.25, -0.125]])


def entries(fi) -> list[dict]:
    """Return what was logged."""
    return [json.loads(line) for line in fi.log_path.read_text().splitlines()]


def lenet():
    """A graph of 18 operations that compute, as a small LeNet has."""
    kernels = [
        tf.random.stateless_normal(shape, (1, i))
        for i, shape in enumerate([(3, 3, 1, 2), (3, 3, 2, 3), (12, 5), (5, 4), (4, 3)])
    ]

    def run(x):
        for kernel in kernels[:2]:
            x = tf.nn.conv2d(x, kernel, 1, "SAME")
            x = tf.nn.max_pool2d(
                tf.nn.relu(tf.nn.bias_add(x, kernel[0, 0, 0])), 2, 2, "SAME"
            )
        x = tf.reshape(x, (-1, 12))
        for kernel in kernels[2:]:
            x = tf.nn.relu(tf.nn.bias_add(x @ kernel, kernel[0]))
        return tf.nn.softmax(x)

    return run, tf.random.stateless_normal((1, 8, 8, 1), (2, 2))


@pytest.fixture
def injector(tmp_path):
    def make(program, config, **more):
        return TensorFI(program, config, tmp_path, **more)

    return make


# Transparency and switching (B1, B2, C1, C2, C3).


def test_the_loss_is_the_same_with_the_injector_attached(injector):
    w, b = tf.Variable([0.3]), tf.Variable([-0.3])
    x, y = tf.constant([1.0, 2, 3, 4]), tf.constant([0.0, -1, -2, -3])

    def loss(x, y):
        return tf.reduce_sum(tf.square(w * x + b - y))

    fi = injector(loss, BASE | {"Ops": ["ALL = 1"], "TensorFaultType": "None",
                                "ScalarFaultType": "None"})  # fmt: skip
    assert fi(x, y).numpy() == pytest.approx(23.66)
    assert_same(fi(x, y), loss(x, y))


def test_zero_makes_a_sum_zero_and_off_gives_it_back(injector):
    fi = injector(
        lambda a, b: a + b,
        {"Ops": ["ADD = 1"], "ScalarFaultType": "Zero", "InjectMode": "errorRate"},
    )
    a, b = tf.constant(3.0), tf.constant(4.0)
    assert fi(a, b).numpy() == 0
    fi.turnOffInjections()
    assert fi(a, b).numpy() == 7
    fi.turnOnInjections()
    assert fi(a, b).numpy() == 0
    own = fi.doneInjections()
    assert own(a, b).numpy() == fi(a, b).numpy() == 7
    fi.doneInjections()


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(3.0, 4.5, 22.5), ([3.0, 1.0], [4.0, 5.0], [21.0, 18.0])]
)
def test_placeholders_of_any_shape(a, b, expected, injector):
    fi = injector(lambda a, b: (a + b) * 3.0, BASE | {"Ops": ["ADD = 0"]})
    assert fi(tf.constant(a), tf.constant(b)).numpy().tolist() == expected


# Fault types (D1 to D8).

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "bool")


def changed(kind, dtype, rank, legacy=False, count=1, number=0):
    size = 3**rank
    rng = np.random.default_rng(rank)
    words = rng.integers(1, 1 << (1 if dtype == "bool" else 8), size, np.uint64)
    model = "tensorfi21_10" if legacy else "ieee"
    tensor = Tensor(dtype, size, rank, lambda e: words[np.asarray(e)])
    result = change(kind, tensor, Rules(model, count, legacy), Draws(3, number), "t")
    if result is None:
        return words, words
    new = words.copy()
    at = np.asarray(result.elements)
    keep = np.uint64(result.keep & ((1 << 64) - 1))
    new[at] = (words[at] & keep) ^ np.array(result.words, np.uint64)
    return words, new


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", range(5))
def test_flips_change_one_bit_of_one_or_of_each_element(rank, dtype):
    golden, new = changed("bitFlip-element", dtype, rank)
    assert sorted(map(int.bit_count, (golden ^ new).tolist())) == [0] * (
        3**rank - 1
    ) + [1]
    golden, new = changed("bitFlip-tensor", dtype, rank)
    assert [int.bit_count(d) for d in (golden ^ new).tolist()] == [1] * 3**rank


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", range(5))
def test_zero_and_rand_change_what_they_say(rank, dtype):
    assert not changed("Zero", dtype, rank)[1].any()
    golden, new = changed("Rand-element", dtype, rank)
    assert (golden != new).sum() <= 1
    _, new = changed("Rand", dtype, rank)
    if "float" in dtype:
        values = new.astype(f"uint{tf.as_dtype(dtype).size * 8}")
        values = tf.bitcast(values, dtype).numpy().astype(np.float64)
        assert (values >= 0).all() and (values < 1).all()
        assert len(np.unique(values)) > 3**rank / 2


def test_legacy_leaves_rand_element_of_higher_ranks_alone():
    for rank in range(5):
        golden, new = changed("Rand-element", "float32", rank, legacy=True)
        assert (golden != new).any() == (rank in (1, 2))


@pytest.mark.parametrize(("dtype", "count"), [("float32", 22), ("float64", 32)])
def test_legacy_flips_change_by_powers_of_two_or_the_sign(dtype, count, injector):
    value = np.array([5.75], dtype)
    deltas = set()
    config = operation_config(
        tree_of({"Ops": ["ALL = 1"], "TensorFaultType": "bitFlip-element"}), legacy=True
    )
    for number in range(400):
        tensor = Tensor(dtype, 1, 1, lambda e: to_words(value))
        rules = Rules(config.bit_model, 1, True)
        result = change(config.tensor_type, tensor, rules, Draws(1, number), "t")
        word = np.array(result.words, np.uint64).astype(f"uint{8 * value.itemsize}")
        deltas.add(float(word.view(dtype)[0]) - 5.75)
    places = {2.0**k for k in range(21)} | (
        {2.0**-k for k in range(1, 11)} if dtype == "float64" else set()
    )
    assert {abs(d) for d in deltas} == places | {11.5}
    assert len(deltas) == count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-40, 1e-5, 1e20, -0.0])
@pytest.mark.parametrize("legacy", [False, True])
def test_no_value_raises(value, legacy):
    for dtype in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            array = np.array([value], dtype)
        tensor = Tensor(array.dtype.name, 1, 1, lambda e, a=array: to_words(a))
        model = "tensorfi21_10" if legacy else "ieee"
        for number in range(40):
            rules = Rules(model, 1, legacy)
            assert change("bitFlip-element", tensor, rules, Draws(1, number), "t")


def test_many_flips_never_flip_a_bit_twice():
    golden, new = changed("multiBitFlip", "float32", 2, count=20)
    flips = sum(int.bit_count(d) for d in (golden ^ new).tolist())
    assert flips == 20


# Modes (E1 to E5).


def test_error_rate_one_strikes_every_operation_and_zero_none(injector):
    program, x = lenet()
    fi = injector(program, BASE | {"Ops": ["ALL = 1"]})
    fi.instrumented.armed(x)
    assert len(fi.instrumented.sites) == 18
    fi(x)
    assert len(entries(fi)) == 18
    fi.getFIConfig().injectMap[Ops.ALL] = 0.0
    assert_same(fi(x), program(x))
    assert len(entries(fi)) == 18


def test_error_rate_strikes_as_often_as_it_says(injector):
    fi = injector(lambda x: tf.nn.relu(x), BASE | {"Ops": ["RELU = 0.25"]})
    runs = 400
    for _ in range(runs):
        fi(X)
    # Four standard deviations of a binomial count.
    assert abs(len(entries(fi)) - runs / 4) < 4 * (runs * 0.25 * 0.75) ** 0.5


def test_a_named_operation_overrides_all(injector):
    program, x = lenet()
    fi = injector(program, BASE | {"Ops": ["ALL = 0", "SOFT-MAX = 1"]})
    for _ in range(3):
        fi(x)
    assert len(entries(fi)) == 3


def test_skip_count_spares_the_first_executions(injector):
    program, x = lenet()
    fi = injector(program, BASE | {"Ops": ["ALL = 1"], "SkipCount": 16})
    fi(x)
    sites = [e["site"] for e in entries(fi)]
    assert sites == [s.id for s in fi.instrumented.sites[16:]]


def test_dynamic_instance_strikes_one_of_each_operation(injector):
    program, x = lenet()
    kinds = ("CONV2D", "MATMUL", "RELU")
    config = {"Ops": [f"{k} = 1" for k in kinds], "InjectMode": "dynamicInstance",
              "Instances": ["CONV2D = 2", "MATMUL = 3", "RELU = 5"]}  # fmt: skip
    fresh = injector(program, BASE | config)
    seen = collections.defaultdict(set)
    for _ in range(20):
        fresh(x)
    for run in range(20):
        ops = [e["op"] for e in entries(fresh) if e["run"] == run]
        assert sorted(ops) == ["Conv2D", "MatMul", "Relu"]
    for entry in entries(fresh):
        seen[entry["op"]].add(entry["site"])
    assert {op: len(sites) for op, sites in seen.items()} == {
        "Conv2D": 2, "MatMul": 3, "Relu": 5,
    }  # fmt: skip
    pinned = injector(program, BASE | config | {"pin_instance": True}, name="pinned")
    for _ in range(6):
        pinned(x)
    assert len({e["site"] for e in entries(pinned)}) == 3


def test_one_fault_per_run_is_exactly_one_and_uniform(injector):
    program, x = lenet()
    fi = injector(program, BASE | {"Ops": ["ALL = 1"], "InjectMode": "oneFaultPerRun"})
    runs = 360
    for _ in range(runs):
        fi(x)
    found = entries(fi)
    assert [e["run"] for e in found] == list(range(runs))
    alike = {site.id: 1 for site in fi.instrumented.sites}
    assert_distributed([e["site"] for e in found], alike)


def test_wrong_instances_are_told_with_the_real_number(injector):
    program, x = lenet()
    config = BASE | {"Ops": ["CONV2D = 1"], "Instances": ["CONV2D = 3"]}
    for mode in ("dynamicInstance", "oneFaultPerRun"):
        fi = injector(program, config | {"InjectMode": mode})
        with pytest.raises(tpufi.InputError, match="Instances: .*3.* 2"):
            fi(x)


# Configuration (F1 to F6).

DEFAULT = """
Seed: 1000
ScalarFaultType: None
TensorFaultType: bitFlip-element
Ops:
  - CONV2D = 0.25
  - ALL = 0.01
SkipCount: 2
Instances:
  - CONV2D = 2
InjectMode: "errorRate"
"""


def test_a_file_like_tensorfis_parses(tmp_path):
    path = tmp_path / "default.yaml"
    path.write_text(DEFAULT)
    config = operation_config(tree_of(path))
    assert config.probabilities == {"CONV2D": 0.25, "ALL": 0.01}
    assert (config.seed, config.skip, config.instances) == (1000, 2, {"CONV2D": 2})
    assert not config.legacy and config.bit_model == "ieee"


@pytest.mark.parametrize(
    ("change_of", "message"),
    [
        ({"Ops": ["ADD = 1.5"]}, "'ADD = 1.5'; expected a probability from 0 to 1"),
        ({"Ops": ["ADD = -0.5"]}, "expected a probability from 0 to 1"),
        ({"Ops": ["ADD = nan"]}, "expected a probability from 0 to 1"),
        ({"Ops": ["ADDD = 1"]}, "operation 'ADDD' is unknown; nearest names: ADD"),
        ({"Ops": ["ADD = 1", "ADD = 0"]}, "ADD stands twice"),
        ({"Ops": []}, "Ops"),
        (
            {"TensorFaultType": "bitflip"},
            "'bitflip'; expected .*bitFlip-element",
        ),
        ({"InjectMode": "once"}, "expected one of"),
        ({"Seed": -1}, "expected a whole number from 0"),
        ({"Seed": "9" * 5000}, "expected a whole number from 0"),
        ({"Instances": ["ADD = 0"]}, "1 or more"),
        (
            {"SkipCounts": 1},
            "unknown key 'SkipCounts'; known, nearest first: SkipCount",
        ),
    ],
)
def test_a_wrong_configuration_is_told_in_one_line(change_of, message):
    good = BASE | {"Ops": ["ADD = 1"]}
    operation_config(tree_of(good))
    with pytest.raises(tpufi.InputError, match=message) as caught:
        operation_config(tree_of(good | change_of))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["Ops", "InjectMode"])
def test_a_missing_key_is_an_error(key):
    good = BASE | {"Ops": ["ADD = 1"]}
    del good[key]
    with pytest.raises(tpufi.InputError, match=f"no key '{key}'"):
        operation_config(tree_of(good))


def test_legacy_passes_over_what_is_unknown_with_a_warning(caplog):
    given = {"Ops": ["ADDD = 1", "ADD = 1"], "InjectMode": "once", "Colour": "red",
             "Seed": ""}  # fmt: skip
    with caplog.at_level(logging.WARNING, "tpufi.instrument"):
        config = operation_config(tree_of(given), legacy=True)
    assert config.probabilities == {"ADD": 1.0}
    assert config.mode == "None" and config.bit_model == "tensorfi21_10"
    assert len(caplog.records) == 3


def test_seed_zero_is_a_seed(injector):
    def draw(seed, name):
        fi = injector(lambda x: tf.exp(x), BASE | {"Ops": ["Exp = 1"], "Seed": seed},
                      name=name)  # fmt: skip
        for _ in range(5):
            fi(X)
        return [(e["elements"], e["words"]) for e in entries(fi)]

    assert draw(0, "a") == draw(0, "b") != draw(1, "c")


def test_every_name_of_tensorfi_is_known():
    assert len(Ops) == 53
    for op in Ops:
        if op is not Ops.ALL:
            assert types_of(op.value) or op.value in NEVER_STRUCK
