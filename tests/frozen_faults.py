# SPDX-License-Identifier: Apache-2.0
"""Drawn faults and what the op of graph mode makes of them, as plain data.

This file and tests/frozen_training.py alone call tpufi for the frozen tests: after a
change of names their functions are adapted, and the data stay as they are.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tests import frozen_data
from tests.campaign_runs import CONFIG, SMALL
from tests.frozen_data import Case, hexadecimal, words_sha256
from tpufi.descriptor import read_record
from tpufi.element import element, from_words, to_words
from tpufi.fault import Fault
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.models import workload
from tpufi.ops import inject_fault
from tpufi.site_table import SiteTable
from tpufi.stale import holding
from tpufi.workload import Workload

# Fault models that were added later are not among the frozen ones.
MODELS = tuple(frozen_data.read(frozen_data.FOLDER, "faults")["models"])
SEED = 16  # With it the faults of the small workload have all models.
# In place of the default parameters, which hardly change small tensors.
PARAMETERS = {
    "FLIP_BITS": "3",
    "BURST": "4",
    "CONSTANT": "0.1",
    "ERROR_RATE": "0.001",
    "SYSTOLIC_OS": "8x4",
    "SYSTOLIC_WS": "8x4",
    "SYSTOLIC_IS": "8x4",
}


def _resnet18(dtype: str) -> Workload:
    return dataclasses.replace(workload("resnet18"), dtype=dtype)


# Name -> workload, images of a replica, weights of the sites, number of faults.
SOURCES = {
    "small": (SMALL, CONFIG.per_replica, "sites", 120),
    "resnet18": (_resnet18("float32"), 8, "elements", 35),
    "resnet18 in float16": (_resnet18("float16"), 8, "macs", 15),
    "resnet18 in bfloat16": (_resnet18("bfloat16"), 8, "sites", 15),
    "resnet18 in float64": (_resnet18("float64"), 8, "sites", 15),
}


def all_faults() -> dict:
    """Return the faults of all sources."""
    cases = []
    for source in SOURCES:
        table, faults = drawn(source)
        numbered = enumerate(faults)
        cases += [fault_case(source, n, table, fault) for n, fault in numbered]
    return {"models": MODELS, "cases": cases}


def drawn(source: str) -> tuple[SiteTable, list[Fault]]:
    """Draw the faults of one source with the sampler of campaigns."""
    injected, per_replica, weights, count = SOURCES[source]
    names = [f"{n}:{PARAMETERS[n]}" if n in PARAMETERS else n for n in MODELS]
    plan = SamplingPlan(
        equally([any_fault_model(name) for name in names]),
        site_weights=weights,
        epochs=(0, 3),
        steps=(1, 7),
        durations=(1, 3),
        replicas=(0, 1),
    )
    space = SiteSpace.of(injected, per_replica)
    sampler = Sampler(space, plan)
    return space.table, [sampler.draw(SEED, number) for number in range(count)]


def fault_case(source: str, number: int, table: SiteTable, fault: Fault) -> Case:
    """Return a fault and what the op of graph mode makes of a seeded tensor."""
    where = fault.elements
    case = {
        "of": source,
        "number": number,
        "model": fault.model,
        "site": fault.site,
        "dtype": fault.dtype,
        "shape": list(fault.shape),
        "replica": fault.replica,
        "epoch": fault.epoch,
        "step": fault.step,
        "duration": fault.duration,
        "start": where.start,
        "count": where.count,
        "block": where.block,
        "stride": where.stride,
        "confinement": None if fault.affected is None else list(fault.affected),
        "stale": fault.stale,
    }
    layout = element(fault.dtype)
    bits = frozen_data.tensor_bits(
        number, fault.shape, layout.bits, layout.exponent_bits, layout.mantissa_bits
    )
    if fault.stale:
        fault = holding(fault, bits[-where.count :].tolist())
    after, record = _injected(table, fault, from_words(bits, fault.dtype))
    places = frozen_data.positions(case)
    golden, faulty = bits[places], after[places]
    return case | {
        "tensor": words_sha256(after),
        "golden": hexadecimal(golden),
        "faulty": hexadecimal(faulty),
        "struck": words_sha256(golden, faulty),
        "record": recorded(record),
    }


def _injected(
    table: SiteTable, fault: Fault, flat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bits after the op, and its record."""
    row = fault.descriptor(table)

    @tf.function(autograph=False)
    def graph(x: tf.Tensor, replica: tf.Tensor, faults: tf.Tensor, words: tf.Tensor):
        return inject_fault(
            x,
            table.id_of(fault.site),
            replica,
            faults,
            words,
            confines=fault.affected is not None,
        )

    operands = (np.int64(fault.replica), row.faults, row.words)
    y, record = graph(*map(tf.constant, (flat.reshape(fault.shape), *operands)))
    return to_words(y.numpy().reshape(-1)), record.numpy()


def recorded(record: np.ndarray) -> list:
    """Return how many elements a record counts, its first golden bits, and a hash."""
    (row,) = read_record(record)
    return [row.count, *hexadecimal(row.golden), words_sha256(row.golden)]
