# SPDX-License-Identifier: Apache-2.0
"""Replays and pictures of faults with a moment, from their files."""

import dataclasses
import json

import pytest

from tests.tiny_workload import tiny_as_published
from tpufi.errors import InputError
from tpufi.experiment.inject import injections_of
from tpufi.experiment.replay import replay
from tpufi.fault import Elements, Fault
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection_file import DrawnInjection
from tpufi.golden import GoldenConfig, train_golden
from tpufi.show.subject import from_file
from tpufi.when import When

NAME, SITE, STEPS, FIRST = "resnet18", "fc/forward/weight", 12, 2
WHEN = When(rate=0.5, key=11)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a golden run and its session."""
    folder = tmp_path_factory.mktemp("golden")
    with tiny_as_published(NAME):
        config = GoldenConfig(NAME, "synthetic:64", replicas=2, per_replica=4)
        session = config.session()
        train_golden(config, folder, STEPS, 4, session)
        yield folder, session


def injection_of(session, when: When, **changes) -> DrawnInjection:
    table = session.program.table
    site = table[table.id_of(SITE)]
    fields = {
        "model": "FLIP",
        "site": SITE,
        "dtype": site.dtype,
        "shape": site.shape,
        "replica": 1,
        "epoch": 0,
        "step": FIRST,
        "duration": when.length,
        "elements": Elements.run(4, 8),
        "operation": "flip",
        "keep": 0,
        "words": (1 << 21,),
        "when": when,
    }
    return DrawnInjection(NAME, Fault(**{**fields, **changes}), 0.001)


def replayed(run, injection, tmp_path, **how):
    folder, session = run
    path = tmp_path / "fault.csv"
    write_injection(injection, path)
    read = read_injection(path)
    assert read == injection
    result = replay(read, folder, name="x", out=tmp_path, session=session, **how)
    lines = [json.loads(line) for line in result.paths[1].read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"][FIRST:]
    return result, steps


def test_a_replay_injects_in_the_drawn_steps_and_writes_them(run, tmp_path):
    injection = injection_of(run[1], WHEN)
    result, steps = replayed(run, injection, tmp_path)
    table = run[1].program.table
    times = injections_of(injection.drawn, table, 2, FIRST, STEPS - FIRST)
    assert ["injection" in line for line in steps] == [n > 0 for n in times]
    assert 2 < sum(times) < STEPS - FIRST
    first = times.index(1)
    assert [p.state for p in result.faulty[:first]] == [
        p.state for p in result.golden[:first]
    ]
    again, _ = replayed(run, injection, tmp_path)
    assert repr(again.faulty) == repr(result.faulty)
    always, _ = replayed(run, injection_of(run[1], When()), tmp_path)
    assert always.faulty[-1].state != result.faulty[-1].state


def test_values_that_do_not_fulfil_the_condition_are_told_as_they_are(run, tmp_path):
    when = When(steps=((0, 0),), between=(0.0, 1e9))
    _, steps = replayed(run, injection_of(run[1], when), tmp_path)
    told = steps[0]["injection"]
    pairs = list(zip(told["golden_bits"], told["faulty_bits"], strict=True))
    assert len(pairs) == 8
    for golden, faulty in pairs:
        negative = int(golden, 16) >> 31
        assert int(golden, 16) ^ int(faulty, 16) == (0 if negative else 1 << 21)
    assert {int(golden, 16) >> 31 for golden, _ in pairs} == {0, 1}


def test_every_replica_is_told_without_bits(run, tmp_path):
    injection = injection_of(run[1], WHEN, replica=-1)
    _, steps = replayed(run, injection, tmp_path)
    told = [line["injection"] for line in steps if "injection" in line]
    assert told and all(one["golden_bits"] is None for one in told)
    assert all(len(one["positions"]) == 8 for one in told)


def test_a_control_is_the_golden_run(run, tmp_path):
    how = {"with_fault": False}
    result, _ = replayed(run, injection_of(run[1], WHEN), tmp_path, **how)
    assert [p.state for p in result.faulty] == [p.state for p in result.golden]


def test_a_picture_is_of_the_first_injected_step(run, tmp_path):
    def shown(injection):
        write_injection(injection, tmp_path / "fault.csv")
        return from_file(tmp_path / "fault.csv", run[0])

    injection = injection_of(run[1], WHEN)
    table = run[1].program.table
    times = injections_of(injection.drawn, table, 2, FIRST, STEPS - FIRST)
    assert shown(injection).number == FIRST + times.index(1)
    never = injection_of(run[1], When(rate=1e-9, key=1))
    with pytest.raises(InputError, match="is injected in none of the 10 steps of the"):
        shown(never)
    every = dataclasses.replace(injection.drawn, replica=-1)
    with pytest.raises(InputError, match="drawn for each replica, and the picture"):
        shown(dataclasses.replace(injection, drawn=every))
