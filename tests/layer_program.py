# SPDX-License-Identifier: Apache-2.0
"""One layer as a program: values and a fault in, results and a record out."""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests.layer_cases import Case, Values
from tests.memory import release_programs
from tests.modes import in_mode
from tpufi.descriptor import (
    CAPACITY,
    Descriptor,
    Injected,
    disarmed,
    read_record,
    record_shape,
)
from tpufi.layers import FaultContext, Run
from tpufi.layers.compiled_sites import CompiledContext
from tpufi.layers.context import CLEAN
from tpufi.ops import prepare_faults
from tpufi.site_table import SiteTable


class Outcome(NamedTuple):
    """What a layer made of its values.

    Fields:
      results: by name: `output`, `gradient/input`, `gradient/W` of each weight,
        `statistics/S` of each statistic.
      injected: what the fault did.
    """

    results: dict[str, np.ndarray]
    injected: Injected


class LayerProgram:
    """The forward and backward pass of one layer; one trace for all faults."""

    def __init__(self, case: Case, dtype: str, mode: str, with_sites: bool = True):
        self.case = case
        self.table = SiteTable(case.sites(dtype))
        self.traces = 0
        self._with_sites, self._mode = with_sites, mode
        self._run = in_mode(mode, self._traced)

    def __call__(
        self, values: Values, fault: Descriptor | None = None, replica: int = 0
    ) -> Outcome:
        fault = fault or disarmed()
        results, record = self._run(
            tf.constant(values.x),
            {name: tf.constant(w) for name, w in values.parameters.items()},
            {name: tf.constant(s) for name, s in values.statistics.items()},
            tf.constant(values.dy),
            tf.constant(values.seed),
            tf.constant(replica, tf.int64),
            tf.constant(fault.faults),
            tf.constant(fault.words),
        )
        arrays = {name: tensor.numpy() for name, tensor in results.items()}
        (injected,) = read_record(record.numpy())
        return Outcome(arrays, injected)

    def _traced(
        self,
        x: tf.Tensor,
        parameters: dict[str, tf.Tensor],
        statistics: dict[str, tf.Tensor],
        dy: tf.Tensor,
        seed: tf.Tensor,
        replica: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        self.traces += 1
        context = FaultContext(self.table, replica, faults, words)
        if self._mode == "xla":
            largest = max(site.size for site in self.table)
            sites = list(self.table)
            prepared = prepare_faults(faults, words, sites, largest, CAPACITY)
            context = CompiledContext.of_replica(context, prepared)
        if not self._with_sites:
            context = CLEAN
        probe = context.probe()
        watched = [] if probe is None else [probe]
        run = Run(parameters, statistics, True, context, probe, seed)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([x, *parameters.values(), *watched])
            y = self.case.layer(x, run)
        wanted = [x, *parameters.values()]
        dx, *gradients = tape.gradient(y, [*wanted, *watched], dy)
        none = tf.zeros(record_shape(words))
        record = run.probe + gradients.pop() if watched else none
        results = {"output": y, "gradient/input": dx}
        for name, gradient in zip(parameters, gradients, strict=True):
            results[f"gradient/{name}"] = gradient
        for name, statistic in run.new_statistics.items():
            results[f"statistics/{name}"] = statistic
        return results, record


# One that XLA compiled takes 27 MiB.
_AT_ONCE = 16


@functools.lru_cache(_AT_ONCE)
def layer_program(
    case: Case, dtype: str, mode: str, with_sites: bool = True
) -> LayerProgram:
    """Return the program, traced once for tests that follow one another."""
    if layer_program.cache_info().misses % _AT_ONCE == 0:
        release_programs()
    return LayerProgram(case, dtype, mode, with_sites)
