# SPDX-License-Identifier: Apache-2.0
"""Where programs run: chosen once, recorded, and the same for all that fork from it."""

import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from tests.tiny_workload import TINY, tiny_batch
from tpufi.cli.command import CommandParser
from tpufi.cli.run_options import add_run_options, run_config
from tpufi.descriptor import replacing
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.golden.config import read_config
from tpufi.instrument import flip, instrument, on_gpu
from tpufi.training import Program, devices, initial_state
from tpufi.training.devices import Asked, Placement, warn_of_hang
from tpufi.training.strategies import make_program

GPU, TPU = Placement("gpu", True), Placement("tpu", True)
needs_gpu = pytest.mark.skipif(
    not tf.config.list_physical_devices("GPU"), reason="TensorFlow lists no GPU here"
)


@pytest.fixture
def machine(monkeypatch):
    """Let TensorFlow list these devices."""

    def has(*kinds):
        monkeypatch.setattr(devices, "present", lambda: kinds)

    return has


@pytest.mark.parametrize(
    ("kinds", "asked", "expected"),
    [
        (("cpu",), Asked(), Placement()),
        (("cpu",), Asked(compiled=True), Placement("cpu", True)),
        (("cpu", "gpu"), Asked(), GPU),
        (("cpu", "gpu"), Asked("cpu"), Placement()),
        (("cpu", "gpu", "tpu"), Asked(), TPU),
        (("cpu", "gpu", "tpu"), Asked("gpu", True), GPU),
    ],
)
def test_auto_takes_a_tpu_else_a_gpu_else_the_cpu(machine, kinds, asked, expected):
    machine(*kinds)
    assert asked.placement() == expected


def test_strategy_tpu_implies_the_device(machine):
    machine("cpu", "gpu")
    assert Asked().placement("tpu") == TPU
    with pytest.raises(InputError, match="device gpu with strategy tpu"):
        Asked("gpu").placement("tpu")
    config = GoldenConfig("resnet18", "synthetic", strategy="tpu")
    assert config.placement == TPU


@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_a_device_that_is_not_there_is_one_line_with_what_is(machine, device):
    machine("cpu")
    for refused in (
        lambda: Asked(device).placement(),
        lambda: make_program(TINY, "virtual", 1, 4, compiled=True, device=device),
    ):
        with pytest.raises(InputError, match=f"{device}: .* none .* has: cpu;"):
            refused()


def test_a_gpu_without_compilation_is_refused(machine):
    machine("cpu", "gpu")
    for refused in (
        lambda: Asked("gpu", False).placement(),
        lambda: Program(TINY, 1, 4, device="gpu"),
    ):
        with pytest.raises(InputError, match="have no gpu kernel .*--device cpu"):
            refused()


@pytest.mark.parametrize(
    ("asked", "golden"),
    [
        (Asked(), GPU),
        (Asked("gpu"), GPU),
        (Asked("cpu"), Placement("cpu", True)),
        (Asked(compiled=True), Placement("cpu", True)),
        (Asked("cpu", False), Placement()),
    ],
)
def test_what_the_golden_run_has_can_be_asked_for(asked, golden):
    asked.check_same(golden, "golden")


@pytest.mark.parametrize(
    ("asked", "golden", "message"),
    [
        (Asked("cpu"), GPU, r"on gpu \(compiled\), and cpu \(compiled\)"),
        (Asked("gpu"), Placement(), r"on cpu \(graph\), and gpu .* --device gpu$"),
        (Asked(compiled=True), Placement(), r"\(compiled\) rounds .* cpu --compile$"),
        (Asked("cpu", False), Placement("cpu", True), r"cpu \(graph\) .* cpu$"),
        (Asked(compiled=False), GPU, "device gpu without compilation"),
    ],
)
def test_another_device_than_the_golden_runs_is_refused(asked, golden, message):
    with pytest.raises(InputError, match=message):
        asked.check_same(golden, "golden")


