# SPDX-License-Identifier: Apache-2.0
"""Replicas on devices of their own do what virtual replicas do."""

import json
import os
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
        # Its kernels for one thread write where they must not (TensorFlow 2.19.1).
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


BOTH = ("virtual", "mirrored")


@pytest.mark.parametrize("how", BOTH)
def test_a_step_is_the_sum_of_its_replicas_to_the_rounding_of_the_sum(report, how):
    assert report["replicas"] == 8
    assert len(report["steps"]) == 3
    for step in report["steps"]:
        # The bound is that of any order of addition; see `mirrored_program.py`.
        assert step[how]["share_of_bound"] <= 1
        accuracy, of_replicas = step[how]["accuracy"]
        assert accuracy == of_replicas


def test_a_mirrored_replica_computes_what_a_virtual_one_does(report):
    # In float64, so that kernels may add in any order: that moves the results by 2**-53
    # times the terms of a sum and the condition of the network, which leaves a factor
    # of 2**29 to what training in float32 can tell apart.
    assert report["replicas_apart"] < 2**-24


def test_a_fault_is_injected_into_one_replica_once(report):
    for how in BOTH:
        assert [step[how]["injected"] for step in report["steps"]] == [0, 0, 1]


@pytest.mark.parametrize("how", BOTH)
def test_a_stale_link_hands_on_what_its_own_replica_computed_before(report, how):
    assert report["stale"][how]["share_of_bound"] <= 1
    assert report["stale"][how]["passed"] == 0


def test_all_replicas_hold_the_same_bits_after_the_update(report):
    assert report["copies_equal"]


def test_each_program_is_traced_for_all_faults_alike(report):
    # MirroredStrategy builds the replica's step once per device within one trace.
    # The clean step is one, the armed one another.
    assert report["traces"] == [2, 2]


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
