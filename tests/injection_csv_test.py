# SPDX-License-Identifier: Apache-2.0
"""Injection files: the artefact's files, what they mean, and round trips."""

import dataclasses
import math
import os
import random
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpufi.errors import InputError
from tpufi.faults.catalogue import FAULT_MODELS
from tpufi.faults.csv import parse_injection, read_injection, write_injection
from tpufi.faults.injection import Injection
from tpufi.faults.injection_file import WORKLOADS

INJECTIONS = Path(__file__).resolve().parent.parent / "injections"
FILES = sorted(INJECTIONS.glob("*/*.csv"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_an_artefact_file_is_written_back_byte_for_byte(path, tmp_path):
    injection = read_injection(path)
    assert injection.model == path.parent.name
    copy = tmp_path / "copy.csv"
    write_injection(injection, copy)
    assert copy.read_bytes() == path.read_bytes()
    assert read_injection(copy) == injection
    assert os.listdir(tmp_path) == ["copy.csv"]


def test_all_eleven_artefact_files_are_here():
    assert len(FILES) == 11


def test_fields_and_site_of_a_forward_weight_fault():
    injection = read_injection(INJECTIONS / "resnet18" / "inj_masked.csv")
    assert injection == Injection(
        model="resnet18",
        stage="fwrd_inject",
        fmodel="WT",
        target_worker=3,
        target_layer="basicblock_4_basic_0_conv2",
        target_epoch=30,
        target_step=32,
        inj_pos=((2, 2, 383, 201),),
        inj_values=(0.0606911815702915,),
        learning_rate=0.001,
        seed=123,
    )
    assert injection.site_name == "basicblock_4_basic_0_conv2/forward/weight"
    flat = injection.flat_positions((3, 3, 512, 512))
    assert flat.dtype == np.int64
    assert flat.tolist() == [np.ravel_multi_index((2, 2, 383, 201), (3, 3, 512, 512))]
    assert injection.words().dtype == np.uint64
    assert injection.words()[0] == np.float32(0.0606911815702915).view(np.uint32)


def test_the_suffix_of_a_backward_layer_gives_the_direction():
    injection = read_injection(INJECTIONS / "resnet18" / "inj_slow_degrade.csv")
    assert injection.site_name == "basicblock_4_basic_0_downsample/grad_in/input"
    other = dataclasses.replace(
        injection, target_layer="conv1_grad_wt", fmodel="N64_WT_GLB"
    )
    assert other.site_name == "conv1/grad_wt/weight"


def test_crlf_blank_lines_and_any_order_of_rows_mean_the_same(tmp_path):
    rows = FILES[0].read_bytes().splitlines()
    path = tmp_path / "windows.csv"
    path.write_bytes(b"\r\n\r\n".join(reversed(rows)))
    assert read_injection(path) == read_injection(FILES[0])


def test_bits_win_and_keep_the_payload_of_a_nan(tmp_path):
    path = tmp_path / "nan.csv"
    good = (INJECTIONS / "resnet18" / "inj_masked.csv").read_bytes()
    path.write_bytes(
        good.replace(b"2/2/383/201", b"1/2,3/4,5/6").replace(
            b"0.0606911815702915", b"nan,-inf,1.5"
        )
        + b"inj_bits,0xffc0BEEF,0xff800000,0x3fc00000\n"
    )
    injection = read_injection(path)
    assert injection.words().tolist() == [0xFFC0BEEF, 0xFF800000, 0x3FC00000]
    copy = tmp_path / "copy.csv"
    write_injection(injection, copy)
    assert read_injection(copy) == injection
    assert b"inj_bits,0xffc0beef,0xff800000,0x3fc00000\n" in copy.read_bytes()


def test_words_without_bits_round_to_the_nearest_float32():
    injection = dataclasses.replace(
        read_injection(FILES[0]),
        inj_pos=((0,), (1,), (2,), (3,), (4,), (5,)),
        inj_values=(0.1, -0.0, math.inf, math.nan, 1 + 2**-24, 1e-46),
    )
    assert [hex(word) for word in injection.words()] == [
        "0x3dcccccd",
        "0x80000000",
        "0x7f800000",
        "0x7fc00000",
        "0x3f800000",  # a tie goes to the even mantissa
        "0x0",
    ]
    with pytest.raises(InputError, match="is bfloat16; run the workload in float32"):
        injection.words("bfloat16")


def nearest(exact: Fraction) -> np.float32:
    """Return the float32 nearest to a number, ties to even, by exact distances."""

    def value(number: np.float32) -> Fraction:
        ends = Fraction(2) ** 128 * (1 if number > 0 else -1)
        return Fraction(float(number)) if np.isfinite(number) else ends

    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf)]
    return min(
        (near, *around), key=lambda n: (abs(value(n) - exact), n.view(np.uint32) & 1)
    )


