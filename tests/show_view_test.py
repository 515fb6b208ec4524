# SPDX-License-Identifier: Apache-2.0
"""What `show` prints and draws of a spread."""

import io
import pathlib
import types

import numpy as np
import pytest
from rich.console import Console

from tpufi.errors import InputError
from tpufi.show.bit_fields import bit_lines
from tpufi.show.picture import check_ending, draw_spread
from tpufi.show.spread import Change, Spread
from tpufi.show.table import spread_tables
from tpufi.site_table import Site

SPREAD = Spread(
    {
        ("conv", "forward"): Change(1000, 0, 0, 0.0),
        ("relu", "forward"): Change(1000, 1, 0, 2.5),
        ("fc", "forward"): Change(10, 10, 1, 1e30),
        ("fc", "grad_wt"): Change(50, 50, 50, 0.0),
        ("fc", "grad_in"): Change(1000, 333, 0, 0.25),
        ("relu", "grad_in"): Change(1000, 0, 0, 0.0),
        ("fc/kernel", "update"): Change(50, 50, 50, 0.0),
        ("conv/kernel", "update"): Change(50, 0, 0, 0.0),
    },
    np.array([0x3F800000], np.uint64),
    np.array([0xBF800001], np.uint64),
    (2.25, float("nan")),
)
SUBJECT = types.SimpleNamespace(
    title="x.csv: WT in relu/forward/output",
    site=Site("relu", "forward", "output", (10, 100)),
)


def printed(*things, colour: bool = False, **environment) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=80, highlight=False, force_terminal=colour,
        color_system="standard" if colour else None, _environ=environment,
    )  # fmt: skip
    for thing in things:
        console.print(thing, soft_wrap=True)
    return file.getvalue()


def lines_of(dtype: str, golden: int, faulty: int, limit: int = 4, count: int = 1):
    site = Site("conv", "forward", "weight", (2, 3), dtype)
    words = (np.full(count, word, np.uint64) for word in (golden, faulty))
    return list(bit_lines(site, np.arange(count) + 1, *words, limit))


@pytest.mark.parametrize(
    ("dtype", "golden", "faulty", "expected"),
    [
        ("float32", 0x3F800000, 0xBF800001, [
            "golden  0 01111111 00000000000000000000000  1.0",
            "faulty  1 01111111 00000000000000000000001  -1.0000001192092896",
            "        ^                                ^"]),
        ("bfloat16", 0x3F80, 0x7F80, [
            "golden  0 01111111 0000000  1.0",
            "faulty  0 11111111 0000000  inf",
            "          ^"]),
        ("int8", 0x7F, 0xFF, [
            "golden  01111111  127", "faulty  11111111  -1", "        ^"]),
    ],
)  # fmt: skip
def test_bits_stand_in_their_fields_with_marks_below(dtype, golden, faulty, expected):
    head, where, *rows = printed(*lines_of(dtype, golden, faulty)).splitlines()
    assert head.startswith(f"conv/forward/weight, {dtype} (2, 3): ")
    assert where == "  0/1"
    assert [row.removeprefix("    ") for row in rows] == expected


def test_no_more_elements_are_shown_than_wanted():
    text = printed(*lines_of("int8", 1, 2, limit=2, count=5))
    assert text.count("golden") == 2
    assert text.endswith("  and 3 more; --elements shows more\n")


def test_colours_are_left_out_where_they_are_not_wanted():
    lines = lines_of("float32", 0x3F800000, 0xBF800001)
    coloured = printed(*lines, colour=True)
    assert "\x1b[32m" in coloured and "\x1b[1;7;35m" in coloured
    plain = printed(*lines, colour=True, NO_COLOR="1")
    # Inversion stays: it is no colour.
    assert "\x1b[32m" not in plain and "35m" not in plain and "\x1b[1;7m" in plain


def test_tables_have_changed_layers_only_unless_all_are_wanted():
    passes, updates = spread_tables(SPREAD)
    assert printed(passes).splitlines()[0].split() == [
        "layer", "forward", "grad_in", "grad_wt",
    ]  # fmt: skip
    rows = [" ".join(line.split()) for line in printed(passes).splitlines()[1:]]
    assert rows == [
        "relu 0.1% 2.5e+00 -",
        "fc 100% 1.0e+30, 1 not finite 33.3% 2.5e-01 100% 0.0e+00, 50 not finite",
    ]
    assert "fc/kernel" in printed(updates) and "conv/kernel" not in printed(updates)
    passes, updates = spread_tables(SPREAD, whole=True)
    assert "conv" in printed(passes) and "conv/kernel" in printed(updates)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_picture_is_written_whole(ending, tmp_path):
    path = tmp_path / f"spread.{ending}"
    draw_spread(SUBJECT, SPREAD, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    content = path.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG") and content.endswith(b"IEND\xaeB`\x82")
    else:
        assert b"<svg" in content and content.rstrip().endswith(b"</svg>")


@pytest.mark.parametrize(
    ("path", "message"),
    [("x.gif", "ending '.gif'; known: .svg, .png"), ("no/x.svg", "no: no such folder")],
)
def test_a_path_that_cannot_be_written_is_refused_before_the_step_runs(path, message):
    with pytest.raises(InputError, match=message):
        check_ending(pathlib.Path(path))


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    path = tmp_path / "folder.svg"
    path.mkdir()
    with pytest.raises(InputError, match="folder.svg: cannot write: "):
        draw_spread(SUBJECT, SPREAD, path)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.svg"]
