# SPDX-License-Identifier: Apache-2.0
"""Drawn faults of every model change the tensors of compiled sites as numpy says."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.fault_reference import apply
from tests.frozen_faults import PARAMETERS
from tests.modes import assert_same_bits, in_mode
from tests.tiny_workload import TINY
from tpufi.descriptor import FIELDS, read_record
from tpufi.element import to_words
from tpufi.fault import Fault
from tpufi.faults.catalogue import FAULT_MODELS, NAMES, any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.ops import inject_fault
from tpufi.stale import holding

REPLICA = 1
SPACE = SiteSpace.of(TINY, 1)
MODELS = [
    any_fault_model(f"{n}:{PARAMETERS[n]}" if n in PARAMETERS else n) for n in NAMES
]


@functools.cache
def compiled(shape: tuple[int, ...], dtype: str):
    """Return the compiled program of a site with the id 0."""

    def program(x, replica, faults, words):
        return inject_fault(x, 0, replica, faults, words, confines=True)

    return in_mode("xla", program)


def draws(space: SiteSpace, models, sites: tuple[str, ...] = ()) -> Sampler:
    plan = SamplingPlan(
        equally(models), "sites", sites, steps=(1, 4), replicas=(0, REPLICA)
    )
    return Sampler(space, plan)


def check(space: SiteSpace, fault: Fault, number: int) -> None:
    """Inject a fault into a tensor of its site; compare it and the record by bits."""
    rng = np.random.default_rng(number)
    x = rng.standard_normal(fault.shape).astype(fault.dtype)
    if fault.stale:
        fault = holding(fault, [number] * fault.elements.count)
    d = fault.descriptor(space.table)
    faults = d.faults.copy()
    faults[:, FIELDS.index("site")] = 0
    run = compiled(fault.shape, fault.dtype)
    y, record = run(tf.constant(x), np.int64(fault.replica), faults, d.words)
    assert_same_bits(y.numpy(), apply(fault, x))
    (injected,) = read_record(record.numpy())
    assert injected.count == fault.elements.count, fault
    golden = to_words(x).reshape(-1)[fault.elements.indices()]
    assert injected.golden.tolist() == golden[:64].tolist()


def test_every_model_is_injected_into_every_site_that_it_fits():
    fitted = set()
    for site in SPACE.table:
        operation = SPACE.operation_of(site)
        models = [m for m in MODELS if m.misfit(site, operation) is None]
        fitted |= {model.name.partition(":")[0] for model in models}
        for number, model in enumerate(models):
            fault = draws(SPACE, [model], (site.name,)).draw(41, number)
            assert (fault.site, fault.model) == (site.name, model.name)
            check(SPACE, fault, number)
    assert fitted == set(NAMES)


@pytest.mark.parametrize("name", FAULT_MODELS)
def test_200_faults_of_each_published_model_are_injected_as_numpy_says(name):
    sampler = draws(SPACE, [FAULT_MODELS[name]])
    for number in range(200):
        check(SPACE, sampler.draw(42, number), number)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_faults_of_all_models_are_injected_into_other_types_as_numpy_says(dtype):
    space = SiteSpace.of(dataclasses.replace(TINY, dtype=dtype), 1)
    # Few sites, of all operands: each is compiled once.
    sites = ("block_conv2/*", "block_conv1/kernel/update/output")
    sampler = draws(space, MODELS, sites)
    for number in range(300):
        check(space, sampler.draw(43, number), number)
