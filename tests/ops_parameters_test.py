# SPDX-License-Identifier: Apache-2.0
"""One rule for parameters out of bounds: an error on the host, void when compiled."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.modes import MODES, assert_same_bits, in_mode
from tests.rows import changing
from tpufi.descriptor import EVERY_REPLICA
from tpufi.ops import inject_fault

I64 = tf.int64
BIG = (1 << 63) - 1
# (start, count) that do not lie in a tensor of 10 elements.
OUTSIDE = [
    (10, 1), (9, 2), (0, 11), (-1, 1), (-1, 2), (0, -1), (5, -5), (BIG, 1), (BIG, BIG),
    (1, BIG), (-BIG - 1, 1), (-BIG - 1, BIG), (1 << 32, 1), ((1 << 32) + 1, 2),
]  # fmt: skip
OPS = {
    "flip_bits": lambda x, s, c: tpufi.flip_bits(x, s, c, 1),
    "zero_out": lambda x, s, c: tpufi.zero_out(x, s, c),
    "inject_random": lambda x, s, c: tpufi.inject_random(x, s, c, (1, 2)),
}
X = np.arange(1, 11, dtype=np.float32)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_tensors_out_of_bounds_are_invalid_arguments(op, mode):
    function = in_mode(mode, OPS[op])
    for start, count in OUTSIDE:
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            function(tf.constant(X), tf.constant(start, I64), tf.constant(count, I64))
        assert f"start {start} with count {count}" in str(error.value)
        assert "[0, 10)" in str(error.value)


@pytest.mark.parametrize("op", OPS)
def test_tensors_out_of_bounds_change_nothing_in_a_compiled_program(op):
    function = in_mode("xla", OPS[op])
    for start, count in OUTSIDE:
        y = function(tf.constant(X), tf.constant(start, I64), tf.constant(count, I64))
        assert_same_bits(y.numpy(), X)


@pytest.mark.parametrize("op", OPS)
def test_numbers_out_of_bounds_are_value_errors_before_anything_runs(op):
    for start, count in OUTSIDE:
        with pytest.raises(ValueError, match=r"\[0, 10\); choose"):
            OPS[op](tf.constant(X), start, count)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start", [0, 9, 10, -1, BIG, -BIG - 1])
def test_count_zero_is_the_identity_for_any_start(op, mode, start):
    x = np.array([0x7FC00001, 0xFF800001, 0x80000000, 1], np.uint32).view(np.float32)
    function = in_mode(mode, OPS[op])
    y = function(tf.constant(x), tf.constant(start, I64), tf.zeros([], I64))
    assert_same_bits(y.numpy(), x)
    assert_same_bits(OPS[op](tf.constant(x), start, 0).numpy(), x)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_tensor_accepts_only_count_zero(mode):
    x = tf.zeros([3, 0])
    function = in_mode(mode, OPS["zero_out"])
    assert function(x, tf.constant(5, I64), tf.constant(0, I64)).shape == (3, 0)
    if mode == "xla":
        assert function(x, tf.constant(0, I64), tf.constant(1, I64)).shape == (3, 0)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[0, 0\)"):
            function(x, tf.constant(0, I64), tf.constant(1, I64))


def test_a_mask_wider_than_the_element_is_an_error_or_void():
    x = tf.ones([4], tf.bfloat16)
    wide = tf.constant(1 << 16, tf.uint32)
    with pytest.raises(ValueError, match=r"mask 0x10000 is outside \[0, 0xffff\]"):
        tpufi.flip_bits(x, 0, 1, 1 << 16)
    with pytest.raises(ValueError, match="mask -0x1 is outside"):
        tpufi.flip_bits(x, 0, 1, -1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="0x10000 has bits beyond"):
        tpufi.flip_bits(x, 0, 1, wide)
    y = in_mode("xla", lambda m: tpufi.flip_bits(x, 0, 1, m))(wide)
    assert_same_bits(y.numpy(), x.numpy())


def test_a_signed_mask_tensor_is_a_type_error():
    with pytest.raises(TypeError, match="int32; use an unsigned"):
        tpufi.flip_bits(tf.ones([4]), 0, 1, tf.constant(1))


def test_types_without_bits_to_flip_are_named():
    with pytest.raises(ValueError, match="'complex64' cannot carry faults; known: fl"):
        tpufi.flip_bits(tf.ones([4], tf.complex64), 0, 1, 1)


def test_operands_of_wrong_shape_are_errors():
    x = tf.ones([4])
    with pytest.raises(tf.errors.InvalidArgumentError, match="start must be a scalar"):
        tpufi.zero_out(x, tf.zeros([1], I64), tf.zeros([], I64))
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="seed"):
        tpufi.inject_random(x, 0, 1, tf.zeros([3], tf.uint32))
    with pytest.raises(ValueError, match="seed has 3 words"):
        tpufi.inject_random(x, 0, 1, (1, 2, 3))


def test_shape_inference_keeps_unknown_shapes():
    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def unknown(x):
        y = tpufi.flip_bits(x, tf.constant(0, I64), tf.constant(1, I64), 1)
        assert y.shape.rank is None
        return y

    assert unknown(tf.ones([2, 3])).shape == (2, 3)


def test_a_matching_row_outside_its_site_is_an_error_or_void_and_unrecorded():
    outside = changing(7, EVERY_REPLICA, 4, 1, keep=0, word=5, capacity=1)
    faults, words = tf.constant(outside.faults), tf.constant(outside.words)
    x = tf.ones([4])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at site 7: start 4"):
        inject_fault(x, 7, 0, faults, words)
    y, record = in_mode("xla", lambda f: inject_fault(x, 7, 0, f, words))(faults)
    assert_same_bits(y.numpy(), x.numpy())
    assert not record.numpy().any()
