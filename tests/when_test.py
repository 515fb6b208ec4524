# SPDX-License-Identifier: Apache-2.0
"""When faults are injected: the value, its draws on the host and in programs."""

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modes import MODES, in_mode
from tests.numpy_threefry import halves, threefry2x32
from tpufi._library import host
from tpufi.errors import InputError
from tpufi.gate import Halves, is_drawn, is_injected
from tpufi.gate import threefry2x32 as in_graph
from tpufi.when import (
    ALWAYS,
    FOREVER,
    LEAST_RATE,
    MOMENT_FIELDS,
    ONCE,
    When,
    drawn,
    injected_steps,
    moments,
)

ALL = (1 << 64) - 1
WHOLE = st.integers(0, ALL)
WINDOWS = st.lists(st.integers(0, 60), max_size=8, unique=True).map(
    lambda ends: tuple(zip(*[iter(sorted(ends))] * 2, strict=False))
)
WHENS = st.builds(
    When,
    steps=WINDOWS,
    every=st.just(1),
    rate=st.sampled_from((1.0, 0.5, 1e-2, LEAST_RATE)),
    key=WHOLE,
)


def signed(numbers: np.ndarray) -> np.ndarray:
    return np.asarray(numbers, np.uint64).astype(np.int64)


@pytest.mark.parametrize("mode", MODES)
def test_a_program_has_the_cipher_of_the_host_and_of_numpy(mode):
    rng = np.random.default_rng(5)
    edges = np.array([0, 1, ALL, 1 << 31, 1 << 32, (1 << 32) - 1, 1 << 63], np.uint64)
    keys = np.concatenate([edges, rng.integers(0, ALL, 193, np.uint64, True)])
    counters = np.concatenate([edges, rng.integers(0, ALL, 93, np.uint64, True)])
    cipher = in_mode(
        mode,
        lambda k, c: tf.stack(in_graph(Halves.of(k[:, None]), Halves.of(c[None])), -1),
    )
    found = cipher(tf.constant(signed(keys)), tf.constant(signed(counters))).numpy()
    expected = threefry2x32(halves(keys)[:, None], halves(counters)[None])
    np.testing.assert_array_equal(found, expected)  # 20,000 of them.
    for i, k in enumerate(halves(keys).tolist()):
        for j, c in enumerate(halves(counters).tolist()):
            assert host.threefry2x32(tuple(k), tuple(c)) == tuple(expected[i, j])


@pytest.mark.parametrize("mode", MODES)
def test_a_program_draws_what_the_host_draws_for_rows_and_sites(mode):
    rng = np.random.default_rng(6)
    keys = rng.integers(0, ALL, 40, np.uint64, True)
    rates = [When(rate=r, key=int(k)) for k, r in zip(keys, 20 * [0.3, 0.9], strict=1)]
    rows = tf.constant(np.stack([when.moment() for when in rates]))
    ids = np.arange(50)
    gate = in_mode(mode, is_injected)
    seen = 0
    for step, replica in ((0, 0), (1, 0), (0, 1), (77, 3), ((1 << 40) + 5, 1 << 20)):
        found = gate(rows, tf.constant(step, tf.int64), tf.constant(replica, tf.int64),
                     tf.constant(ids[None]))  # fmt: skip
        expected = [[w.injects(step, replica, int(i)) for i in ids] for w in rates]
        np.testing.assert_array_equal(found.numpy(), expected)
        # Once more from the definition, without the host's code.
        of_step = threefry2x32(halves(keys), halves(step))
        draw = threefry2x32(of_step[:, None], np.stack(
            [ids.astype(np.uint64), np.full(50, replica, np.uint64)], -1))  # fmt: skip
        number = draw[..., 1] << np.uint64(32) | draw[..., 0]
        limits = np.array([[w.limit] for w in rates], np.uint64)
        np.testing.assert_array_equal(found.numpy(), number <= limits)
        seen += found.numpy().sum()
    assert abs(seen / (5 * 40 * 50) - 0.6) < 0.02


@settings(max_examples=60, deadline=None)
@given(
    whens=st.lists(WHENS, min_size=3, max_size=3),
    every=st.integers(1, 7),
    first=st.integers(0, 100),
    step=st.integers(0, 200),
)
def test_rows_of_a_program_are_what_the_value_says(whens, every, first, step):
    whens = [whens[0], *(When(rate=w.rate, key=w.key, every=every) for w in whens[1:])]
    rows = np.stack([when.moment(first) for when in whens])
    sites = [3, 3, 4]
    found = _GATE(rows, step, 2, tf.constant(sites, tf.int64))
    expected = [w.injects(step, 2, s, first) for w, s in zip(whens, sites, strict=True)]
    assert found.numpy().tolist() == expected


@tf.function(reduce_retracing=True)
def _GATE(rows, step, replica, sites):
    return is_injected(rows, tf.cast(step, tf.int64), tf.cast(replica, tf.int64), sites)


def test_rows_of_zeros_are_injected_in_every_step():
    found = is_injected(tf.constant(moments(3)), *(tf.constant(n, tf.int64) for n in (
        9, 4)), tf.constant([-1, 0, 7], tf.int64))  # fmt: skip
    assert found.numpy().all() and found.shape == (3,)
    assert moments(3).shape == (3, len(MOMENT_FIELDS))


def test_a_limit_is_the_rate_to_2_to_the_minus_64():
    assert When(rate=1).limit == ALL and When(rate=0.5).limit == (1 << 63) - 1
    for rate in (1e-9, 1e-3, 0.1, 1 / 3, 0.999999999):
        exact = Fraction(rate) * (1 << 64)
        assert abs(When(rate=rate).limit + 1 - exact) <= Fraction(1, 2)
        assert When(rate=rate).limit + 1 > 1.8e10


