# SPDX-License-Identifier: Apache-2.0
"""TensorFI2's configuration, and the faults that it draws."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.contrib.tensorfi.config import tolerated
from tpufi.element import ELEMENTS, to_words
from tpufi.errors import InputError
from tpufi.faults.draws import Draws
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.profile import Execution
from tpufi.instrument.selection import MOVERS
from tpufi.instrument.site_fault import SiteFault
from tpufi.instrument.weights import WeightFault, name_of
from tpufi.yaml_reader import Node

TARGETS = ("layer_states", "layer_outputs")
MODES = ("single", "multiple")
TYPES = ("zeros", "random", "bitflips")
ANY_BIT = "N"


@dataclasses.dataclass(frozen=True)
class LayerConfig:
    """Faults in weights or in outputs of layers; the fields are those of the file.

    Args:
      target: `layer_states` (weights) or `layer_outputs`.
      mode: `single` (one of them) or `multiple` (all).
      kind: `zeros`, `random` (numbers of [0, 1)) or `bitflips`.
      amount: elements of each faulty tensor; for `zeros` percent of them.
      bit: the flipped bit, 0 the least significant; None draws it for each element.
      seed: of all draws.
      legacy: whether the last layer or variable is left out, as in TensorFI2, and the
        percentage of `zeros` becomes the count of the first tensor after it.
    """

    target: str
    mode: str
    kind: str
    amount: int
    bit: int | None = None
    seed: int = 0
    legacy: bool = False


def layer_config(tree: Node, legacy: bool | None = None) -> LayerConfig:
    """Return the configuration that a tree describes.

    Args:
      tree: see `tpufi.contrib.tensorfi.config.read_config`.
      legacy: overrides the file's own `legacy`.

    Raises:
      InputError: a key or value is missing, unknown or outside its range.
    """
    tree, legacy = tolerated(tree, KEYS, legacy)
    values = tree.read(_TYPES, ("Target", "Mode", "Type", "Amount"))
    kind, bit = values["Type"], values.get("Bit")
    if kind == "bitflips" and bit is None:
        raise tree.lacks("Bit", "a bit, or N for any")
    if kind != "bitflips" and bit is not None and not legacy:
        raise InputError(
            f"{bit.where}: Bit is for Type bitflips; remove it or change Type"
        )
    drawn = kind != "bitflips" or bit.text("N or a bit") == ANY_BIT
    percent = kind == "zeros"
    return LayerConfig(
        values["Target"],
        values["Mode"],
        kind,
        values["Amount"].whole(*((0, 100) if percent else (1, 1 << 40))),
        None if drawn else bit.whole(0, 63),
        values.get("Seed", 0),
        legacy,
    )


_TYPES = {
    "Target": lambda node: node.one_of(TARGETS),
    "Mode": lambda node: node.one_of(MODES),
    "Type": lambda node: node.one_of(TYPES),
    "Amount": Node.itself,
    "Bit": Node.itself,
    "Seed": lambda node: node.whole(0, (1 << 64) - 1),
    "legacy": Node.switch,
}
KEYS = tuple(_TYPES)


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
