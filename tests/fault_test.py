# SPDX-License-Identifier: Apache-2.0
"""A fault: its fields contradict neither each other nor the program they are for."""

import dataclasses

import pytest

from tpufi import descriptor, fault
from tpufi.errors import InputError
from tpufi.fault import Elements, Fault, Strided
from tpufi.faults.affected_outputs import AffectedOutputs
from tpufi.site_table import Site, SiteTable

SHAPE = (4, 5)
FAULT = Fault(
    model="FLIP",
    site="conv/forward/input",
    dtype="float32",
    shape=SHAPE,
    replica=0,
    epoch=0,
    step=0,
    duration=1,
    elements=Elements.run(3, 7),
    operation="flip",
    keep=0,
    words=(1, 2, 3, 4, 5, 6, 7),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float8"}, "dtype: 'float8'"),
        ({"shape": (0, 5)}, "shape"),
        ({"replica": -2}, "replica: -2"),
        ({"epoch": -1}, "epoch: -1"),
        ({"step": -1}, "step: -1"),
        ({"duration": 0}, "duration: 0"),
        ({"elements": Elements.run(14, 7)}, "last position 20 lies outside"),
        ({"elements": Strided(-1, 7, 7, 7)}, "start: -1"),
        ({"elements": Strided(3, 7, 0, 7)}, "block: 0"),
        ({"elements": Strided(3, 7, 2, 1)}, "stride: 1"),
        ({"elements": Strided(3, 0, 1, 1)}, "count: 0"),
        ({"operation": "swap"}, "operation: 'swap'; expected one of flip, zero"),
        ({"operation": "replace", "keep": 1 << 32}, "keep: '0x100000000'"),
        ({"keep": 1}, "keep: '0x1'; expected bits of float32 or 0"),
        ({"words": (1,) * 6}, "words: '6 words'; expected one for each element"),
        ({"words": (1 << 32,) * 7}, "32 bits of float32"),
        ({"operation": "copy", "words": (20,) * 7}, "a position in"),
        ({"operation": "copy", "keep": 7, "words": (2,) * 7}, "keep: '0x7'"),
        ({"operation": "error_rate", "words": (1, 0)}, "rate 0x0"),
        ({"operation": "random", "words": (1, 2)}, "'2 words'; expected a key"),
        ({"stale": True, "operation": "zero"}, "'replace' for a stale fault"),
        ({"affected": AffectedOutputs(0, 0, 1)}, "affected outputs: stride: 0"),
    ],
)
def test_a_contradictory_fault_is_refused(change, message):
    with pytest.raises(InputError) as error:
        dataclasses.replace(FAULT, **change)
    assert message in str(error.value)


def test_rules_with_a_list_hold_at_most_64_words():
    with pytest.raises(InputError, match="words: number: 65; expected at most 64"):
        dataclasses.replace(
            FAULT, shape=(100,), elements=Elements.run(0, 65), words=(1,) * 65
        )
    with pytest.raises(InputError, match="count: 65; expected at most 64"):
        dataclasses.replace(
            FAULT,
            shape=(100,),
            elements=Elements.run(0, 65),
            words=(),
            operation="replace",
            stale=True,
        )


def table(**changes) -> SiteTable:
    site = Site("conv", "forward", "input", SHAPE)
    other = Site("conv", "forward", "output", (4,))
    return SiteTable([other, dataclasses.replace(site, **changes)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (8, 5)}, "drawn for conv/forward/input, float32 \\(4, 5\\), but"),
        ({"dtype": "bfloat16"}, "is bfloat16 \\(4, 5\\); use the batch per replica"),
        ({"operand": "weight"}, "unknown site 'conv/forward/input'; nearest"),
    ],
)
def test_a_program_with_another_tensor_refuses_the_fault(changes, message):
    with pytest.raises(InputError, match=message):
        FAULT.descriptor(table(**changes))


def test_the_row_is_made_of_the_fields(monkeypatch):
    rows = []
    monkeypatch.setattr(
        descriptor, "fault_row", lambda **row: rows.append(row), raising=False
    )
    monkeypatch.setattr(fault, "stacked", list)
    FAULT.descriptor(table())
    kept = AffectedOutputs(8, 2, 3)
    confined = dataclasses.replace(
        FAULT,
        replica=-1,
        elements=Strided(1, 7, 2, 4),
        affected=kept,
    )
    confined.descriptor(table())
    plain = {
        **{"site": 1, "replica": 0, "start": 3, "count": 7},
        **{"block": None, "stride": None},
        **{"operation": "flip", "keep": 0, "words": (1, 2, 3, 4, 5, 6, 7)},
        "confine": None,
        "trigger": (),
    }
    moved = {"replica": -1, "start": 1, "block": 2, "stride": 4, "confine": (8, 2, 3)}
    assert rows == [plain, {**plain, **moved}]
