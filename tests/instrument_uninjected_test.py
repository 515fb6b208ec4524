# SPDX-License-Identifier: Apache-2.0
"""A fault that is not injected is warned of."""

import warnings

import pytest
import tensorflow as tf

import tpufi
from tpufi.instrument import SiteFault, flip
from tpufi.instrument.critical_bits import critical_bits

X = tf.constant([1.0, 2.0])


@tf.function
def program(x, taken):
    def row(value):
        return tf.cond(taken, lambda: tf.exp(value), lambda: -value)

    return tf.map_fn(row, x)


@pytest.fixture
def fi():
    return tpufi.instrument(program, sites=["Exp", "Neg"])


def site_of(fi, op: str) -> int:
    (site,) = [s for s in fi.armed(X, tf.constant(True)).sites if s.op == op]
    return site.id


def test_a_run_warns_of_a_site_that_was_not_executed(fi):
    where = {"iterations": (1,)}
    taken = tf.constant(True)
    told = r"site \d+, .*Neg:0: the fault in iterations \(1,\) \(context \d+\) was not"
    with pytest.warns(UserWarning, match=told) as caught:
        run = fi.run([flip(site_of(fi, "Neg"), 0, 3, **where)], X, taken)
    assert [s.times for s in run.injections] == [0]
    assert caught[0].filename == __file__ and "\n" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fi.run([flip(site_of(fi, "Exp"), 0, 3, **where)], X, taken)


@pytest.mark.parametrize("graph", [False, True])
def test_a_block_warns_of_a_fault_that_no_call_met(fi, graph):
    user = tf.function(lambda x, taken: fi(x, taken)) if graph else fi
    fault = flip(site_of(fi, "Neg"), 0, 3)
    with pytest.warns(UserWarning, match="the site was not executed there") as caught:
        with fi.injected(fault):
            user(X, tf.constant(True))
            user(X, tf.constant(True))
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fi.injected(fault):
            user(X, tf.constant(True))
            user(X, tf.constant(False))
    with pytest.warns(UserWarning, match="the program was not called"):
        with fi.injected(fault):
            pass


def test_rows_of_one_fault_are_one(fi):
    exp = site_of(fi, "Exp")
    two = tpufi.instrument(program, sites=["Exp"], replicas=2)
    fault = SiteFault(exp, [0], -1, [1], iterations=(0,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = two.run([fault], X, tf.constant(True))
    assert [s.times for s in run.injections] == [1, 0]


@pytest.mark.filterwarnings("ignore:.*was not injected")
def test_bits_of_what_is_not_executed_are_refused(fi):
    where = {"site": site_of(fi, "Neg"), "elements": [0], "iterations": (0,)}
    with pytest.raises(tpufi.InputError, match=r"0 executions in iterations \(0,\)"):
        critical_bits(fi, (X, tf.constant(True)), bool, **where)
