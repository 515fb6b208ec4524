# SPDX-License-Identifier: Apache-2.0
"""Every way in which an injection file can be broken, and the line that says so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpufi.errors import InputError
from tpufi.faults.csv import MAX_BYTES, read_injection
from tpufi.site_table import Site, SiteTable

GOOD = (
    "model,resnet18",
    "stage,fwrd_inject",
    "fmodel,RD",
    "target_worker,1",
    "target_layer,conv2",
    "target_epoch,19",
    "target_step,38",
    "inj_pos,107/3/3/85",
    "inj_values,2.86871514043344e+24",
    "learning_rate,0.001",
    "seed,123",
)
LINE = {row.split(",")[0]: number for number, row in enumerate(GOOD, start=1)}


def table(batch: int = 128) -> SiteTable:
    return SiteTable(
        [
            Site("conv2", "forward", "input", (batch, 8, 8, 64)),
            Site("conv2", "forward", "weight", (3, 3, 64, 128)),
            Site("conv2", "forward", "output", (batch, 8, 8, 128)),
            Site("conv2", "grad_in", "output", (batch, 8, 8, 64)),
            Site("conv2", "grad_wt", "input", (64, 10, 10, batch)),
            Site("bn3", "forward", "output", (batch, 8, 8, 128)),
        ]
    )


def sites_of(model: str) -> SiteTable:
    if model != "resnet18":
        raise InputError(f"workload {model} does not exist yet; choose resnet18")
    return table()


def replaced(*rows: str) -> bytes:
    """The good file with the rows of the same keys replaced."""
    lines = list(GOOD)
    for row in rows:
        lines[LINE[row.split(",")[0]] - 1] = row
    return "\n".join(lines).encode() + b"\n"


def without(key: str) -> bytes:
    return "\n".join(row for row in GOOD if row.split(",")[0] != key).encode() + b"\n"


def added(row: str) -> bytes:
    return replaced() + row.encode() + b"\n"


def test_a_good_file_resolves_to_its_site(tmp_path):
    path = tmp_path / "good.csv"
    path.write_bytes(replaced())
    injection = read_injection(path, sites_of)
    assert injection.resolve(table()).shape == (128, 8, 8, 128)


BROKEN = {
    # name: (content, line, words of the message)
    "unknown_key": (added("worker,1"), 12, ["'worker'", "target_worker", "remove"]),
    "key_in_capitals": (added("SEED,1"), 12, ["'SEED'", "seed", "correct"]),
    "duplicate_key": (added("seed,1"), 12, ["seed again", "line 11", "remove one"]),
    "missing_key": (without("target_step"), 10, ["target_step", "add a row"]),
    "missing_rate": (without("learning_rate"), 10, ["learning_rate", "add a row"]),
    "bad_integer": (replaced("target_step,3.5"), 7, ["'3.5'", "digits only"]),
    "spaces": (replaced("target_step, 3"), 7, ["' 3'", "digits only"]),
    "other_digits": (replaced("target_step,٣"), 7, ["'٣'", "digits only"]),
    "underscores": (replaced("inj_values,1_0"), 9, ["'1_0'", "write it like"]),
    "bad_number": (replaced("inj_values,abc"), 9, ["'abc'", "write it like"]),
    "hex_number": (replaced("inj_values,0x1p3"), 9, ["0x1p3", "write it like"]),
    "bad_rate": (replaced("learning_rate,fast"), 10, ["'fast'", "write it like"]),
    "zero_rate": (replaced("learning_rate,0"), 10, ["0.0", "above 0"]),
    "nan_rate": (replaced("learning_rate,nan"), 10, ["nan", "above 0"]),
    "wrong_stage": (replaced("stage,forward"), 2, ["forward", "fwrd_inject, bkwd"]),
    "wrong_fmodel": (replaced("fmodel,N16RD"), 3, ["'N16RD'", "one of: N16_RD,"]),
    "wrong_model": (replaced("model,resnet"), 1, ["'resnet'", "one of: resnet18,"]),
    "no_workload": (replaced("model,nfnet"), 1, ["nfnet does not exist yet", "choose"]),
    "outside": (
        replaced("inj_pos,107/3/8/85"),
        8,
        ["position 1 (107/3/8/85)", "index 2 is 8", "0 to 7", "correct the position"],
    ),
    "outside_batch": (
        replaced("inj_pos,128/3/3/85"),
        8,
        ["index 0 is 128", "0 to 127", "images of one replica", "per-replica batch"],
    ),
    "outside_batch_of_grad_wt": (
        replaced(
            "stage,bkwd_inject",
            "fmodel,INPUT",
            "target_layer,conv2_grad_wt",
            "inj_pos,0/0/0/200",
        ),
        8,
        ["index 3 is 200", "per-replica batch"],
    ),
    "wrong_rank": (replaced("inj_pos,107/3/3"), 8, ["3 indices", "write d0/d1"]),
    "mixed_ranks": (
        replaced("inj_pos,1/2/3/4,1/2/3", "inj_values,1,2"),
        8,
        ["position 2 (1/2/3)", "expected 4", "each axis"],
    ),
    "negative_index": (replaced("inj_pos,-1/3/3/85"), 8, ["-1/3/3/85", "write it"]),
    "older_dialect": (
        replaced("inj_pos,{9,0,49},{1,0,2}").partition(b"\n")[2],
        7,
        ["older dialect", "write inj_pos,9/0/49", "add model,resnet18"],
    ),
    "comma_index": (replaced("inj_pos,(1;2;3)"), 8, ["(1;2;3)", "slashes"]),
    "index_too_large": (
        replaced("inj_pos,9999999999/0/0/0"),
        8,
        ["out of range", "correct the position"],
    ),
    "count_mismatch": (
        replaced("inj_values,1,2"),
        9,
        ["2 values for 1 positions", "add or remove"],
    ),
    "duplicate_position": (
        replaced("inj_pos,1/2/3/4,1/2/3/5,1/2/3/4", "inj_values,1,2,3"),
        8,
        ["position 3 (1/2/3/4) repeats position 1", "remove one"],
    ),
    "unknown_layer": (
        replaced("target_layer,conv3"),
        5,
        ["'conv3'", "nearest: conv2, bn3"],
    ),
    "unknown_backward_layer": (
        replaced("stage,bkwd_inject", "target_layer,conv3_grad_in"),
        5,
        ["'conv3_grad_in'", "nearest: conv2_grad_in"],
    ),
    "no_such_operand": (
        replaced("target_layer,bn3", "fmodel,WT"),
        3,
        ["weight of a layer", "it has: output", "choose a fault model"],
    ),
    "layer_of_the_other_stage": (
        replaced("target_layer,conv2_grad_in"),
        5,
        ["backward operation", "write stage,bkwd_inject"],
    ),
    "layer_without_suffix": (
        replaced("stage,bkwd_inject"),
        5,
        ["which gradient", "write conv2_grad_in"],
    ),
    "layer_with_odd_letters": (
        replaced("target_layer,conv 2"),
        5,
        ["'conv 2'", "copy the name"],
    ),
    "not_utf8": (replaced().replace(b"fwrd", b"fw\xe9d"), 2, ["0xe9", "save the file"]),
    "bom": (b"\xef\xbb\xbf" + replaced(), 1, ["byte order mark", "without BOM"]),
    "utf16": ("\n".join(GOOD).encode("utf-16"), 1, ["byte order mark", "without BOM"]),
    "nul": (replaced().replace(b"38", b"3\x008"), 7, ["NUL byte", "write it again"]),
    "empty": (b"", 1, ["empty", "start from"]),
    "blank": (b"\n \n\n", 1, ["empty", "start from"]),
    "huge": (b"#" * (MAX_BYTES + 1), 1, [str(MAX_BYTES + 1), "at most", "split"]),
    "long_number": (
        replaced(f"inj_values,{'1' * 100_000}"),
        9,
        ["100000 characters", "at most 64"],
    ),
    "long_integer": (replaced(f"seed,{'9' * 10_000}"), 11, ["10000 char", "digits"]),
    "long_key": (added("x" * 100_000), 12, ["100000 characters", "correct or remove"]),
    "overflowing_float32": (replaced("inj_values,3.5e38"), 9, ["float32", "write inf"]),
    "overflowing_float64": (
        replaced("inj_values,1e999"),
        9,
        ["(1e999) is too large", "write inf"],
    ),
    "negative_epoch": (replaced("target_epoch,-1"), 6, ["-1", "from 0", "correct"]),
    "negative_step": (replaced("target_step,-1"), 7, ["-1", "from 0", "correct"]),
    "negative_worker": (replaced("target_worker,-1"), 4, ["-1", "0 to 7", "correct"]),
    "worker_8": (replaced("target_worker,8"), 4, ["8", "0 to 7", "correct"]),
    "huge_epoch": (replaced("target_epoch,9999999999"), 6, ["from 0 to", "correct"]),
    "negative_seed": (replaced("seed,-5"), 11, ["-5", "from 0", "correct"]),
    "key_without_value": (replaced("model"), 1, ["no value", "write model,VALUE"]),
    "empty_value": (replaced("inj_values,"), 9, ["no value", "write inj_values"]),
    "two_values": (replaced("model,resnet18,effnet"), 1, ["2 values", "exactly one"]),
    "spreadsheet_commas": (replaced("seed,123,,,"), 11, ["4 values", "more commas"]),
    "surplus_comma": (
        replaced("inj_values,1,,2"),
        9,
        ["value 2 is empty", "surplus comma"],
    ),
    "quoted": (replaced('model,"resnet18"'), 1, ["'\"resnet18\"'", "one of: resnet18"]),
    "bits_too_short": (added("inj_bits,0x3f80"), 12, ["0x3f80", "8 hexadecimal"]),
    "bits_in_decimal": (added("inj_bits,1065353216"), 12, ["1065353216", "like 0x3f"]),
    "bits_count": (
        added("inj_bits,0x3f800000,0x3f800000"),
        12,
        ["2 bit patterns for 1 values", "remove"],
    ),
    "bits_contradict": (
        added("inj_bits,0x3f800000"),
        12,
        ["0x3f800000) contradicts value 2.86871514043344e+24", "0x6817de57"],
    ),
    "bits_not_nan": (
        replaced("inj_values,nan") + b"inj_bits,0x7f800000\n",
        12,
        ["0x7f800000", "contradicts value nan", "correct one"],
    ),
    "carriage_returns": (replaced().replace(b"\n", b"\r"), 1, ["carriage", "save the"]),
}


@pytest.mark.parametrize(("content", "line", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_gives_one_line_with_file_line_and_remedy(
    content, line, words, tmp_path
):
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_injection(path, sites_of)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert len(message.splitlines()) == 1 and message.isprintable()
    assert len(message) < len(str(path)) + 600
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["missing.csv", ".", "no\nfile.csv", "nul\0byte"])
def test_a_path_that_is_no_file_gives_one_line(name, tmp_path):
    with pytest.raises(InputError) as caught:
        read_injection(tmp_path / name)
    message = str(caught.value)
    assert ":1: " in message and "expected an injection CSV file" in message
    assert len(message.splitlines()) == 1


def test_a_device_is_refused_and_not_read():
    with pytest.raises(InputError, match="no regular file"):
        read_injection("/dev/zero")


@settings(derandomize=True, deadline=None)
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_raise_anything_but_an_input_error(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "noise.csv"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_injection(path)
    assert len(str(caught.value).splitlines()) == 1


@settings(derandomize=True, deadline=None, max_examples=300)
@given(data=st.data())
def test_a_damaged_good_file_is_read_or_refused_in_one_line(data, tmp_path_factory):
    good = bytearray(replaced())
    start = data.draw(st.integers(0, len(good)))
    stop = min(len(good), start + data.draw(st.integers(0, 3)))
    good[start:stop] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(bytes(good))
    try:
        read_injection(path, sites_of)
    except InputError as error:
        assert str(error).startswith(f"{path}:")
        assert len(str(error).splitlines()) == 1
