# SPDX-License-Identifier: Apache-2.0
"""TensorFI's configuration file: which operations are struck, how often and how."""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping

from tpufi.campaign.yaml_file import Node
from tpufi.errors import InputError
from tpufi.instrument.tensorfi.fault_types import BIT_MODELS, FAULT_TYPES
from tpufi.instrument.tensorfi.fields import (
    DIGITS,
    NEVER,
    boolean,
    choice,
    known_fields,
    whole,
)
from tpufi.instrument.tensorfi.operation_names import ALL, types_of

MODES = ("errorRate", "dynamicInstance", "oneFaultPerRun")
WEIGHTS = ("executions", "elements")
KEYS = (
    "ScalarFaultType", "TensorFaultType", "Ops", "Seed", "SkipCount", "Instances",
    "InjectMode", "BitCount", "legacy", "pin_instance", "bit_model", "weight",
)  # fmt: skip
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
      skip: selected executions at the start of a run that are not struck.
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
      tree: what `tree_of` returns.
      legacy: overrides the file's own `legacy`. With it, unknown keys, names and modes
        are passed over with a warning, as TensorFI does in silence.

    Raises:
      InputError: a key or value is unknown or outside its range.
    """
    if not isinstance(tree.value, dict):
        tree.fields(KEYS)
    told = tree.value.get("legacy")
    if legacy is None:
        legacy = told is not None and boolean(told)
    fields = known_fields(tree, KEYS, legacy)

    def read(key: str, parse: Callable, default):
        return parse(fields[key]) if key in fields else default

    ops = fields.get("Ops")
    if ops is None and not legacy:
        raise InputError(f"{tree.where}: no key 'Ops'; add the operations to strike")
    probabilities = _pairs(ops, _probability, legacy) if ops else {}
    if not probabilities and not legacy:
        raise InputError(f"{ops.where}: Ops: no operation; name one, e.g. ALL = 1.0")
    mode = read("InjectMode", lambda node: choice(node, MODES, legacy), None)
    if mode is None and not legacy:
        raise InputError(
            f"{tree.where}: no key 'InjectMode'; add one of {', '.join(MODES)}"
        )
    scalar, tensor = (
        read(key, lambda node: choice(node, FAULT_TYPES, False), "None")
        for key in ("ScalarFaultType", "TensorFaultType")
    )
    model = "tensorfi21_10" if legacy else "ieee"
    instances = fields.get("Instances")
    return OperationConfig(
        scalar,
        tensor,
        probabilities,
        mode or NEVER,
        read("Seed", lambda node: whole(node, 0, (1 << 64) - 1), 0),
        read("SkipCount", lambda node: whole(node, 0, 1 << 62), 0),
        _pairs(instances, _instances, legacy) if instances else {},
        read("BitCount", lambda node: whole(node, 1, 64), 1),
        legacy,
        read("pin_instance", boolean, legacy),
        read("bit_model", lambda node: choice(node, BIT_MODELS, False), model),
        read("weight", lambda node: choice(node, WEIGHTS, False), "executions"),
    )


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
                types_of(name)
        except InputError as error:
            if not legacy:
                raise InputError(f"{item.where}: {node.key}: {error}") from None
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
    if not DIGITS.fullmatch(text) or not 1 <= int(text) < 1 << 62:
        raise item.wrong("a whole number of executions, 1 or more, behind =")
    return int(text)
