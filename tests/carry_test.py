# SPDX-License-Identifier: Apache-2.0
"""The operation `carry`: every pattern of small types, all modes, numpy's integers."""

import numpy as np
import pytest

from tests.fault_rules_test import run, site
from tests.inject_fault_test import REPLICA, SITE
from tests.modes import MODES
from tpufi import descriptor
from tpufi.element import element, from_words, to_words

EDGES = [0, 1, 2, 3, 0x7FFFFF, 0x800000, 0x800001, 0x3F800000, 0x3FFFFFFF, 0x40000000]
EDGES += [0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFE, 0x7FFFFFFF]


def patterns(dtype: str) -> np.ndarray:
    """Return all bit patterns of a type of up to 16 bits; edges and others of 32."""
    bits = element(dtype).bits
    if bits <= 16:
        return np.arange(1 << bits, dtype=np.uint64)
    others = np.random.default_rng(5).integers(0, 1 << bits, 1000, np.uint64)
    edges = np.array(EDGES, np.uint64)
    return np.concatenate([edges, edges | np.uint64(1 << 31), others])


def carried(bits: np.ndarray, step: int, dtype: str) -> np.ndarray:
    """Return the bits after a carry of `step`, in numpy's signed integers."""
    layout = element(dtype)
    if not layout.exponent_bits:
        return (bits.astype(np.int64) + step) % (1 << layout.bits)
    end = 1 << layout.bits - 1
    magnitude = bits.astype(np.int64) % end
    moved = magnitude + step
    inside = (0 <= moved) & (moved < end)
    return np.where(inside, bits.astype(np.int64) - magnitude + moved, bits)


@pytest.mark.parametrize(
    "dtype",
    ["float8_e5m2", "float8_e4m3fn", "int8", "uint8", "bfloat16", "float16", "float32"],
)
def test_every_carry_of_every_pattern_is_that_of_integers(dtype):
    x, bits = patterns(dtype), element(dtype).bits
    tensor = from_words(x, dtype)
    functions = [site(mode) for mode in MODES]
    for k in range(bits):
        for step in (1 << k, -(1 << k)):
            row = descriptor.fault_row(
                site=SITE,
                replica=REPLICA,
                start=0,
                count=x.size,
                operation="carry",
                words=[step % (1 << bits)],
            )
            if element(dtype).exponent_bits and k == bits - 1:
                step = -(1 << k)  # The only number with the sign bit alone.
            want = carried(x, step, dtype)
            for function in functions:
                y, _ = run(function, tensor, row)
                assert np.array_equal(to_words(y), want.astype(np.uint64)), (k, step)


def test_a_carry_runs_through_the_mantissa_and_halts_at_zero():
    x = np.array([0x3FFFFFFF, 0x40000000, 0, 0x80000003], np.uint64)
    up = carried(x, 1, "float32").tolist()
    assert up == [0x40000000, 0x40000001, 1, 0x80000004]
    down = carried(x, -4, "float32").tolist()
    assert down == [0x3FFFFFFB, 0x3FFFFFFC, 0, 0x80000003]
