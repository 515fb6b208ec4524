# SPDX-License-Identifier: Apache-2.0
"""Former public names work as before and name what replaces them."""

import importlib
import sys

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi.descriptor import replacing
from tpufi.instrument import InjectionRecord
from tpufi.layers import FaultContext
from tpufi.ops import inject_fault
from tpufi.site_table import Site, SiteTable


def warns(name: str, former: str = ""):
    told = rf"{former} goes in 0\.2: use {name}$"
    return pytest.warns(DeprecationWarning, match=told)


def test_former_names_of_instrument_warn_and_work():
    fi = tpufi.instrument(tf.nn.relu)
    x = tf.constant([1.0, 2.0])
    fault = tpufi.zero(fi.armed(x).sites[0].id, [1])
    with warns("Instrumented.run"):
        run = fi.strike([fault], x)
    assert run.outputs.numpy().tolist() == [1.0, 0.0]
    with warns("Run.injections"):
        assert run.strikes is run.injections
    with warns("tpufi.instrument.InjectionRecord"):
        assert tpufi.instrument.Strike is InjectionRecord
    with pytest.raises(AttributeError, match="has no attribute 'Striking'"):
        _ = tpufi.instrument.Striking


@pytest.mark.parametrize(
    ("former", "now", "module", "name"),
    [
        ("artefact_checkpoint", "isca23.checkpoint", "mapping", "by_mapping"),
        ("gradient_comparison", "isca23.gradient_comparison", "cases", "Case"),
        ("instrument.tensorfi", "tensorfi", "injector", "TensorFI"),
    ],
)
def test_former_packages_warn_and_are_the_new_ones(
    former, now, module, name, monkeypatch
):
    former, now = f"tpufi.{former}", f"tpufi.contrib.{now}"
    for known in [m for m in sys.modules if f"{m}.".startswith(f"{former}.")]:
        monkeypatch.delitem(sys.modules, known)
    with warns(now, former):
        there = importlib.import_module(f"{former}.{module}")
    assert there is importlib.import_module(f"{now}.{module}")
    assert hasattr(there, name)


def test_a_configuration_without_its_plan_warns_and_works():
    config = {
        "ScalarFaultType": "None", "TensorFaultType": "Zero", "Ops": ["RELU = 1.0"],
        "InjectMode": "errorRate",
    }  # fmt: skip
    with warns("tpufi.contrib.tensorfi.any_plan.read_plan"):
        fi = tpufi.instrument(tf.nn.relu, config)
    with fi.injected():
        assert fi(tf.constant([1.0, 2.0])).numpy().tolist() == [0.0, 0.0]


def test_former_names_of_layer_sites_warn_and_work():
    table = SiteTable([Site("act", "forward", "input", (2,), "float32")])
    fault = replacing(0, 0, np.array([1]), np.array([0], np.uint64))
    sites = FaultContext(table, 0, fault.faults, fault.words).layer("act")
    x = tf.constant([1.0, 2.0])
    with warns("LayerSites.inject"):
        faulty = sites.strike(x, "forward", "input")
    assert faulty.numpy().tolist() == [1.0, 0.0]
    with warns("LayerSites.if_injected"):
        y = sites.if_struck("forward", "input", lambda: faulty * 2, x * 2)
    assert y.numpy().tolist() == [2.0, 0.0]


def gradient(function) -> list[float]:
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy().tolist()


def test_the_former_name_of_a_gradient_warns_and_stops_it_at_faulty_elements():
    fault = replacing(0, 0, np.array([1]), np.array([0], np.uint64))
    how = {"gradient": "zero_at_struck"}
    for function in (
        lambda x: tpufi.flip_bits(x, 1, 1, 1, **how),
        lambda x: tpufi.zero_out(x, 1, 1, **how),
        lambda x: tpufi.inject_random(x, 1, 1, (1, 2), **how),
        lambda x: inject_fault(x, 0, 0, fault.faults, fault.words, **how)[0],
    ):
        with warns("'zero_at_faulty'"):
            assert gradient(function) == [1.0, 0.0]
    with warns("'zero_at_faulty'"):
        fi = tpufi.instrument(tf.nn.relu, **how)
    x = tf.constant([1.0, 2.0])
    site = fi.armed(x).sites[0].id
    assert gradient(lambda x: fi.run([tpufi.zero(site, [1])], x).outputs) == [1.0, 0.0]