def test_the_smallest_rate_compares_all_64_bits():
    limit = When(rate=1e-9).limit
    key, seldom = tf.constant([0], tf.int64), When(rate=1e-9).moment()[3]
    assert seldom == signed(ALL - limit)
    close = [0, 1, limit - 1, limit, limit + 1, limit + (1 << 32), limit << 1, ALL]
    draws = Halves.of(tf.constant(signed(close)))
    bound = Halves.of(tf.bitwise.invert(tf.constant(seldom)))
    assert draws.is_at_most(bound).numpy().tolist() == [d <= limit for d in close]
    assert not is_drawn(key, tf.constant([seldom]), *(tf.constant(0, tf.int64),) * 2,
                        tf.range(1000, dtype=tf.int64)).numpy().any()  # fmt: skip


@pytest.mark.parametrize("rate", [0.5, 0.05, 1e-3])
def test_shares_of_draws_are_the_rate(rate):
    n = 200_000
    found = is_drawn(
        tf.constant([[11]], tf.int64),
        tf.constant([[int(When(rate=rate).moment()[3])]]),
        tf.range(n, dtype=tf.int64)[:1] + 5,
        tf.constant(0, tf.int64),
        tf.range(n, dtype=tf.int64)[None],
    )
    share = float(tf.reduce_mean(tf.cast(found, tf.float64)))
    assert abs(share - rate) < 5 * math.sqrt(rate * (1 - rate) / n)


def test_every_number_of_a_draw_matters():
    base = 7, 100, 2, 5
    others = [(8, 100, 2, 5), (7, 101, 2, 5), (7, 100, 3, 5), (7, 100, 2, 6),
              (7, 100, 5, 2), (7 << 32, 100, 2, 5), (7, 100 << 32, 2, 5)]  # fmt: skip
    draws = {drawn(*numbers) for numbers in (base, *others)}
    assert len(draws) == 1 + len(others)


def test_a_draw_is_pinned_because_experiments_hang_on_it():
    assert drawn(7, 100, 2, 5) == 0x22B5A4F0AF5FA1C


def test_once_always_windows_and_every():
    def steps(when: When, count: int = 12) -> list[int]:
        return [k for k in range(count) if when.covers(k)]

    assert steps(ONCE) == [0] and ONCE.length == 1 and not ONCE.may_skip
    assert steps(ALWAYS) == [*range(12)] and ALWAYS.length == FOREVER
    assert not ALWAYS.may_skip and When(every=3).may_skip
    assert steps(When(every=5)) == [0, 5, 10] and When(every=5).length == FOREVER
    window = When(steps=((2, 3), (6, 8)))
    assert steps(window) == [2, 3, 6, 7, 8] and window.length == 9 and window.may_skip
    assert steps(When(steps=((2, 3), (6, 8)), every=3)) == [3, 6]
    assert When(steps=((2, 3), (7, 8)), every=3).length == 4
    assert not When(steps=((0, 3), (4, 8))).may_skip


@settings(max_examples=200, deadline=None)
@given(when=WHENS, first=st.integers(0, 1000), count=st.integers(0, 80))
def test_steps_of_injections_are_those_that_inject(when, first, count):
    expected = [s for s in range(first, first + count) if when.injects(s, 1, 9, first)]
    assert [*injected_steps(when, first, count, 9, 1)] == expected
    assert all(s - first < when.length for s in expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 0}, "when: rate: 0; expected a probability, 1e-09 to 1; correct it"),
        ({"rate": 2}, "when: rate: 2; expected a probability, 1e-09 to 1"),
        ({"rate": math.nan}, "when: rate: nan; expected a probability"),
        ({"rate": True}, "when: rate: True; expected a probability"),
        ({"rate": "1e-3"}, "when: rate: '1e-3'; expected a probability"),
        ({"rate": 9e-10}, "when: rate: 9e-10; expected a probability"),
        ({"every": 0}, "when: every: 0; expected a number of steps, 1 to"),
        ({"every": 1.5}, "when: every 1.5 is no integer"),
        ({"steps": ((5, 3),)}, "when: steps: '5-3'; expected 0 <= first <= last"),
        ({"steps": ((-1, 3),)}, "when: steps: '-1-3'; expected 0 <= first <= last"),
        (
            {"steps": ((0, 5), (5, 9))},
            "when: steps: '5-9'; expected a first step of more than 5, where the "
            "window before it ends; correct it",
        ),
        ({"steps": ((3,),)}, r"when: steps: \(3,\); expected a window \(first, last\)"),
        ({"steps": 9 * ((1, 2),)}, "expected at most 8"),
        (
            {"steps": ((1, 3),), "every": 4},
            "when: no step of 1-3 is a multiple of every 4; choose longer steps",
        ),
        ({"between": (2, 1)}, "when: between: '2 to 1'; expected low <= high"),
        ({"between": (math.nan, 1)}, "when: between: 'nan to 1'; expected low <= high"),
        ({"exponents": (1, 1)}, "when: exponents: .*; expected ascending, none twice"),
        ({"exponents": (2000,)}, "when: exponents"),
        ({"key": -1}, "when: key -0x1 is outside"),
    ],
)
def test_wrong_values_are_one_clear_line(fields, message):
    with pytest.raises(InputError, match=message) as problem:
        When(**fields)
    assert "\n" not in str(problem.value)


def test_a_moment_is_made_without_tensorflow():
    code = (
        "import sys; from tpufi.when import When; When(rate=1e-3).injects(1, 2, 3);"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
