# SPDX-License-Identifier: Apache-2.0
"""Faults as lines of JSON: canonical text, strict reading."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpufi.errors import InputError
from tpufi.fault import Fault, Strided
from tpufi.faults.affected_outputs import AffectedOutputs
from tpufi.faults.jsonl import fault_line, parse_fault

FAULT = Fault(
    model="N64_INPUT_16",
    site="conv1/forward/input",
    dtype="float32",
    shape=(2, 8, 8, 3),
    replica=3,
    epoch=1,
    step=4,
    duration=2,
    elements=Strided(3, 2, 1, 9),
    operation="replace",
    keep=0,
    words=(0x7FC00001, 0x80000000),
    affected=AffectedOutputs(16, 1, 4),
)
LINE = (
    '{"model":"N64_INPUT_16","site":"conv1/forward/input","dtype":"float32",'
    '"shape":[2,8,8,3],"replica":3,"epoch":1,"step":4,"duration":2,"start":3,'
    '"count":2,"block":1,"stride":9,"operation":"replace","keep":"0x0",'
    '"words":["0x7fc00001","0x80000000"],"confine":[16,1,4],"stale":false}'
)


def test_the_line_is_canonical_and_comes_back():
    assert fault_line(FAULT) == LINE
    assert parse_fault(LINE) == FAULT
    assert parse_fault(f" {LINE}\n") == FAULT


def changed(**changes) -> str:
    row = json.loads(LINE)
    for key, value in changes.items():
        if value is ...:
            del row[key]
        else:
            row[key] = value
    return json.dumps(row)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 5000, "is not JSON"),
        ("1" * 5000, "is not JSON"),
        ("3", "is no JSON object"),
        ("x" * 70000, "70000 characters; expected at most 65536"),
        (changed(seed=1), "unknown key 'seed'; known, nearest first"),
        (changed(words=...), "no key 'words'"),
        (LINE.replace('"epoch":1', '"epoch":1,"epoch":2'), "'epoch' stands twice"),
        (changed(epoch="1"), "epoch: .*expected an integer"),
        (changed(epoch=True), "epoch: 'True'; expected an integer"),
        (changed(epoch=1.0), "epoch: '1.0'; expected an integer"),
        (changed(start=1 << 63), "start: .*expected an integer of 64 bits"),
        (changed(model=7), "model: '7'; expected a string"),
        (changed(stale=0), "stale: '0'; expected true or false"),
        (changed(keep=0), "keep: '0'; expected hexadecimal"),
        (changed(keep="0xFF"), "keep: .*expected hexadecimal"),
        (changed(keep="0x" + "f" * 17), "keep: .*expected hexadecimal"),
        (changed(words="0x1"), "words: .*expected a list"),
        (changed(words=[1, 2]), "words: '1'; expected hexadecimal"),
        (changed(shape=[2, "8"]), "shape: .*expected an integer"),
        (changed(confine=[1, 2]), "confine: .*expected null or"),
        (changed(confine=[1, None, 2]), "confine: 'None'; expected an integer"),
        (changed(words=["0x1"] * 3), "words: '3 words'; expected one for each elem"),
        (changed(words=["0x01", "0x0"]), "words: .*0x01.*; expected hexadecimal text"),
        (changed(operation="xor"), "operation: 'xor'; expected one of"),
        (changed(start=383), "last position 392 lies outside"),
    ],
)
def test_any_other_line_is_an_error_that_names_the_place(line, message):
    with pytest.raises(InputError, match=f"faults.jsonl:7: .*{message}") as error:
        parse_fault(line, "faults.jsonl:7")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@given(st.data())
def test_a_damaged_line_is_refused_or_means_what_it_says(data):
    at = data.draw(st.integers(0, len(LINE) - 1))
    with_ = data.draw(st.text(max_size=2))
    line = LINE[:at] + with_ + LINE[at + 1 :]
    try:
        fault = parse_fault(line)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert json.loads(fault_line(fault)) == json.loads(line)
