# SPDX-License-Identifier: Apache-2.0
"""TensorFI's campaigns: launch, parallel launch, statistics, log, critical bits."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.contrib.tensorfi.any_plan import read_plan
from tpufi.contrib.tensorfi.fault_log import fault_of
from tpufi.contrib.tensorfi.injector import TensorFI
from tpufi.contrib.tensorfi.statistics import FIStat, Stats, collateStats
from tpufi.instrument.critical_bits import critical_bits, precision, recall

X = tf.constant([[1.0, -2.0, 3.0], [0.5, 0.25, -0.125]])
CONFIG = {
    "TensorFaultType": "bitFlip-element",
    "Ops": ["ALL = 1"],
    "InjectMode": "oneFaultPerRun",
    "Seed": 7,
}


def program(x):
    return tf.nn.softmax(tf.nn.relu(x * 2.0) + 1.0)


def half(outputs) -> float:
    return 0.5


def from_first(outputs) -> float:
    return float(abs(outputs[0, 0] - 0.1))


def fails(outputs) -> float:
    raise OverflowError("no difference")


@pytest.fixture
def fi(tmp_path):
    return TensorFI(program, CONFIG, tmp_path, logText=True)


def test_launch_counts_injected_incorrect_and_the_sum_of_differences(fi):
    fi(X)
    stats = FIStat("mine")
    stats.update(Stats.Injected, 99)
    assert fi.launch(3, half, stats) is stats
    assert stats.getStats() == (
        "mine { \n\tInjected : 3\n\tIncorrect : 3\n\tDiff : 1.5\n}"
    )
    assert stats.stats[Stats.Runs] == 3


def test_a_difference_of_nan_is_incorrect_unless_legacy_says_otherwise(tmp_path):
    for legacy, incorrect in ((False, 2), (True, 0)):
        fi = TensorFI(program, CONFIG, tmp_path, legacy=legacy)
        fi(X)
        stats = fi.launch(2, lambda outputs: math.nan)
        assert stats.stats[Stats.Incorrect] == incorrect
        assert stats.stats[Stats.Undefined] == 2
        assert stats.stats[Stats.Diff] == 0


def test_run_calls_the_golden_program_once(fi):
    golden = []

    def create(result):
        golden.append(result)
        return lambda outputs: float(tf.reduce_max(tf.abs(outputs - result)))

    fi.run(4, create, (X,))
    assert len(golden) == 1
    assert_same(golden[0], program(X))


def test_collected_statistics_add_up(tmp_path):
    parts = [FIStat(), FIStat()]
    for number, part in enumerate(parts, 1):
        part.update(Stats.Injected, number)
        part.update(Stats.Diff, 0.25)
    total = collateStats(parts, fileName=tmp_path / "stats")
    assert total.stats[Stats.Injected] == 3 and total.stats[Stats.Diff] == 0.5
    total.writeToFile()
    dashes = "-" * 19
    assert (
        tmp_path / "stats"
    ).read_text() == f"{dashes}\n{total.getStats()}\n{dashes}\n"


@pytest.mark.slow
def test_parallel_shares_inject_what_one_launch_injects(tmp_path):
    alone = TensorFI(program, CONFIG, tmp_path, name="alone")
    shared = TensorFI(program, CONFIG, tmp_path, name="shared")
    for fi in (alone, shared):
        fi.turnOffInjections()
        fi(X)
        fi.turnOnInjections()
    total = alone.launch(10, from_first)
    parts = [FIStat() for _ in range(4)]
    assert shared.pLaunch(10, 4, from_first, parts, timeout=300) == []
    assert [part.stats[Stats.Runs] for part in parts] == [2, 2, 2, 4]
    together = collateStats(parts)
    assert together.stats == pytest.approx(total.stats)
    injected = [
        [
            {**json.loads(line), "name": ""}
            for line in fi.log_path.read_text().splitlines()
        ]
        for fi in (alone, shared)
    ]
    assert injected[0] == injected[1]
    with pytest.raises(RuntimeError, match="OverflowError: no difference"):
        shared.pLaunch(1, 1, fails, [FIStat()])
    assert shared.pLaunch(1, 1, from_first, [FIStat()], timeout=0.01) == [0]
    with pytest.raises(tpufi.InputError, match="top level of a module"):
        shared.pLaunch(1, 1, lambda outputs: 0.0, [FIStat()])


def test_shares_run_one_after_the_other_on_request(fi):
    fi(X)
    parts = [FIStat() for _ in range(4)]
    assert fi.pLaunch(11, 4, half, parts, parallel=False) == []
    assert [part.stats[Stats.Runs] for part in parts] == [2, 2, 2, 5]
    with pytest.raises(tpufi.InputError, match="one for each share"):
        fi.pLaunch(11, 4, half, parts[:3])


def test_a_logged_fault_replays_bit_by_bit(fi):
    outputs = [fi(X) for _ in range(12)]
    lines = fi.log_path.read_text().splitlines()
    assert len(lines) == 12
    for line, output in zip(lines, outputs, strict=True):
        entry = json.loads(line)
        assert {"seed", "mode", "run", "golden", "faulty"} <= set(entry)
        run = fi.instrumented.run([fault_of(entry)], X)
        assert_same(run.outputs, output)
        (again,) = run.injections
        assert again.entry() == {k: entry[k] for k in again.entry()}
    with pytest.raises(tpufi.InputError, match="log entry: KeyError 'words'"):
        fault_of({})


def test_the_text_log_has_tensorfis_form(fi):
    fi(X)
    fi(X)
    fi.doneInjections()
    text = fi.log_path.with_name("NoName-log").read_text()
    assert text.startswith("Starting log at ")
    assert text.count("{\n\tRunCount : ") == 2
    assert text.count(" }\n" + "-" * 39) == 2
    assert text.endswith("-" * 39 + "\nDone injections\n")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fi: fi.launch(1, half), "call the program first"),
        (lambda fi: fi.launch(-1, half), "numInjections -1 is negative"),
        (lambda fi: FIStat().writeToFile(), "no fileName"),
        (lambda fi: fi.getFIConfig().injectMap.update(Exp=0.5) or fi(X), "no sites"),
        (lambda fi: fi.getFIConfig().injectMap.update(ALL=2) or fi(X), "outside"),
    ],
)
def test_wrong_use_is_told(call, message, fi):
    with pytest.raises(tpufi.InputError, match=message):
        call(fi)


def test_a_configuration_is_never_silent_inside_a_graph():
    for traced_before in (False, True):
        fi = tpufi.instrument(program, read_plan(CONFIG))
        user = tf.function(lambda x, fi=fi: fi(x), autograph=False)
        if traced_before:
            user(X)
        refused = pytest.raises(tpufi.InputError, match="for eager calls only")
        with refused, fi.injected():
            user(X)
        fi.turn_off()
    fi = tpufi.instrument(program, read_plan(CONFIG))
    fi.turn_on()
    assert fi.enabled
    changed = [not np.array_equal(fi(X), program(X)) for _ in range(8)]
    fi.turn_off()
    assert any(changed)
    assert_same(fi(X), program(X))


def test_binary_search_finds_what_the_exhaustive_one_does_on_a_monotone_program():
    fi = tpufi.instrument(lambda x: tf.nn.relu(x), sites=["Relu"])
    x = tf.constant([1.0, 0.75, 1000.0, 3e-5])
    fi.armed(x)
    (site,) = fi.sites
    golden = fi(x).numpy()

    def harmful(outputs) -> bool:
        with np.errstate(over="ignore", invalid="ignore"):
            return not np.all(np.abs(outputs.numpy() - golden) < 0.5)

    found, truth = (
        critical_bits(fi, (x,), harmful, site=site.id, elements=range(4), method=method)
        for method in ("binary", "exhaustive")
    )
    assert [f.critical for f in found] == [t.critical for t in truth]
    assert recall(found, truth) == precision(found, truth) == 1
    assert all(t.trials == 32 for t in truth)
    assert all(f.trials <= 11 for f in found)
    assert 30 in truth[0].critical and 0 not in truth[0].critical
    assert fi.traces == 1
    with pytest.raises(tpufi.InputError, match="method 'random' is unknown"):
        critical_bits(fi, (x,), harmful, site=site.id, elements=[0], method="random")
