# SPDX-License-Identifier: Apache-2.0
"""Any parameters of the ops: what numpy says, or an error on one line."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tpufi
from tests.modes import assert_same_bits, injected, random_bits
from tpufi.element import ELEMENTS

LENIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
EDGES = (0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1)
NUMBERS = st.one_of(
    st.integers(-2, 40),
    st.sampled_from(EDGES),
    st.sampled_from(EDGES).map(lambda n: ~n),
)
SHAPES = st.sampled_from(((), (1,), (7,), (0,), (3, 0), (2, 3), (1, 33), (2, 2, 2, 2)))
WORDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from((0, 2**32 - 1)))


@st.composite
def runs(draw) -> tuple[np.ndarray, int, int]:
    """A tensor with any bits, and a run that lies in it in two of three draws."""
    dtype, shape = draw(st.sampled_from(sorted(ELEMENTS))), draw(SHAPES)
    x = random_bits(np.random.default_rng(draw(st.integers(0, 99))), shape, dtype)
    if draw(st.integers(0, 2)):
        start = draw(st.integers(0, x.size))
        return x, start, draw(st.integers(0, x.size - start))
    return x, draw(NUMBERS), draw(NUMBERS)


def lies_in(x: np.ndarray, start: int, count: int) -> bool:
    return count == 0 or 0 <= start <= start + count <= x.size and count > 0


def check(op, x: np.ndarray, start: int, count: int, rule) -> None:
    """Compare an op with its rule, in numbers and in tensors, or expect an error."""
    if lies_in(x, start, count):
        expected = injected(x, start, count, rule)
        for y in (op(start, count), op(*_tensors(start, count))):
            assert_same_bits(y.numpy(), expected)
        return
    with pytest.raises(ValueError) as error:
        op(start, count)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        op(*_tensors(start, count))
    assert f"start {start} with count {count}" in str(error.value)


def _tensors(start: int, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant(start, tf.int64), tf.constant(count, tf.int64)


@LENIENT
@given(run=runs(), data=st.data())
def test_flips_are_those_of_numpy(run, data):
    x, start, count = run
    mask = data.draw(st.integers(0, ELEMENTS[x.dtype.name].mask))
    check(
        lambda *where: tpufi.flip_bits(x, *where, mask),
        x, start, count, lambda word, _: word ^ mask,
    )  # fmt: skip


@LENIENT
@given(run=runs())
def test_zeros_are_those_of_numpy(run):
    x, start, count = run
    check(lambda *where: tpufi.zero_out(x, *where), x, start, count, lambda *_: 0)


@LENIENT
@given(run=runs(), seed=st.tuples(WORDS, WORDS), finite=st.booleans())
def test_random_patterns_are_those_of_the_host(run, seed, finite):
    x, start, count = run
    name = x.dtype.name
    check(
        lambda *where: tpufi.inject_random(x, *where, seed, finite=finite),
        x, start, count,
        lambda _, i: int(tpufi.random_patterns(name, seed, i, 1, finite)[0]),
    )  # fmt: skip


@LENIENT
@given(run=runs(), mask=NUMBERS)
def test_a_mask_beyond_the_element_is_an_error_of_one_line(run, mask):
    x, *_ = run
    if 0 <= mask <= ELEMENTS[x.dtype.name].mask:
        return
    with pytest.raises(ValueError, match="mask .* is outside") as error:
        tpufi.flip_bits(x, 0, 0, mask)
    assert len(str(error.value).splitlines()) == 1


@LENIENT
@given(run=runs(), seed=st.lists(NUMBERS, max_size=4))
def test_a_seed_that_is_not_two_words_is_an_error_of_one_line(run, seed):
    x, *_ = run
    if len(seed) == 2 and all(0 <= word < 2**32 for word in seed):
        return
    with pytest.raises(ValueError, match="seed") as error:
        tpufi.inject_random(x, 0, 0, seed)
    assert len(str(error.value).splitlines()) == 1
