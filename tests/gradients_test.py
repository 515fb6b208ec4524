# SPDX-License-Identifier: Apache-2.0
"""What flows back through a fault: each option means what decision 0003 says."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.modes import MODES, assert_same_bits, in_mode, injected, random_bits
from tpufi.descriptor import FIELDS, OPERATIONS
from tpufi.element import ELEMENTS
from tpufi.ops import inject_fault

I64 = tf.int64
# Of float8 TensorFlow takes no gradients.
FLOATS = [name for name, e in ELEMENTS.items() if e.exponent_bits and e.bits > 8]
START, COUNT = 3, 5
OPS = {
    "flip_bits": lambda x, s, c, g: tpufi.flip_bits(x, s, c, 0x4102, gradient=g),
    "zero_out": lambda x, s, c, g: tpufi.zero_out(x, s, c, gradient=g),
    "inject_random": lambda x, s, c, g: tpufi.inject_random(
        x, s, c, (1, 2), gradient=g
    ),
}


def rows(*fields: tuple[int, int, int, int, str, int]) -> np.ndarray:
    """Return rows of a descriptor: site, replica, start, count, operation, words."""
    result = np.zeros((len(fields), len(FIELDS)), np.int64)
    for row, (site, replica, start, count, operation, words) in zip(
        result, fields, strict=True
    ):
        named = {"site": site, "replica": replica, "start": start, "count": count}
        named |= {"operation": OPERATIONS.index(operation), "words": words}
        row[[FIELDS.index(name) for name in named]] = list(named.values())
    return result


# One row for view elements 3 .. 7 in replica 4, and three that change nothing.
FAULTS = rows(
    (9, 4, START, COUNT, "flip", 1),
    (9, 5, 0, 9, "replace", 1),
    (8, -1, 0, 9, "replace", 1),
    (-1, -1, 0, 9, "replace", 1),
)
WORDS = np.full((4, 2), 0x4102, np.uint64)


def gradient(function, mode, x, upstream, *operands) -> np.ndarray:
    """Return the gradient of `function(x, *operands)` for x, taken in `mode`."""

    def back(x, upstream, *operands):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x, *operands)
        return tape.gradient(y, x, output_gradients=upstream)

    return in_mode(mode, back)(
        tf.constant(x), tf.constant(upstream), *map(tf.constant, operands)
    ).numpy()


def zeroed(upstream: np.ndarray, start=START, count=COUNT) -> np.ndarray:
    return injected(upstream, start, count, lambda *_: 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", OPS)
def test_each_option_passes_or_stops_the_gradient_bit_for_bit(op, dtype, mode):
    rng = np.random.default_rng(1)
    x, upstream = (random_bits(rng, (4, 5), dtype) for _ in range(2))
    run = np.int64(START), np.int64(COUNT)
    options = {"straight_through": upstream, "zero_at_faulty": zeroed(upstream)}
    if op != "flip_bits":  # What is written does not depend on x.
        options["true"] = zeroed(upstream)
    for option, expected in options.items():
        function = OPS[op]
        actual = gradient(
            lambda x, s, c, f=function, g=option: f(x, s, c, g), mode, x, upstream, *run
        )
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("perm", [(), (1, 2, 0)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_descriptor_stops_the_gradient_where_it_is_injected_and_only_there(
    dtype, perm, mode
):
    rng = np.random.default_rng(2)
    x, upstream = (random_bits(rng, (2, 3, 4), dtype) for _ in range(2))
    view = upstream.transpose(perm or (0, 1, 2))
    stopped = zeroed(view).transpose(np.argsort(perm) if perm else (0, 1, 2))
    for option, expected in (
        ("straight_through", upstream),
        ("zero_at_faulty", stopped),
    ):
        actual = gradient(
            lambda x, faults, words, g=option: inject_fault(
                x, 9, 4, faults, words, perm=perm, gradient=g
            )[0],
            mode, x, upstream, FAULTS, WORDS,
        )  # fmt: skip
        assert_same_bits(actual, np.ascontiguousarray(expected))


def test_a_fault_that_is_void_stops_no_gradient():
    x, upstream = np.ones(10, np.float32), np.arange(1, 11, dtype=np.float32)
    voids = [
        (9, 4, 9, 2, "replace", 1),  # Beyond the end.
        (9, 4, 0, 3, "replace", 3),  # Three words of two.
        (9, 4, 0, 3, "replace", 2),  # Three elements, two words.
        (9, 4, 0, 3, "zero", 1),  # A word for what takes none.
        (9, 4, 0, 1, "random", 2),
        (9, 4, 0, 1, "error_rate", 1),
        (9, 4, 0, 2, "random", 2),
        (9, 4, 0, 1, "copy", 1),  # Of an element beyond the end.
    ]
    for row in voids:
        actual = gradient(
            lambda x, f, w: inject_fault(x, 9, 4, f, w, gradient="zero_at_faulty")[0],
            "xla", x, upstream, rows(row), WORDS[:1],
        )  # fmt: skip
        assert_same_bits(actual, upstream)
    too_wide = np.uint64(1 << 32)
    for start, count, mask in ((0, 11, 1), (-1, 1, 1), (0, 10, too_wide)):
        actual = gradient(
            lambda x, s, c, m: tpufi.flip_bits(x, s, c, m, gradient="zero_at_faulty"),
            "xla", x, upstream, np.int64(start), np.int64(count), np.uint64(mask),
        )  # fmt: skip
        assert_same_bits(actual, upstream)


def test_the_default_is_straight_through():
    x, faults, words = tf.ones([4]), tf.constant(FAULTS[:1]), tf.constant(WORDS[:1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        results = [
            tpufi.flip_bits(x, 0, 4, 1 << 30),
            tpufi.zero_out(x, 0, 4),
            tpufi.inject_random(x, 0, 4, (1, 2)),
            inject_fault(x[None, :] * tf.ones([3, 1]), 9, 4, faults, words)[0][0],
        ]
    for y in results:
        assert tape.gradient(y, x).numpy().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "int32", "float8_e5m2"])
def test_integers_and_float8_have_no_gradient(dtype, mode):
    """Neither the parameters of a fault nor a tensor of integers or of 8 bits."""
    run, mask = [tf.zeros([], I64), tf.ones([], I64)], tf.ones([], tf.uint64)
    seed, finite = tf.constant([1, 2], tf.uint32), tf.constant(True)
    descriptor = [tf.constant(4, I64), tf.constant(FAULTS), tf.constant(WORDS)]
    found = []

    def gradients(operands, function):
        with tf.GradientTape() as tape:
            tape.watch(operands)
            y = function(*operands)
        found.append(tape.gradient(y, operands))
        return y

    def every_op(x):
        gradients([x, *run, mask], tpufi.flip_bits)
        gradients([x, *run], tpufi.zero_out)
        gradients(
            [x, *run, seed, finite],
            lambda x, s, c, k, f: tpufi.inject_random(x, s, c, k, finite=f),
        )
        gradients([x, *descriptor], lambda x, *d: inject_fault(x, 9, *d)[0])
        return x

    in_mode(mode, every_op)(tf.constant(np.ones([3, 4], ELEMENTS[dtype].numpy)))
    assert len(found) == 4
    for of_x, *of_parameters in found:
        assert (of_x is None) == (dtype != "float32")
        assert of_parameters == [None] * len(of_parameters)


@pytest.mark.parametrize("option", ["straight_through", "zero_at_faulty"])
def test_the_second_derivative_is_stopped_where_the_first_is(option):
    x, run = tf.constant([1.0, 2.0, 3.0]), (tf.zeros([], I64), tf.ones([], I64))
    faults = tf.constant(rows((9, -1, 0, 1, "replace", 1)))
    words = tf.zeros([1, 1], tf.uint64)
    for function in (
        lambda x: tpufi.zero_out(x, *run, gradient=option),
        lambda x: tpufi.inject_random(x, *run, (1, 2), gradient=option),
        lambda x: tpufi.flip_bits(x, *run, 1 << 22, gradient=option),
        lambda x: inject_fault(x, 9, 0, faults, words, gradient=option)[0],
    ):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                injected = function(x)
                y = injected * x**2
            first = inner.gradient(y, x)
        second = outer.gradient(first, x).numpy()
        passes = np.array([option == "straight_through", True, True])
        expected = 2 * injected.numpy() + np.where(passes, 4 * x.numpy(), 0)
        np.testing.assert_allclose(second, expected, rtol=1e-6)
