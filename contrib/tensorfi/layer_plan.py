# SPDX-License-Identifier: Apache-2.0
"""Draws the faults of TensorFI2's configuration."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.contrib.tensorfi.layer_config import LayerConfig
from tpufi.element import ELEMENTS, to_words
from tpufi.errors import InputError
from tpufi.faults.draws import Draws
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.profile import Execution
from tpufi.instrument.selection import MOVERS
from tpufi.instrument.site_fault import SiteFault
from tpufi.instrument.weights import WeightFault, name_of


class LayerPlan:
    """Faults in weights, or in the outputs of layers.

    The output of a layer is the result of the last operation that computes in its
    scope, in the forward direction.

    Args:
      config: what the file says.
    """

    def __init__(self, config: LayerConfig):
        self.config = config

    def choose(self, sites: Sequence[GraphSite]) -> frozenset[int]:
        """Return the ids of the outputs of layers."""
        last: dict[str, int] = {}
        for site in sites:
            computes = "float" in site.dtype and site.op not in MOVERS
            if computes and site.direction == "forward" and not site.loops:
                last[site.layer] = site.id
        if not last:
            raise InputError(
                f"none of the program's {len(sites)} sites is the output of a layer"
            )
        return frozenset(last.values())

    def faults(
        self, run: int, executions: Sequence[Execution], golden: object = None
    ) -> list[SiteFault]:
        """Return the faults of run `run` in the outputs of layers."""
        del golden
        draws = Draws(self.config.seed, run)
        sizes = [(e, e.size, e.site.dtype, e.site.name) for e in executions]
        return [
            SiteFault(execution.site.id, *change, iterations=execution.iterations)
            for execution, change in self._changes(draws, sizes)
        ]

    def weight_faults(
        self, run: int, variables: Sequence[tf.Variable]
    ) -> list[WeightFault]:
        """Return the faults of run `run` in trainable variables."""
        draws = Draws(self.config.seed, run)
        sizes = [
            (number, int(np.prod(v.shape)), v.dtype.name, name_of(v))
            for number, v in enumerate(variables)
            if v.trainable
        ]
        return [
            WeightFault(number, *change)
            for number, change in self._changes(draws, sizes)
        ]

    def _changes(self, draws: Draws, tensors: list) -> list:
        config = self.config
        if not tensors:
            raise InputError(f"Target {config.target}: the program has none")
        # TensorFI2 spares the last one, but for weights in mode single.
        left_out = config.legacy and (config.mode, config.target) != (
            "single", "layer_states",
        )  # fmt: skip
        if left_out and len(tensors) > 1:
            tensors = tensors[:-1]
        if config.mode == "single":
            tensors = [tensors[draws.below(len(tensors), "tensor")]]
        amount, result = config.amount, []
        for number, (key, size, dtype, name) in enumerate(tensors):
            count = amount * size // 100 if config.kind == "zeros" else amount
            if config.legacy and config.kind == "zeros":
                amount = count
            if count > size:
                raise InputError(
                    f"Amount: {name} has {size} elements, fewer than {count}; lower it"
                )
            if count:
                what = f"tensor {number}"
                elements = tuple(sorted(draws.distinct(size, count, what)))
                result.append(
                    (key, (elements, *self._value(draws, dtype, count, what)))
                )
        return result

    def _value(self, draws: Draws, dtype: str, count: int, what: str):
        config, layout = self.config, ELEMENTS[dtype]
        if config.kind == "zeros":
            return 0, (0,)
        if config.kind == "random":
            digits = layout.mantissa_bits + 1
            drawn = draws.integers(1 << digits, count, f"{what} value")
            values = np.array(drawn, np.float64) / (1 << digits)
            return 0, tuple(to_words(values.astype(layout.numpy)).tolist())
        if config.bit is None:
            bits = draws.integers(layout.bits, count, f"{what} bit")
        elif config.bit >= layout.bits:
            raise InputError(
                f"Bit: {config.bit} is outside [0, {layout.bits}) of {dtype}; choose "
                "one inside"
            )
        else:
            bits = [config.bit] * count
        return -1, tuple(1 << bit for bit in bits)