def test_the_manifest_tells_the_device_and_old_ones_mean_a_graph_on_a_cpu(tmp_path):
    config = GoldenConfig("resnet18", "synthetic", compiled=True)
    folder = GoldenFolder(tmp_path)
    folder.write_manifest(config, {}, 4)
    assert folder.read_manifest()[0] == config
    entries = json.loads((tmp_path / "manifest.json").read_text())["config"]
    assert (entries["device"], entries["compiled"]) == ("cpu", True)
    old = {k: v for k, v in entries.items() if k not in ("device", "compiled")}
    assert read_config(old) == dataclasses.replace(config, compiled=False)
    with pytest.raises(InputError, match="device 'phone' is unknown"):
        dataclasses.replace(config, device="phone")


def test_options_make_the_configuration(machine):
    machine("cpu", "gpu")
    parser = CommandParser()
    add_run_options(parser, "synthetic")
    for given, expected in (
        ([], GPU),
        (["--device", "cpu"], Placement()),
        (["--device", "cpu", "--compile"], Placement("cpu", True)),
    ):
        assert run_config(parser.parse_args(given), TINY).placement == expected


@pytest.mark.parametrize("compiled", [False, True])
def test_two_traces_serve_clean_steps_and_all_faults(compiled):
    site = "fc/forward/output"
    program = Program(TINY, 2, 4, compiled=compiled, sites={site})
    state, (batch, keys) = initial_state(TINY, 1), tiny_batch(2, 4)
    clean = program.step(state, batch, keys, 0.01)
    assert clean.record is None
    for number in range(6):
        word = np.array([number], np.uint64)
        where = np.array([5 * number])
        fault = replacing(program.table.id_of(site), number % 2, where, word)
        assert program.step(state, batch, keys, 0.01, fault).record[0, 0, 0] == 1
        program.step(state, batch, keys, 0.01)
    assert program.traces == 2


def test_an_instrumented_program_is_compiled_on_a_gpu(monkeypatch):
    monkeypatch.setattr(on_gpu, "_gpu_is_visible", lambda: True)
    fi = instrument(lambda x: tf.nn.relu(x + 1.0))
    x = tf.constant([1.0, 2.0])
    assert fi.armed(x)._forced
    fault = flip(site=fi.sites[0].id, element=1, bit=31)
    assert fi.run([fault], x).outputs.numpy().tolist() == [2.0, 0.0]
    graph = instrument(lambda x: x + 1.0, jit_compile=False)
    with pytest.raises(InputError, match="no GPU kernel, .*set_visible_devices"):
        graph.armed(x)


def test_what_xla_cannot_compile_for_a_gpu_is_one_line(monkeypatch):
    monkeypatch.setattr(on_gpu, "_gpu_is_visible", lambda: True)
    fi = instrument(lambda x: tf.strings.to_number(tf.strings.as_string(x)) + 1.0)
    with pytest.raises(InputError, match="XLA has no kernel for: AsString.*;"):
        fi.run([], tf.constant([1.0]))


@needs_gpu
def test_a_compiled_step_runs_on_the_gpu():
    program = make_program(TINY, "virtual", 2, 4, compiled=True, device="gpu")
    state, (batch, keys) = initial_state(TINY, 1), tiny_batch(2, 4)
    found = program.step(state, batch, keys, 0.01)
    assert "GPU" in found.state.updates.device


def test_a_program_that_xla_may_never_end_compiling_warns(caplog, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(logging.get_absl_logger(), "propagate", True)  # For caplog.
    for device, compiled, sites, warns in (
        ("cpu", True, 401, True),
        ("cpu", True, 400, False),
        ("cpu", False, 401, False),
        ("gpu", True, 401, False),
    ):
        caplog.clear()
        with caplog.at_level("WARNING", logger="absl"):
            warn_of_hang(device, compiled, sites)
        assert ("may hang" in caplog.text) == warns
