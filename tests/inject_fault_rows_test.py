# SPDX-License-Identifier: Apache-2.0
"""What the rows of a descriptor mean: order, sites and replicas, repeat, void rows."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inject_fault_test import REPLICA, SITE, random_descriptor, run, site
from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tests.rows import changing, set_row
from tpufi import descriptor
from tpufi.descriptor import EVERY_REPLICA
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.ops import inject_fault

INJECTED = [(SITE, REPLICA), (SITE, EVERY_REPLICA)]
SPARING = [(SITE, REPLICA + 1), (SITE, 0), (SITE, -2), (SITE + 1, EVERY_REPLICA),
           (-1, EVERY_REPLICA), (SITE + (1 << 32), EVERY_REPLICA)]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_rows_apply_in_order_and_each_records_what_it_found(mode):
    x = np.arange(1, 7, dtype=np.int32)
    d = descriptor.disarmed(3, 2)
    everywhere = {"site": SITE, "replica": -1}
    # Elements 1 and 2 become 70 and 80, elements 2 and 3 are flipped by 1, element 2
    # becomes 90.
    set_row(d, 0, **everywhere, start=1, count=2, operation="replace", words=2)
    set_row(d, 1, **everywhere, start=2, count=2, operation="flip", words=1)
    set_row(d, 2, **everywhere, start=2, count=1, operation="replace", words=1)
    d.words[:] = [(70, 80), (1, 0), (90, 0)]
    y, injected = run(site(mode), x, d)
    assert y.tolist() == [1, 70, 90, 4 ^ 1, 5, 6]
    assert [s.golden.tolist() for s in injected] == [[2, 3], [80, 4], [80 ^ 1]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("at", "replica"), INJECTED + SPARING)
def test_only_the_named_site_and_replica_are_injected(at, replica, mode):
    named = (at, replica) in INJECTED
    x = np.arange(8, dtype=np.float32)
    d = changing(at, replica, 2, 3, keep=-1, word=1 << 31)
    y, (injected,) = run(site(mode), x, d)
    expected = np.array([0, 1, -2, -3, -4, 5, 6, 7] if named else x, np.float32)
    assert_same_bits(y, expected)
    assert injected.count == (3 if named else 0)
    assert injected.golden.tolist() == (to_words(x)[2:5].tolist() if named else [])


@pytest.mark.parametrize("mode", MODES)
def test_one_word_serves_more_elements_than_the_row_has_words(mode):
    x = np.arange(1000, dtype=np.float64).reshape(10, 100)
    d = changing(SITE, REPLICA, 1, 998, keep=-1, word=1 << 63, capacity=4)
    y, (injected,) = run(site(mode), x, d)
    want = x.copy().reshape(-1)
    want[1:999] *= -1
    assert_same_bits(y, want.reshape(x.shape))
    assert injected.count == 998
    assert from_words(injected.golden, "float64").tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ELEMENTS)
def test_a_disarmed_site_is_the_identity_with_an_empty_record(dtype, mode):
    function, rng = site(mode), np.random.default_rng(3)
    x = random_bits(rng, (3, 7), dtype)
    for rows, capacity in ((1, 4), (2, 1)):
        d = descriptor.disarmed(rows, capacity)
        y, record = function(
            tf.constant(x), tf.constant(d.faults), tf.constant(d.words)
        )
        assert_same_bits(y.numpy(), x)
        assert record.shape == (rows, 4, 1 + capacity) and not record.numpy().any()


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_thousand_descriptors_need_one_trace(mode):
    traces = []

    def traced(x, faults, words):
        traces.append(1)
        return inject_fault(x, SITE, REPLICA, faults, words)

    function, rng = in_mode(mode, traced), np.random.default_rng(4)
    x = random_bits(rng, (4, 6), "float32")
    for _ in range(1000):
        run(function, x, random_descriptor(rng, x.size, 2, 4))
    assert len(traces) == 1


def test_neither_a_variable_nor_a_value_that_is_used_again_is_overwritten():
    variable = tf.Variable([1.0, 2.0, 3.0])
    d = changing(SITE, REPLICA, 0, 3, keep=0, word=0)
    faults, words = tf.constant(d.faults), tf.constant(d.words)

    @tf.function(autograph=False)
    def both():
        hidden = variable * 2.0
        injected, _ = inject_fault(hidden, SITE, REPLICA, faults, words)
        inject_fault(variable, SITE, REPLICA, faults, words)
        return injected, hidden

    injected, hidden = both()
    inject_fault(variable, SITE, REPLICA, faults, words)
    assert injected.numpy().tolist() == [0, 0, 0]
    assert hidden.numpy().tolist() == [2, 4, 6]
    assert variable.numpy().tolist() == [1, 2, 3]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_of_more_elements_than_words_is_an_error_or_void(mode):
    x = np.arange(10, dtype=np.float32)
    d = descriptor.disarmed(2, 3)
    everywhere = {"site": SITE, "replica": -1, "operation": "replace"}
    set_row(d, 0, **everywhere, start=2, count=4, words=4)
    set_row(d, 1, **everywhere, start=9, count=1, words=1)
    if mode != "xla":
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="4 of at most 3 words"
        ):
            run(site(mode), x, d)
        return
    y, injected = run(site(mode), x, d)
    assert y.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]
    assert [s.count for s in injected] == [0, 1]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_of_count_zero_injects_nothing_wherever_it_starts(mode):
    x = np.arange(10, dtype=np.float32)
    function = site(mode)
    for start in (0, 10, -1, (1 << 63) - 1, -(1 << 63)):
        d = changing(SITE, REPLICA, start, 0, keep=0, word=1, capacity=2)
        y, (injected,) = run(function, x, d)
        assert_same_bits(y, x)
        assert injected.count == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_descriptor_without_rows_is_the_identity(mode):
    x = np.arange(10, dtype=np.float32)
    y, injected = run(site(mode), x, descriptor.disarmed(0, 4))
    assert_same_bits(y, x)
    assert injected == ()
