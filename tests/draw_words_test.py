# SPDX-License-Identifier: Apache-2.0
"""Words drawn before the sites of a program are those that a site would draw."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.fault_rules_test import normal_bits, random_row
from tests.inject_fault_test import REPLICA, SITE
from tests.modes import MODES, assert_same_bits, in_mode
from tests.rows import set_row
from tpufi import descriptor
from tpufi.descriptor import DRAWN, FIELDS, OPERATIONS
from tpufi.ops import draw_words, inject_fault
from tpufi.site_table import Site

DTYPES = ("float32", "bfloat16", "float64", "float8_e4m3fn", "int8")
SHAPE = (3, 7, 4)
SITES = tuple(
    Site(f"l{i}", "forward", "output", SHAPE, dtype) for i, dtype in enumerate(DTYPES)
) + (Site("last", "forward", "output", SHAPE, "float32"),)


def both(mode: str, site: int):
    """Return what a site makes of faults, and of the same with their words drawn."""

    def injected(x, faults, words):
        plain = inject_fault(x, site, REPLICA, faults, words)
        drawn = draw_words(faults, words, SITES, 84)
        alike = inject_fault(x, site, REPLICA, *drawn, operations=DRAWN, noted=5)
        return plain, alike, drawn

    return in_mode(mode, injected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_site_without_draws_makes_the_same_bits_of_drawn_words(dtype, mode):
    rng = np.random.default_rng(3)
    site = DTYPES.index(dtype)
    function = both(mode, site)
    for operation, _ in itertools.product(OPERATIONS, range(6)):
        x = normal_bits(rng, SHAPE, dtype)
        d = random_row(rng, operation, x.size, dtype)
        set_row(d, 0, operation=operation, site=site)
        given = tf.constant(d.faults), tf.constant(d.words)
        (y, record), (other, noted), (faults, _) = function(tf.constant(x), *given)
        assert_same_bits(other.numpy(), y.numpy())
        assert np.array_equal(noted.numpy(), record.numpy())
        left = OPERATIONS[int(faults[0, FIELDS.index("operation")])]
        assert left in DRAWN


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "fields",
    [
        {"site": -1},
        {"site": 99},
        {"start": 80},
        {"count": 200},
        {"words": 3},
        {"operation": "flip"},
    ],
    ids=str,
)
def test_a_row_that_draws_nothing_or_does_not_fit_stays_as_it_is(fields, mode):
    d = descriptor.fault_row(
        site=SITE, replica=REPLICA, start=0, count=7, operation="random", words=[5]
    )
    set_row(d, 0, **fields)
    if "operation" not in fields:
        set_row(d, 0, operation="random")
    function = in_mode(mode, lambda f, w: draw_words(f, w, SITES, 84))
    faults, words = function(tf.constant(d.faults), tf.constant(d.words))
    assert np.array_equal(faults.numpy(), d.faults)
    assert np.array_equal(words.numpy()[:, :64], d.words)
    assert not words.numpy()[:, 64:].any()
