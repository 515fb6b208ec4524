# SPDX-License-Identifier: Apache-2.0
"""TensorFI's behaviour: on and off, and modes of injection."""

import collections
import json
import logging

import pytest
import tensorflow as tf

import tpufi
from tests.chi_square import assert_distributed
from tests.instrument_checks import assert_same
from tpufi.contrib.tensorfi.injector import TensorFI
from tpufi.contrib.tensorfi.operation_names import Ops

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


# Modes (E1 to E5).


def test_error_rate_one_changes_every_operation_and_zero_none(injector):
    program, x = lenet()
    fi = injector(program, BASE | {"Ops": ["ALL = 1"]})
    fi.instrumented.armed(x)
    assert len(fi.instrumented.sites) == 18
    fi(x)
    assert len(entries(fi)) == 18
    fi.getFIConfig().injectMap[Ops.ALL] = 0.0
    assert_same(fi(x), program(x))
    assert len(entries(fi)) == 18


def test_the_configuration_can_be_changed_between_runs(injector):
    config = BASE | {"Ops": ["RELU = 1", "ADD = 0"]}
    fi = injector(lambda x: tf.nn.relu(x) + 1.0, config)
    fi(X)
    live = fi.getFIConfig()
    live.injectMap[Ops.RELU], live.injectMap[Ops.ADD] = 0.0, 1.0
    fi(X)
    live.skipCount = 2
    fi(X)
    fi.initFIConfig(config)
    fi(X)
    first, other, again = entries(fi)
    assert (first["op"], other["op"]) == ("Relu", "AddV2")
    # With the same seed the first run comes again.
    assert [again[k] for k in ("op", "elements", "words")] == [
        first[k] for k in ("op", "elements", "words")
    ]


def test_sites_are_printed_with_the_prefix_and_the_level_is_the_loggers(
    injector, capsys
):
    config = BASE | {"Ops": ["RELU = 1"]}
    fi = injector(tf.nn.relu, config, fiPrefix="faulty_", logLevel=logging.ERROR)
    fi(X)
    (site,) = fi.instrumented.sites
    fi.printInjectMap()
    assert capsys.readouterr().out == f"{site.name} : faulty_{site.name}\n"
    fi.printGraph()
    assert site.name in capsys.readouterr().out
    assert fi.getLogLevel() == logging.getLogger("tpufi.instrument").level
    assert fi.getLogLevel() == logging.ERROR
    fi.setLogLevel(logging.WARNING)
    assert logging.getLogger("tpufi.instrument").level == logging.WARNING


def test_error_rate_injects_as_often_as_it_says(injector):
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


def test_dynamic_instance_changes_one_of_each_operation(injector):
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


def test_seed_zero_is_a_seed(injector):
    def draw(seed, name):
        fi = injector(lambda x: tf.exp(x), BASE | {"Ops": ["Exp = 1"], "Seed": seed},
                      name=name)  # fmt: skip
        for _ in range(5):
            fi(X)
        return [(e["elements"], e["words"]) for e in entries(fi)]

    assert draw(0, "a") == draw(0, "b") != draw(1, "c")
