# SPDX-License-Identifier: Apache-2.0
"""TensorFI's configuration: which operations have faults, how often and which."""

import dataclasses
import logging
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence

from tpufi.contrib.tensorfi.fault_types import BIT_MODELS, FAULT_TYPES
from tpufi.contrib.tensorfi.operation_names import ALL, Ops, types_of
from tpufi.errors import InputError
from tpufi.yaml_reader import Node, read_yaml

NEVER = "None"
MODES = ("errorRate", "dynamicInstance", "oneFaultPerRun")
WEIGHTS = ("executions", "elements")
_logger = logging.getLogger("tpufi.instrument")


@dataclasses.dataclass(frozen=True)
class OperationConfig:
    """Faults in the results of operations; the fields are those of the file.

    Args:
      scalar_type: fault type of tensors of rank 0.
      tensor_type: fault type of other tensors.
      probabilities: chance of each named operation.
      mode: one of `MODES`; `None` only with `legacy`: never.
      seed: of all draws, 0 <= seed < 2^64.
      skip: selected executions at the start of a run that stay without a fault.
      instances: executions of each name that the user expects.
      bit_count: flips of `multiBitFlip`.
      legacy: whether TensorFI's tolerances hold.
      pin_instance: whether `dynamicInstance` draws once for all runs.
      bit_model: `ieee`, or `tensorfi21_10` (`legacy_bits`).
      weight: whether `oneFaultPerRun` draws an execution or an element of all.
    """

    scalar_type: str
    tensor_type: str
    probabilities: Mapping[str, float]
    mode: str
    seed: int = 0
    skip: int = 0
    instances: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bit_count: int = 1
    legacy: bool = False
    pin_instance: bool = False
    bit_model: str = "ieee"
    weight: str = "executions"


def operation_config(tree: Node, legacy: bool | None = None) -> OperationConfig:
    """Return the configuration that a tree describes.

    Args:
      tree: what `read_config` returns.
      legacy: overrides the file's own `legacy`. With it, unknown keys, names and modes
        are passed over with a warning, as TensorFI does in silence.

    Raises:
      InputError: a key or value is unknown or outside its range.
    """
    tree, legacy = tolerated(tree, KEYS, legacy)
    values = tree.read(_types(legacy))
    if not legacy and "Ops" not in values:
        raise tree.lacks("Ops", "the operations to inject into")
    if not legacy and "InjectMode" not in values:
        raise tree.lacks("InjectMode", f"one of {', '.join(MODES)}")
    return OperationConfig(
        values.get("ScalarFaultType", "None"),
        values.get("TensorFaultType", "None"),
        values.get("Ops", {}),
        values.get("InjectMode", NEVER),
        values.get("Seed", 0),
        values.get("SkipCount", 0),
        values.get("Instances", {}),
        values.get("BitCount", 1),
        legacy,
        values.get("pin_instance", legacy),
        values.get("bit_model", "tensorfi21_10" if legacy else "ieee"),
        values.get("weight", "executions"),
    )


def read_config(source: str | os.PathLike[str] | Mapping) -> Node:
    """Return a configuration, given as a file or as a mapping, as nodes of text."""
    return read_yaml(source, "docs/from_tensorfi.md")


def tolerated(
    tree: Node, known: Sequence[str], legacy: bool | None
) -> tuple[Node, bool]:
    """Return a configuration without what TensorFI passes over, and whether it is so.

    Args:
      tree: the configuration.
      known: all keys there can be.
      legacy: whether TensorFI's tolerance holds; None: the key `legacy` says.
    """
    given = tree.mapping(known)
    if legacy is None:
        legacy = "legacy" in given and given["legacy"].switch()
    if not legacy:
        return tree, False
    for key in given:
        if key not in known:
            _logger.warning("%s: key %r is unknown and passed over", tree.where, key)
    # A key without a value is as good as none; `legacy` has been read.
    kept = {
        key: node
        for key, node in given.items()
        if key in known and key != "legacy" and node.value not in ("", [])
    }
    return dataclasses.replace(tree, value=kept), True


def _types(legacy: bool) -> dict[str, Callable[[Node], object]]:
    """Return all keys, and what reads the value of each."""
    return {
        "ScalarFaultType": lambda node: node.one_of(FAULT_TYPES),
        "TensorFaultType": lambda node: node.one_of(FAULT_TYPES),
        "Ops": lambda node: _pairs(node, _probability, legacy),
        "Seed": lambda node: node.whole(0, (1 << 64) - 1),
        "SkipCount": lambda node: node.whole(0, 1 << 62),
        "Instances": lambda node: _pairs(node, _instances, legacy),
        "InjectMode": lambda node: _mode(node, legacy),
        "BitCount": lambda node: node.whole(1, 64),
        "legacy": Node.switch,
        "pin_instance": Node.switch,
        "bit_model": lambda node: node.one_of(BIT_MODELS),
        "weight": lambda node: node.one_of(WEIGHTS),
    }


KEYS = tuple(_types(False))


def _mode(node: Node, legacy: bool) -> str:
    if not legacy or node.value in MODES:
        return node.one_of(MODES)
    text = node.text(f"one of {', '.join(MODES)}")
    _logger.warning("%s: %s %r: nothing is ever injected", node.where, node.key, text)
    return NEVER


def _pairs(node: Node, parse: Callable, legacy: bool) -> dict:
    result = {}
    for item in node.items("a list of NAME = value"):
        text = item.text("NAME = value")
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or "=" in value:
            raise item.wrong("NAME = value, e.g. CONV2D = 0.5")
        number = parse(item, value)
        try:
            if name != ALL:
                item.placed(lambda name=name: types_of(name))
        except InputError:
            if not legacy:
                raise
            _logger.warning("%s: operation %r passed over", item.where, name)
            continue
        if name in result and not legacy:
            raise InputError(
                f"{item.where}: {node.key}: {name} stands twice; remove one"
            )
        result[name] = number
    return result


def _probability(item: Node, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise item.wrong("a probability from 0 to 1 behind =")
    return number


def _instances(item: Node, text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or not 1 <= int(text) < 1 << 62:
        raise item.wrong("a whole number of executions, 1 or more, behind =")
    return int(text)


class FIConfig:
    """The configuration that `getFIConfig` returns: its fields can be set between runs.

    Args:
      config: its values at the start.

    Attributes:
      injectMap: probability of each operation, by `Ops` or by TensorFlow type.
      faultSeed: the seed.
      skipCount: selected executions at the start of a run that stay without a fault.
    """

    def __init__(self, config: OperationConfig):
        self._config = config
        self.injectMap = {_key(n): p for n, p in config.probabilities.items()}
        self.faultSeed = config.seed
        self.skipCount = config.skip

    def frozen(self) -> OperationConfig:
        """Return the configuration as it is now.

        Raises:
          InputError: a probability is outside [0, 1], or an operation was not in the
            file: its sites are not armed.
        """
        probabilities = {}
        for key, probability in self.injectMap.items():
            name = key.value if isinstance(key, Ops) else str(key)
            if not 0 <= probability <= 1:
                raise InputError(
                    f"injectMap: {name} = {probability} is outside [0, 1]; correct it"
                )
            if name not in self._config.probabilities:
                raise InputError(
                    f"injectMap: {name} was not in the configuration, so it has no "
                    "sites; name it there, with probability 0"
                )
            probabilities[name] = probability
        return dataclasses.replace(
            self._config,
            probabilities=probabilities,
            seed=self.faultSeed,
            skip=self.skipCount,
        )


def _key(name: str) -> Ops | str:
    return Ops(name) if name in {op.value for op in Ops} else name
