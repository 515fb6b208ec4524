# SPDX-License-Identifier: Apache-2.0
"""Which fault models a compiled program takes: each is tried."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tpufi.descriptor import CAPACITY, read_record
from tpufi.element import element
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.catalogue import NAMES, any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.layers.compiled_sites import CompiledContext
from tpufi.layers.context import FaultContext
from tpufi.ops import prepare_faults
from tpufi.site_table import SiteTable
from tpufi.stale import holding
from tpufi.workload import Workload

_SEED, _TRIES = 1, 200


def accepted_models(
    workload: Workload, sites: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Return the fault models that a compiled site of a workload takes.

    A fault of each model is drawn for a site of the program and injected as a compiled
    step does it, words drawn before the site, with XLA for this machine, into a tensor
    of that site for one example.

    Args:
      workload: what is trained.
      sites: names of the sites of the program; None: all.
    """
    space = SiteSpace.of(workload, 1)
    names = {site.name for site in space.table} if sites is None else set(sites)
    accepted = []
    for name in NAMES:
        fault = _drawn(name, space, names)
        if fault is not None and _injected(fault, space.table):
            accepted.append(name)
    return tuple(accepted)


def _drawn(name: str, space: SiteSpace, names: set[str]) -> Fault | None:
    """Return a fault of a model at a small site among some, or None."""
    plan = SamplingPlan(equally([any_fault_model(name)]), steps=(1, 1))
    try:
        sampler = Sampler(space, plan)
    except InputError:
        return None
    drawn = (sampler.draw(_SEED, number) for number in range(_TRIES))
    fitting = [fault for fault in drawn if fault.site in names]
    return min(fitting, key=lambda fault: np.prod(fault.shape), default=None)


def _injected(fault: Fault, table: SiteTable) -> bool:
    """Tell whether a compiled site injects a fault into all elements it names."""
    if fault.stale:
        fault = holding(fault, [0] * fault.elements.count)
    row = dataclasses.replace(fault, replica=0).descriptor(table)
    site = table[table.id_of(fault.site)]

    @tf.function(jit_compile=True, autograph=False)
    def compiled(x: tf.Tensor, faults: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        prepared = prepare_faults(faults, words, list(table), site.size, CAPACITY)
        context = FaultContext(table, tf.constant(0, tf.int64), faults, words)
        context = CompiledContext.of_replica(context, prepared)
        sites = context.layer(site.layer)
        sites.whole_pass(
            lambda own, x: own.inject(x, site.direction, site.operand, confines=True), x
        )
        (record,) = sites.records()
        return record

    x = np.zeros(fault.shape, element(fault.dtype).numpy)
    record = compiled(*map(tf.constant, (x, row.faults, row.words)))
    (found,) = read_record(record.numpy())
    return found.count == fault.elements.count
