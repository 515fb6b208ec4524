# SPDX-License-Identifier: Apache-2.0
"""TensorFI2's configuration file: faults in weights or in the outputs of layers."""

import dataclasses

from tpufi.campaign.yaml_file import Node
from tpufi.errors import InputError
from tpufi.instrument.tensorfi.fields import boolean, choice, known_fields, whole

TARGETS = ("layer_states", "layer_outputs")
MODES = ("single", "multiple")
TYPES = ("zeros", "random", "bitflips")
KEYS = ("Target", "Mode", "Type", "Amount", "Bit", "Seed", "legacy")
ANY_BIT = "N"


@dataclasses.dataclass(frozen=True)
class LayerConfig:
    """Faults in weights or in outputs of layers; the fields are those of the file.

    Args:
      target: `layer_states` (weights) or `layer_outputs`.
      mode: `single` (one of them) or `multiple` (all).
      kind: `zeros`, `random` (numbers of [0, 1)) or `bitflips`.
      amount: elements of each struck tensor; for `zeros` percent of them.
      bit: the flipped bit, 0 the least significant; None draws it for each element.
      seed: of all draws.
      legacy: whether the last layer or variable is spared, as in TensorFI2, and the
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
      tree: see `tpufi.instrument.tensorfi.fields.tree_of`.
      legacy: overrides the file's own `legacy`.

    Raises:
      InputError: a key or value is missing, unknown or outside its range.
    """
    if not isinstance(tree.value, dict):
        tree.fields(KEYS)
    if legacy is None:
        legacy = "legacy" in tree.value and boolean(tree.value["legacy"])
    fields = known_fields(tree, KEYS, legacy)
    for key in ("Target", "Mode", "Type", "Amount"):
        if key not in fields:
            raise InputError(f"{tree.where}: no key {key!r}; add it")
    kind = choice(fields["Type"], TYPES, False)
    if kind == "bitflips" and "Bit" not in fields:
        raise InputError(f"{tree.where}: no key 'Bit'; add a bit, or N for any")
    if kind != "bitflips" and "Bit" in fields and not legacy:
        raise InputError(
            f"{fields['Bit'].where}: Bit is for Type bitflips; remove it or change Type"
        )
    bit = None
    if kind == "bitflips" and fields["Bit"].text("N or a bit") != ANY_BIT:
        bit = whole(fields["Bit"], 0, 63)
    percent = kind == "zeros"
    return LayerConfig(
        choice(fields["Target"], TARGETS, False),
        choice(fields["Mode"], MODES, False),
        kind,
        whole(fields["Amount"], 0 if percent else 1, 100 if percent else 1 << 40),
        bit,
        whole(fields["Seed"], 0, (1 << 64) - 1) if "Seed" in fields else 0,
        legacy,
    )