def test_a_decimal_is_rounded_once():
    rows = dict(line.split(",", 1) for line in FILES[0].read_text().splitlines())
    rows["inj_pos"] = rows["inj_pos"].split(",")[0]
    rng, doubly = random.Random(1), 0
    for _ in range(1000):
        word = np.uint32(rng.randrange(0x7F7FFFFF))
        low, high = (float(w.view(np.float32)) for w in (word, word + np.uint32(1)))
        middle = (Fraction(low) + Fraction(high)) / 2
        with localcontext() as context:
            context.prec = 60
            size = f"{Decimal(middle.numerator) / Decimal(middle.denominator):.38e}"
        rows["inj_values"] = rng.choice(("", "-")) + size
        text = "".join(f"{key},{value}\n" for key, value in rows.items())
        (found,) = parse_injection(text, "x.csv").words()
        want = nearest(Fraction(rows["inj_values"]))
        assert int(found) == int(want.view(np.uint32)), rows["inj_values"]
        doubly += np.float32(float(rows["inj_values"])) != want
    assert doubly > 100


def test_an_unwritable_path_gives_one_line_and_leaves_nothing(tmp_path):
    injection = read_injection(FILES[0])
    with pytest.raises(InputError, match="cannot write.*create the folder"):
        write_injection(injection, tmp_path / "no_folder" / "x.csv")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_injection(injection, tmp_path / "taken")
    assert os.listdir(tmp_path) == ["taken"]


def test_an_injection_made_in_code_is_checked_too(tmp_path):
    injection = read_injection(FILES[0])
    with pytest.raises(InputError, match="target_worker: 8 is out of range"):
        dataclasses.replace(injection, target_worker=8)
    with pytest.raises(InputError, match="the tensor of shape .*: index 3 is 112;"):
        injection.flat_positions((128, 1, 1, 112))
    rate = np.float64(0.1 + 0.2)
    write_injection(dataclasses.replace(injection, learning_rate=rate), tmp_path / "x")
    assert read_injection(tmp_path / "x").learning_rate == 0.1 + 0.2


FLOAT32_BITS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFC0BEEF]),
)
SMALL = st.integers(0, 2**31 - 1)


@st.composite
def injections(draw) -> Injection:
    rank = draw(st.integers(1, 5))
    index = st.tuples(*[SMALL] * rank)
    positions = tuple(draw(st.lists(index, min_size=1, max_size=20, unique=True)))
    count = len(positions)
    bits = draw(st.lists(FLOAT32_BITS, min_size=count, max_size=count))
    values = [float(v) for v in np.array(bits, np.uint32).view(np.float32)]
    if draw(st.booleans()):
        bits = None
        decimals = st.floats(-3e38, 3e38)
        values = draw(st.lists(decimals, min_size=count, max_size=count))
    backward = draw(st.booleans())
    suffix = draw(st.sampled_from(["_grad_in", "_grad_wt"])) if backward else ""
    return Injection(
        model=draw(st.sampled_from(WORKLOADS)),
        stage="bkwd_inject" if backward else "fwrd_inject",
        fmodel=draw(st.sampled_from(sorted(FAULT_MODELS))),
        target_worker=draw(st.integers(0, 7)),
        target_layer=draw(st.from_regex(r"conv[a-z0-9_]{0,20}[0-9]", fullmatch=True))
        + suffix,
        target_epoch=draw(SMALL),
        target_step=draw(SMALL),
        inj_pos=positions,
        inj_values=tuple(values),
        learning_rate=draw(st.floats(1e-300, 1e300)),
        seed=draw(st.none() | st.integers(0, 2**64 - 1)),
        inj_bits=None if bits is None else tuple(bits),
    )


@settings(derandomize=True, deadline=None)
@given(injection=injections())
def test_what_is_written_is_read_again(injection, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    write_injection(injection, path)
    again = read_injection(path)
    assert again == injection and hash(again) == hash(injection)
    assert again.words().tolist() == injection.words().tolist()


@settings(derandomize=True, deadline=None)
@given(data=st.data())
def test_flat_positions_are_those_of_numpy(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=5)))
    index = st.tuples(*(st.integers(0, bound - 1) for bound in shape))
    positions = data.draw(st.lists(index, min_size=1, max_size=20, unique=True))
    injection = dataclasses.replace(
        read_injection(FILES[0]),
        inj_pos=tuple(positions),
        inj_values=(0.0,) * len(positions),
    )
    expected = np.ravel_multi_index(np.array(positions).T, shape)
    assert injection.flat_positions(shape).tolist() == expected.tolist()
