# SPDX-License-Identifier: Apache-2.0
"""Stale faults: reading one step earlier, injecting with what was read."""

import dataclasses

import numpy as np
import pytest

from tests.fault_reference import apply, faulty_indices
from tests.modes import assert_same_bits, random_bits
from tests.tiny_workload import TINY
from tpufi.element import to_words
from tpufi.errors import InputError
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.stale import holding, recording

SPACE = SiteSpace.of(TINY, 2)
PLAN = SamplingPlan(equally([any_fault_model("STALE")]), epochs=(1, 3), steps=(0, 9))
SAMPLER = Sampler(SPACE, PLAN)


@pytest.mark.parametrize("number", range(10))
def test_the_element_keeps_the_value_of_the_step_before(number):
    fault = SAMPLER.draw(1, number)
    rng = np.random.default_rng(number)
    before = random_bits(rng, fault.shape, fault.dtype)
    now = random_bits(rng, fault.shape, fault.dtype)
    read = recording(fault, 10)
    assert_same_bits(apply(read, before), before)
    injected = faulty_indices(read)
    bits = to_words(before).reshape(-1)[injected]
    after = apply(holding(fault, bits), now)
    expected = now.copy().reshape(-1)
    expected[injected] = before.reshape(-1)[injected]
    assert_same_bits(after, expected.reshape(now.shape))


@pytest.mark.parametrize(
    ("epoch", "step", "expected"),
    [(0, 1, (0, 0)), (2, 5, (2, 4)), (1, 0, (0, 9)), (0, 9, (0, 8))],
)
def test_the_step_before_may_lie_in_the_epoch_before(epoch, step, expected):
    fault = dataclasses.replace(SAMPLER.draw(1, 0), epoch=epoch, step=step, duration=3)
    read = recording(fault, 10)
    assert (read.epoch, read.step, read.duration) == (*expected, 1)
    assert not read.stale


def test_misuse_is_refused():
    fault = SAMPLER.draw(1, 0)
    flip = Sampler(SPACE, SamplingPlan(equally([any_fault_model("FLIP")]))).draw(1, 0)
    with pytest.raises(InputError, match="has no words yet; record the step"):
        fault.descriptor(SPACE.table)
    for function in (recording, holding):
        with pytest.raises(InputError, match="is not stale"):
            function(flip, 10 if function is recording else [0])
        with pytest.raises(InputError, match="name one replica"):
            function(dataclasses.replace(fault, replica=-1), 10)
    with pytest.raises(InputError, match="no step before it"):
        recording(dataclasses.replace(fault, epoch=0, step=0), 10)
    with pytest.raises(InputError, match="step 10 is not in an epoch of 10"):
        recording(dataclasses.replace(fault, step=10), 10)
    with pytest.raises(InputError, match="'2 words'; expected one for each"):
        holding(fault, [1, 2])
