# SPDX-License-Identifier: Apache-2.0
"""TensorFI2's configuration file: faults in weights or in the outputs of layers."""

import dataclasses

from tpufi.contrib.tensorfi.config import tolerated
from tpufi.errors import InputError
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
