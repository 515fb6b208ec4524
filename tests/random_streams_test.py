# SPDX-License-Identifier: Apache-2.0
"""The generator on the host: known answers, streams, and the keys of paths."""

import hashlib
import itertools

import numpy as np
import pytest

import tpufi
from tpufi._library import host
from tpufi.element import ELEMENTS
from tpufi.random import derive, words

ALL = 0xFFFFFFFF
# Random123 1.14, kat_vectors, lines "threefry2x32 20".
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((ALL, ALL), (ALL, ALL), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN)
def test_threefry_gives_the_known_answers(key, counter, answer):
    assert host.threefry2x32(key, counter) == answer


@pytest.mark.parametrize("start", [0, 1, 12345, (1 << 32) - 3, (1 << 63) - 8])
def test_words_are_threefry_of_the_counter(start):
    key = (0xDEADBEEF, 7)
    for i, word in enumerate(words(key, start, 8)):
        counter = start + i
        low, high = host.threefry2x32(key, (counter & ALL, counter >> 32))
        assert int(word) == high << 32 | low


def test_words_are_the_same_wherever_a_draw_begins():
    whole = words((3, 4), 0, 1000)
    np.testing.assert_array_equal(words((3, 4), 137, 500), whole[137:637])
    assert words((3, 4), 5, 0).shape == (0,)


def pattern(dtype: str, key: tuple[int, int], index: int, finite: bool) -> int:
    """Return the pattern of one element as decision 0002 defines it."""
    layout = ELEMENTS[dtype]
    low, high = host.threefry2x32(key, (index & ALL, index >> 32))
    bits = (high << 32 | low) & layout.mask
    if not layout.exponent_bits or not finite:
        return bits
    if not layout.has_infinity:  # NaN becomes the number below it.
        return bits - 1 if bits & layout.nan == layout.nan else bits
    if layout.bits == 64:  # A second draw: the first has no bits left.
        high, _ = host.threefry2x32(key, (index & ALL, index >> 32 | 1 << 31))
    top = (1 << layout.exponent_bits) - 1
    field = top << layout.mantissa_bits
    return bits & ~field | (high * top >> 32) << layout.mantissa_bits


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_patterns_are_what_the_decision_says_wherever_a_draw_begins(dtype):
    key = (8, ALL)
    for start, count in ((0, 300), (5, 17), ((1 << 32) - 11, 24), ((1 << 62) + 3, 9)):
        for finite in (True, False):
            patterns = tpufi.random_patterns(dtype, key, start, count, finite)
            expected = [pattern(dtype, key, start + i, finite) for i in range(count)]
            assert patterns.tolist() == expected


def test_a_key_is_the_cipher_run_down_the_path():
    assert derive(0) == (0, 0)
    assert derive((5 << 32) + 3) == (3, 5)
    assert derive(0, 0) == KNOWN[0][2]
    assert derive((1 << 64) - 1, (1 << 64) - 1) == KNOWN[1][2]
    digest = hashlib.sha256(b"augment").digest()
    key = (3, 5)
    for half in (digest[:8], digest[8:16]):
        number = int.from_bytes(half, "big")
        key = host.threefry2x32(key, (number & ALL, number >> 32))
    assert derive((5 << 32) + 3, "augment") == key


def test_keys_are_pinned_because_data_and_faults_of_old_runs_hang_on_them():
    assert derive(123, "order", 4, 0) == (0x91EE121A, 0x97B227C1)


def test_distinct_paths_have_distinct_keys():
    parts = (0, 1, 7, 1 << 32, (1 << 64) - 1, "", "0", "1", "7", "a", "augment")
    paths = [p for n in range(4) for p in itertools.product(parts, repeat=n)]
    keys = {derive(seed, *path) for seed in (0, 1, 1 << 32) for path in paths}
    assert len(keys) == 3 * len(paths)


def test_a_number_is_not_its_text_and_paths_are_not_joined():
    assert derive(1, 7) != derive(1, "7")
    assert derive(1, "ab") != derive(1, "a", "b")
    assert derive(1, "a", 2) != derive(1, 2, "a")
    assert derive(1, 2) != derive(1, 2, 0) != derive(1, 0, 2)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint32, np.uint64])
def test_numpy_integers_name_the_same_stream_as_python_integers(kind):
    assert derive(kind(100), "order", kind(5)) == derive(100, "order", 5)


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_numbers_outside_64_bits_are_errors_that_name_them(number):
    with pytest.raises(ValueError, match=rf"seed {number} is outside \[0, 2\*\*64\)"):
        derive(number)
    with pytest.raises(ValueError, match=f"path component {number} is outside"):
        derive(0, "a", number)


def test_wrong_arguments_are_errors():
    with pytest.raises(TypeError):
        derive(0, 1.5)
    with pytest.raises(ValueError, match="count -1 is negative"):
        words((0, 0), 0, -1)
    with pytest.raises(TypeError):
        words((1 << 32, 0), 0, 1)
    with pytest.raises(ValueError, match="'complex64' cannot carry faults"):
        tpufi.random_patterns("complex64", (0, 0), 0, 1)
