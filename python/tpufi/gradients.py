# SPDX-License-Identifier: Apache-2.0
"""Registered gradients of the fault ops (docs/decisions/0003-gradients.md).

`straight_through` (the default): the gradient passes as if there were no fault; a
transient fault changes a value, not the program that differentiates it.
`zero_at_faulty`: it is stopped at the faulty elements. The ops call it by its former
name, `zero_at_struck` (`tpufi.ops.gradient_attribute`).
`true`: the derivative of what the op computes. A replaced value does not depend on
`x`, so it is zero there; flipping bits gives +-2**(change of exponent), and NaN where
the old or new value is Inf or NaN and no derivative exists.
"""

import tensorflow as tf

from tpufi._library import host
from tpufi._library import ops as _ops
from tpufi.descriptor import OPERATIONS, takes_one_for_each, words_for_all
from tpufi.element import element


@tf.RegisterGradient("Tpufi>FlipBits")
def _flip_bits_gradient(op: tf.Operation, dy: tf.Tensor) -> list[tf.Tensor | None]:
    x, start, count, mask = op.inputs
    kind = op.get_attr("gradient")
    if kind == b"true":
        dy = _times_slope(dy, x, op.outputs[0])
    elif kind == b"zero_at_struck":
        # In a compiled program a mask that is too wide makes the fault void.
        widest = tf.constant(element(x.dtype.name).mask, tf.uint64)
        count = tf.where(mask <= widest, count, tf.zeros_like(count))
        dy = _zeroed(dy, start, count)
    return [dy, None, None, None]


@tf.RegisterGradient("Tpufi>ZeroOut")
def _zero_out_gradient(op: tf.Operation, dy: tf.Tensor) -> list[tf.Tensor | None]:
    return [_stopped(op, dy), None, None]


@tf.RegisterGradient("Tpufi>InjectRandom")
def _inject_random_gradient(op: tf.Operation, dy: tf.Tensor) -> list[tf.Tensor | None]:
    return [_stopped(op, dy), None, None, None, None]


# How many words the operations have that do not have one for each element or for all.
_TAKEN = {n: words_for_all(n) for n in OPERATIONS if not takes_one_for_each(n)}


@tf.RegisterGradient("Tpufi>InjectFault")
def _inject_fault_gradient(
    op: tf.Operation, dy: tf.Tensor, _: tf.Tensor
) -> list[tf.Tensor | None]:
    if op.get_attr("gradient") == b"zero_at_struck":
        x, replica, faults, words = op.inputs
        # The same rows, replacing by zero. A row that is void in a compiled program
        # because its words do not fit stays so.
        fields = host.fault_fields
        given = tf.unstack(faults, num=len(fields), axis=1)
        columns = dict(zip(fields, given, strict=True))
        operation, given = columns["operation"], columns["words"]
        known = tf.logical_and(operation >= 0, operation < len(host.operations))
        one, never = tf.ones_like(given), -tf.ones_like(given)
        for name, taken in _TAKEN.items():
            here = tf.equal(operation, host.operations.index(name))
            new = tf.where(tf.equal(given, taken), one, never)
            columns["words"] = tf.where(here, new, columns["words"])
        outside = words >= tf.cast(tf.size(x, tf.int64), tf.uint64)
        used = tf.range(tf.shape(words, tf.int64)[1]) < given[:, None]
        void = tf.logical_and(
            tf.equal(operation, host.operations.index("copy")),
            tf.reduce_any(tf.logical_and(outside, used), 1),
        )
        columns["words"] = tf.where(void, never, columns["words"])
        replace = tf.fill(tf.shape(operation), host.operations.index("replace"))
        columns["operation"] = tf.where(known, tf.cast(replace, tf.int64), operation)
        columns["keep"] = tf.zeros_like(operation)
        dy, _ = _ops.tpufi_inject_fault(
            dy,
            replica,
            tf.stack(list(columns.values()), axis=1),
            tf.zeros_like(words),
            site=op.get_attr("site"),
            perm=op.get_attr("perm"),
            confines=op.get_attr("confines"),
            gradient="zero_at_struck",
        )
    return [dy, None, None, None]


def _stopped(op: tf.Operation, dy: tf.Tensor) -> tf.Tensor:
    if op.get_attr("gradient") == b"straight_through":
        return dy
    return _zeroed(dy, op.inputs[1], op.inputs[2])


def _zeroed(dy: tf.Tensor, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    # This is part of the program and no fault: its own gradient is the true one.
    return _ops.tpufi_zero_out(dy, start, count, gradient="true")


def _times_slope(dy: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Multiply by dy/dx of the map that takes the bits of `x` to those of `y`."""
    layout = element(x.dtype.name)
    word = tf.as_dtype(layout.word)
    bits = [tf.bitcast(t, word) for t in (x, y)]
    top = (1 << layout.exponent_bits) - 1
    fields = [
        tf.cast(
            tf.bitwise.bitwise_and(
                tf.bitwise.right_shift(b, tf.cast(layout.mantissa_bits, word)),
                tf.cast(top, word),
            ),
            tf.int32,
        )
        for b in bits
    ]
    # Subnormal numbers (field 0) have the spacing of field 1.
    rest = tf.maximum(fields[1], 1) - tf.maximum(fields[0], 1)
    # 2**change may be outside the range of the type while dy * 2**change is inside (0
    # always is), so it is applied as three factors that are normal numbers. The larger
    # ones come last: what an earlier product rounds, a later one takes to zero.
    largest = top // 2 - 1
    exponents = []
    for _ in range(2):
        exponents.insert(0, tf.clip_by_value(rest, -largest, largest))
        rest = rest - exponents[0]
    scaled = dy
    for exponent in (rest, *exponents):
        biased = tf.cast(exponent + top // 2, word)
        factor = tf.bitwise.left_shift(biased, tf.cast(layout.mantissa_bits, word))
        scaled = scaled * tf.bitcast(factor, dy.dtype)
    sign = tf.bitwise.right_shift(
        tf.bitwise.bitwise_xor(*bits), tf.cast(layout.bits - 1, word)
    )
    scaled = tf.where(tf.equal(sign, tf.cast(1, word)), -scaled, scaled)
    undefined = tf.logical_or(tf.equal(fields[0], top), tf.equal(fields[1], top))
    nan = tf.constant(float("nan"), dy.dtype)
    injected = tf.not_equal(*bits)
    return tf.where(injected, tf.where(undefined, nan, scaled), dy)
