# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks measure with."""

import pathlib
import sys

import numpy as np
import pytest

from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import disarmed, fault_row
from tpufi.training import Program, initial_state

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from measure.boundary import CountedStep
from measure.child import run_child
from measure.goals import goals
from measure.paired import Spread, against
from measure.xla_steps import compilations

LOG = """
2026 I tensorflow/compiler/jit/device_compilation_profiler.cc:113] Compiled \
__inference_clean_step_11 1 times, compile time: 113320 us, cumulative: 113320 us
2026 I tensorflow/compiler/jit/device_compilation_profiler.cc:113] Compiled \
__inference_armed_step_27 1 times, compile time: 5 us, cumulative: 5 us
2026 I tensorflow/compiler/jit/device_compilation_profiler.cc:113] Compiled \
__inference_armed_step_27 2 times, compile time: 5 us, cumulative: 10 us
2026 I tensorflow/compiler/jit/device_compilation_profiler.cc:113] Compiled \
__inference_zeros_3 1 times, compile time: 5 us, cumulative: 5 us
"""


def test_compilations_of_steps_are_counted_in_the_log():
    found = {"__inference_clean_step_11": 1, "__inference_armed_step_27": 2}
    assert compilations(LOG) == found
    assert compilations("") == {}


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ([2.0, 1.0], 1.0, 2.0),
        # Of 25 fair coins 8 to 17 show heads with 95.7 %: the 8th to the 18th value.
        (list(range(1, 26)), 8, 18),
        (list(range(1, 101)), 40, 61),
    ],
)
def test_the_interval_of_a_median_is_that_of_order_statistics(values, least, most):
    spread = Spread.of(values)
    assert (spread.least, spread.most) == (least, most)
    assert spread.least <= spread.median <= spread.most


def test_what_a_fault_sends_is_counted_and_the_batch_is_not():
    program = Program(TINY, 1, 4)
    counted = CountedStep(program)
    batch, keys = tiny_batch(1, 4)
    state = initial_state(TINY, 1)
    program.step(state, batch, keys, 0.001)
    assert counted.fault_bytes == 0
    fault = disarmed()
    result = program.step(state, batch, keys, 0.001, fault)
    given = fault.faults, fault.words, fault.moments, np.int64(0), result.record
    one = sum(part.nbytes for part in given)
    assert (counted.fault_bytes, counted.most) == (one, one)
    row = fault_row(
        site=0, replica=0, start=0, count=2, operation="replace", words=[1, 2]
    )
    program.step(state, batch, keys, 0.001, row)
    assert counted.fault_bytes == 2 * one
    assert one <= 4096


def test_a_failed_child_is_named_with_its_last_line():
    with pytest.raises(RuntimeError, match="measure.nothing .* No module named"):
        run_child("measure.nothing")


def test_goals_are_told_by_medians_of_pairs():
    def row(base: str, ratio: float, extra: float = 0.0) -> dict:
        times = {base: [2.0, 4.0], "way": [2.0 * ratio + extra, 4.0 * ratio + extra]}
        return against(times, base)["way"]

    found = goals(
        {
            "steps": {"armed": row("clean", 1.0, 0.01), "no fault": row("clean", 1.0)},
            "keras": {"tape": row("clean", 1.5), "train_on_batch": row("clean", 0.8)},
            "experiment": {"ways": {"experiment": row("steps", 1.2)}},
            "peers": {"mask_delta": row("clean", 1.0, 3.0)},
            "campaign": {"most_host_bytes": 1648, "traces": 2},
        }
    )
    met = {name: goal["met"] for name, goal in found.items()}
    assert [name for name in met if not met[name]] == [
        "clean_over_keras",
        "experiment_over_steps",
    ]
    assert found["mask_delta_over_armed"]["value"] == pytest.approx(300)
    # Keras's faster way took 0.8 of our clean step.
    assert found["clean_over_keras"]["value"] == pytest.approx(1.25)
    assert found["experiment_over_steps"]["value"] == pytest.approx(1.2)
