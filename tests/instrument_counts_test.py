# SPDX-License-Identifier: Apache-2.0
"""Records of loops are exact, however often a fault is injected."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi.instrument.site_fault import SiteFault

SIZE, COUNT = 65_537, 65_535


@pytest.mark.parametrize("compiled", [False, True])
def test_the_injections_of_all_iterations_are_counted_exactly(compiled):
    def repeated(x, times):
        return tf.while_loop(
            lambda i, _: i < times, lambda i, x: (i + 1, tf.exp(x)), (0, x)
        )[1]

    fi = tpufi.instrument(repeated, sites=["Exp"], jit_compile=compiled)
    x, times = tf.zeros([SIZE]), tf.constant(300)
    (site,) = fi.armed(x, times).sites
    fault = SiteFault(site.id, range(COUNT), -1, (1,))
    (injection,) = fi.run([fault], x, times).injections
    assert injection.times == 300
    one = SiteFault(site.id, range(COUNT), -1, (1,), iterations=(299,))
    (injection,) = fi.run([one], x, times).injections
    assert injection.times == 1
    assert np.array_equal(injection.faulty, injection.golden ^ np.uint64(1))
