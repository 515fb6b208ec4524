# SPDX-License-Identifier: Apache-2.0
"""Drawn faults do through the compiled op what the host says."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.chi_square import assert_distributed
from tests.fault_reference import apply, faulty_indices
from tests.modes import assert_same_bits, in_mode, random_bits
from tests.tiny_workload import TINY
from tpufi import descriptor
from tpufi.element import to_words
from tpufi.faults.catalogue import NAMES, any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.ops import inject_fault
from tpufi.stale import holding

TYPES = ["float32", "float64", "bfloat16", "float16"]


def sampler(dtype, *names, per_replica=2):
    space = SiteSpace.of(dataclasses.replace(TINY, dtype=dtype), per_replica)
    models = equally([any_fault_model(name) for name in names])
    return space, Sampler(space, SamplingPlan(models, steps=(1, 4)))


def inject(fault, table, x, mode="eager"):
    d = fault.descriptor(table)
    site = table.id_of(fault.site)

    def program(x, replica, faults, words):
        return inject_fault(x, site, replica, faults, words, confines=True)

    replica = tf.constant(max(fault.replica, 0), tf.int64)
    y, record = in_mode(mode, program)(tf.constant(x), replica, d.faults, d.words)
    (injected,) = descriptor.read_record(record.numpy())
    return y.numpy(), injected


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_drawn_fault_is_injected_as_the_host_says(name, dtype):
    space, draws = sampler(dtype, name)
    for number in range(4):
        fault = draws.draw(31, number)
        rng = np.random.default_rng(number)
        x = rng.normal(size=fault.shape).astype(random_bits(rng, (1,), dtype).dtype)
        if fault.stale:
            fault = holding(fault, [number] * fault.elements.count)
        y, injected = inject(fault, space.table, x)
        assert injected.count == fault.elements.count
        assert_same_bits(y, apply(fault, x))


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("name", ["RD_CORRECT_GLB", "ERROR_RATE:0.01", "COLUMN_RD"])
def test_what_the_device_draws_is_the_same_in_all_modes(name, mode):
    space, draws = sampler("float32", name)
    fault = draws.draw(32, 0)
    x = np.random.default_rng(0).normal(size=fault.shape).astype(np.float32)
    eager, _ = inject(fault, space.table, x)
    other, _ = inject(fault, space.table, x, mode)
    assert_same_bits(other, eager)


def test_an_error_rate_flips_every_bit_with_its_probability():
    space, draws = sampler("float32", "ERROR_RATE:0.125", per_replica=16)
    fault = next(
        f for f in (draws.draw(33, i) for i in range(1000)) if f.elements.count > 2000
    )
    x = np.zeros(fault.shape, np.float32)
    y, _ = inject(fault, space.table, x)
    words = to_words(y).reshape(-1)
    flipped = [
        (bit, bool(on)) for bit in range(32) for on in (words >> np.uint64(bit)) & 1
    ]
    weights = {(b, on): 1 if on else 7 for b in range(32) for on in (True, False)}
    assert_distributed(flipped, weights)


def test_copies_of_the_device_come_from_uniform_places():
    space, draws = sampler("float32", "N64_INPUT_GLB", per_replica=1)
    sources = []
    fault = next(
        f
        for f in (draws.draw(34, i) for i in range(2000))
        if f.operation == "copy_random" and 64 < np.prod(f.shape) <= 256
    )
    size = int(np.prod(fault.shape))
    x = np.arange(size, dtype=np.float32).reshape(fault.shape)
    for key in range(60):
        changed = dataclasses.replace(fault, words=(key << 32 | key,))
        y, _ = inject(changed, space.table, x)
        sources += y.reshape(-1)[faulty_indices(fault)].astype(int).tolist()
    assert_distributed(sources, dict.fromkeys(range(size), 1))
