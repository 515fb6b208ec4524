# SPDX-License-Identifier: Apache-2.0
"""Replicas on devices of their own do what virtual replicas do."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.training.strategies import make_strategy

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def report():
    run = subprocess.run(
        [sys.executable, "-m", "tests.mirrored_program"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


def test_eight_mirrored_replicas_equal_eight_virtual_ones_to_rounding(report):
    assert report["replicas"] == 8
    for step in report["steps"]:
        assert step["mirrored"] == pytest.approx(step["virtual"], rel=1e-5)
        assert step["accuracy"][0] == step["accuracy"][1]
        # The all-reduce adds in another order: a few roundings of 2**-24 a step.
        assert step["difference"] < 1e-5


def test_a_fault_strikes_one_replica_once(report):
    assert [step["struck"] for step in report["steps"]] == [[0, 0], [0, 0], [1, 1]]


def test_all_replicas_hold_the_same_bits_after_the_update(report):
    assert report["copies_equal"]


def test_each_program_is_traced_for_all_faults_alike(report):
    # MirroredStrategy builds the replica's step once per device within one trace.
    assert report["traces"] == [1, 1]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("tpu", "no TPU on this machine"),
        ("mirrored", "start a new process"),
        ("clusters", "known: virtual, mirrored, tpu"),
    ],
)
def test_a_strategy_that_cannot_run_here_is_an_input_error(strategy, message):
    tf.zeros([])  # TensorFlow has started, with one CPU device.
    with pytest.raises(InputError, match=message):
        make_strategy(strategy, 8)
