# SPDX-License-Identifier: Apache-2.0
"""A site of a compiled program makes of prepared faults what any site makes of them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.fault_rules_test import normal_bits, random_row
from tests.inject_fault_test import REPLICA, SITE
from tests.modes import assert_same_bits
from tests.rows import set_row
from tpufi import descriptor
from tpufi.descriptor import OPERATIONS, read_record
from tpufi.layers.seen import SiteKinds
from tpufi.ops import Planes, inject_fault, inject_prepared, prepare_faults
from tpufi.site_table import Site

DTYPES = ("float32", "bfloat16", "float64", "float8_e4m3fn", "int8")
SHAPE = (3, 7, 4)
SITES = tuple(
    Site(f"l{i}", "forward", "output", SHAPE, dtype) for i, dtype in enumerate(DTYPES)
) + (Site("last", "forward", "output", SHAPE, "float32"),)
NOTED = 5


def compiled(site: int, perm=(0, 1, 2), confines=False):
    """Return what a site of a compiled program makes of faults."""

    @tf.function(jit_compile=True, autograph=False)
    def program(x, faults, words):
        prepared = prepare_faults(faults, words, SITES, 84, NOTED)
        view = tuple(np.array(x.shape)[list(perm)])
        kinds = SiteKinds((Site("l", "forward", "output", view, x.dtype.name),), 1)
        (flat,) = prepared.planes(x.shape.num_elements(), kinds.wide)

        def injected(flat):
            planes = Planes(
                *(
                    tf.transpose(tf.reshape(p, view), np.argsort(perm))
                    if p.shape[0] > 1
                    else p
                    for p in flat
                )
            )
            fields = prepared.rows[0]
            y, *halves = inject_prepared(x, site, fields, planes, confines=confines)
            seen = [tf.transpose(half, perm) for half in halves[: 1 + kinds.wide]]
            return y, kinds.words([[seen]])

        _, (words,) = injected(flat)
        copied = kinds.copied(flat, words)
        which = prepared.copies[0]
        y, golden = injected(
            tf.nest.map_structure(lambda a, b: tf.where(which, a, b), copied, flat)
        )
        named = prepared.naming(site, confines)[:, None, None]
        return y, tf.where(named, prepared.record(golden, [flat]), 0.0)

    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_prepared_fault_makes_the_bits_and_the_record_of_the_fault(dtype):
    rng = np.random.default_rng(3)
    site = DTYPES.index(dtype)
    function = compiled(site)
    for operation, _ in itertools.product(OPERATIONS, range(6)):
        x = normal_bits(rng, SHAPE, dtype)
        d = random_row(rng, operation, x.size, dtype)
        set_row(d, 0, operation=operation, site=site)
        given = tf.constant(d.faults), tf.constant(d.words)
        y, record = inject_fault(tf.constant(x), site, REPLICA, *given, noted=NOTED)
        other, noted = function(tf.constant(x), *given)
        assert_same_bits(other.numpy(), y.numpy())
        assert np.array_equal(noted.numpy(), record.numpy())
        assert read_record(noted.numpy())[0].count == d.positions().size


@pytest.mark.parametrize("perm", list(itertools.permutations(range(3))), ids=str)
def test_positions_of_a_prepared_fault_are_those_of_the_view(perm):
    rng = np.random.default_rng(4)
    shape = tuple(np.array(SHAPE)[np.argsort(perm)])
    x = normal_bits(rng, shape, "float32")
    d = random_row(rng, "flip", x.size, "float32")
    set_row(d, 0, site=0)
    given = tf.constant(d.faults), tf.constant(d.words)
    y, _ = inject_fault(tf.constant(x), 0, REPLICA, *given, perm=perm)
    other, _ = compiled(0, perm=perm)(tf.constant(x), *given)
    assert_same_bits(other.numpy(), y.numpy())


@pytest.mark.parametrize("confines", [False, True])
def test_a_site_that_heeds_no_reach_takes_no_confined_fault(confines):
    d = descriptor.fault_row(
        site=SITE, replica=REPLICA, start=0, count=7, operation="flip", words=[5]
    )
    set_row(d, 0, reach_count=1, reach_stride=1)
    x = tf.zeros(SHAPE)
    given = tf.constant(d.faults), tf.constant(d.words)
    _, record = compiled(SITE, confines=confines)(x, *given)
    assert read_record(record.numpy())[0].count == (7 if confines else 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"site": -1},
        {"site": 99},
        {"start": 80},
        {"count": 200},
        {"words": 3},
        {"operation": "add", "words": 0},
        {"operation": "copy", "words": 1},
    ],
    ids=str,
)
def test_a_fault_that_does_not_fit_its_site_changes_nothing(fields):
    d = descriptor.fault_row(
        site=SITE, replica=REPLICA, start=0, count=7, operation="random", words=[500]
    )
    set_row(d, 0, **fields)
    x = tf.ones(SHAPE)
    y, record = compiled(SITE)(x, tf.constant(d.faults), tf.constant(d.words))
    assert_same_bits(y.numpy(), x.numpy())
    assert not record.numpy().any()
