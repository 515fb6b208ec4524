# SPDX-License-Identifier: Apache-2.0
"""What holds for every instrumented program, whatever its kind."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.modes import assert_same_bits
from tpufi.element import ELEMENTS, to_words
from tpufi.instrument import Instrumented, SiteFault, flip


def arrays(structure) -> list[np.ndarray]:
    """Return the tensors of a structure as arrays."""
    return [t.numpy() for t in tf.nest.flatten(structure) if tf.is_tensor(t)]


def assert_same(actual, expected) -> None:
    """Compare two structures of tensors bit by bit."""
    actual, expected = arrays(actual), arrays(expected)
    assert len(actual) == len(expected) > 0
    for a, e in zip(actual, expected, strict=True):
        assert_same_bits(a, e)


def check_off(fi: Instrumented, program: Callable, *args) -> None:
    """Off, and armed without a fault, the bits are the program's own."""
    own = program(*args)
    assert_same(fi(*args), own)
    golden = fi.run((), *args)
    assert_same(golden.outputs, own)
    assert golden.injections == ()


def check_flip(fi: Instrumented, site, element: int, bit: int, *args) -> None:
    """One flip is injected once, and its record says what a flip does."""
    where = {"iterations": (0,) * site.loops} if site.loops else {}
    run = fi.run([flip(site.id, element, bit, **where)], *args)
    (injection,) = run.injections
    assert injection.site == site
    assert injection.times == 1, site.name
    assert injection.elements.tolist() == [element]
    assert (injection.golden ^ injection.faulty).tolist() == [1 << bit]


def check_exposed(golden, faulty, injection) -> None:
    """The faulty tensor, which the program returns, differs where the log says."""
    golden, faulty = (to_words(t.numpy()).reshape(-1) for t in (golden, faulty))
    assert np.flatnonzero(golden != faulty).tolist() == injection.elements.tolist()
    assert golden[injection.elements].tolist() == injection.golden.tolist()
    assert faulty[injection.elements].tolist() == injection.faulty.tolist()


def spread(sites: tuple, count: int) -> tuple:
    """Return at most `count` sites, evenly from all of them."""
    return sites[:: max(1, len(sites) // count)]


def many_faults(fi: Instrumented, count: int, *args) -> list[SiteFault]:
    """Return single flips over all sites, elements and bits."""
    sites = fi.armed(*args).sites
    chosen = [sites[i * 7919 % len(sites)] for i in range(count)]
    return [
        flip(s.id, i * 31 % s.size, i % ELEMENTS[s.dtype].bits)
        for i, s in enumerate(chosen)
    ]
