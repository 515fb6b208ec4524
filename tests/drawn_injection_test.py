# SPDX-License-Identifier: Apache-2.0
"""A drawn fault of any model as an injection file: written, read, replayed."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny_workload import tiny_as_published
from tpufi.cli.draw import COMMAND as draw
from tpufi.descriptor import FIELDS
from tpufi.errors import InputError
from tpufi.experiment.replay import replay
from tpufi.fault import Elements, Fault, Listed
from tpufi.faults.catalogue import NAMES
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection_file import DrawnInjection
from tpufi.faults.jsonl import fault_line, parse_fault
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.models import workload
from tpufi.site_table import Site, SiteTable

CONFIG = GoldenConfig("resnet18", "synthetic:64", replicas=2, per_replica=4)
STEPS = 6
LISTED = Fault(
    model="RD",
    site="fc/forward/output",
    dtype="float32",
    shape=(4, 10),
    replica=0,
    epoch=0,
    step=2,
    duration=1,
    elements=Listed((1, 2, 5, 9, 10, 30)),
    operation="flip",
    keep=0,
    words=(1, 2, 4, 8, 16, 32),
)
TABLE = SiteTable([Site("fc", "forward", "output", (4, 10))])


@pytest.fixture(scope="module")
def tiny():
    with tiny_as_published("resnet18"):
        yield


@pytest.fixture(scope="module")
def session(tiny):
    return CONFIG.session()


@pytest.fixture(scope="module")
def golden(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("golden")
    train_golden(CONFIG, path, STEPS, STEPS, session)
    return path


@pytest.fixture(scope="module")
def files(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    options = ["--workload", "resnet18", "--seed", "5", "--per-replica", "4"]
    options += ["--models", "all", "--epochs", "0", "--steps", "1-3"]
    options += ["--durations", "1-2", "--replicas", "0-1", "--weights", "sites"]
    assert draw.main([*options, "--count", "300", "--csv", str(folder)]) == 0
    return folder, options


def test_every_drawn_fault_comes_back_from_its_file(files, tmp_path, capsys):
    folder, options = files
    capsys.readouterr()
    assert draw.main([*options, "--count", "300"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = workload("resnet18").sites(4)
    seen = set()
    for number, line in enumerate(lines):
        path = folder / f"fault_{number:03}.csv"
        injection = read_injection(path, lambda _: table)
        assert injection.fault(table) == parse_fault(line)
        write_injection(injection, tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
        seen.add(injection.fmodel.partition(":")[0])
    assert len(seen) > 35 and seen <= set(NAMES)


def test_drawn_faults_of_every_operation_are_replayed(files, golden, session, tmp_path):
    folder, _ = files
    table = workload("resnet18").sites(4)
    by_operation = {}
    for path in sorted(folder.iterdir()):
        injection = read_injection(path, lambda _: table)
        key = injection.drawn.operation, injection.drawn.stale
        by_operation.setdefault(key, (path.stem, injection))
    operations = {operation for operation, _ in by_operation}
    known = {"flip", "replace", "zero", "random", "copy", "add", "multiply"}
    assert known <= operations and ("replace", True) in by_operation
    curve = GoldenFolder(golden).curve()
    for name, injection in by_operation.values():
        fault = injection.drawn
        result = replay(
            injection, golden, name=name, out=tmp_path, horizon=3, session=session
        )
        assert result.first == fault.step
        lines = map(json.loads, result.paths[1].read_text().splitlines())
        hits = [entry["injection"] for entry in lines if "injection" in entry]
        assert len(hits) == min(fault.duration, len(result.faulty))
        (hit, *_) = hits
        count = fault.elements.count
        assert hit.get("count", len(hit["positions"])) == count
        flat = np.ravel_multi_index(np.array(hit["positions"]).T, fault.shape)
        assert flat.tolist() == fault.elements.indices()[: len(flat)].tolist()
        if fault.operation == "flip":
            words = [
                int(a, 16) ^ int(b, 16)
                for a, b in zip(hit["golden_bits"], hit["faulty_bits"], strict=True)
            ]
            assert words == np.resize(fault.words, len(words)).tolist()
        if fault.operation == "zero":
            assert {int(bits, 16) for bits in hit["faulty_bits"]} == {0}
        if result.faulty[-1].state == curve[result.first + 2]["state"]:
            assert result.outcome == "masked (bit-identical to golden)"


def test_a_file_written_by_hand_is_the_drawn_fault_too(tmp_path):
    injection = DrawnInjection("resnet18", LISTED, 0.001)
    write_injection(injection, tmp_path / "fault.csv")
    text = (tmp_path / "fault.csv").read_text()
    assert "elements,1,2,2,2,5,1,1,1,9,2,2,2,30,1,1,1\n" in text
    assert read_injection(tmp_path / "fault.csv", lambda _: TABLE) == injection


def test_listed_elements_take_a_row_for_each_run():
    row = LISTED.descriptor(TABLE)
    fields = [dict(zip(FIELDS, faults, strict=True)) for faults in row.faults.tolist()]
    assert [(f["start"], f["count"]) for f in fields] == [
        (1, 2),
        (5, 1),
        (9, 2),
        (30, 1),
    ]
    assert row.words[0, :2].tolist() == [1, 2] and row.words[3, 0] == 32


@given(st.sets(st.integers(0, 500), min_size=1, max_size=90), st.booleans())
@settings(deadline=None)
def test_any_elements_come_back_from_a_line_and_from_a_row(flat, one_word):
    flat = sorted(flat)
    words = (7,) if one_word else tuple(range(1, len(flat) + 1))
    fault = dataclasses.replace(
        LISTED, shape=(501,), elements=Elements.of(np.array(flat)), words=words
    )
    assert parse_fault(fault_line(fault)) == fault
    table = SiteTable([Site("fc", "forward", "output", (501,))])
    rows = fault.descriptor(table)
    injected = list(
        itertools.chain(*(rows.positions(i).tolist() for i in range(len(rows.faults))))
    )
    assert injected == flat


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elements": Listed(())}, "elements: 'none'; expected at least one"),
        ({"elements": Listed((-1, 2))}, "elements: -1; expected 0 or more"),
        ({"elements": Listed((2, 2))}, "elements: 2; expected more than 2"),
        ({"elements": Listed((2, 40))}, "last position 40 lies outside"),
        (
            {"operation": "random", "words": (1,)},
            "operation: 'random'; expected one",
        ),
        ({"words": (1, 2)}, "words: '2 words'; expected one for each"),
    ],
)
def test_listed_elements_that_cannot_be_are_one_line(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(LISTED, **change)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("operation,flip", "operation,flop", ":2: fault: operation: 'flop'; expected"),
        ("elements,1,2,2,2,", "elements,1,2,", ":10: elements: 14 numbers; expected"),
        ("words,0x1,", "words,1,", ":12: words: word 1 ('1') is not a bit pattern"),
        ("shape,4,10", "shape,4,11", ":2: site: the fault was drawn for"),
        ("site,fc", "site,fd", ":2: site: unknown site 'fd/forward/output'"),
        ("fmodel,RD", "fmodel,NO", ":5: fmodel: unknown fault model 'NO'"),
        ("learning_rate,0.001", "learning_rate,-1", ":13: learning_rate: -1.0 is not"),
        ("duration,1\n", "duration,0\n", ":2: fault: duration: 0; expected 1 or more"),
        ("duration,1\n", "stale,perhaps\n", ":9: stale: 'perhaps'; expected yes or no"),
        ("duration,1\n", "seed,1\n", ":9: unknown key 'seed'; expected one of"),
        ("operation,flip\n", "", "the file ends without: operation"),
    ],
)
def test_a_wrong_file_is_told_by_its_line(old, new, message, tmp_path):
    path = tmp_path / "fault.csv"
    write_injection(DrawnInjection("resnet18", LISTED, 0.001), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as error:
        read_injection(path, lambda _: TABLE)
    line = str(error.value)
    assert line.startswith(str(path)) and "\n" not in line
    assert message in line


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    options = ["--workload", "resnet18", "--seed", "5", "--count", "1"]
    with pytest.raises(InputError, match="cannot make the folder: .*existing folder"):
        draw.main([*options, "--csv", str(tmp_path / "file" / "x")])
