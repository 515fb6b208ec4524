# SPDX-License-Identifier: Apache-2.0
"""Tells the two kinds of configurations apart: TensorFI's and TensorFI2's."""

from tpufi.errors import InputError
from tpufi.instrument.tensorfi.config import operation_config
from tpufi.instrument.tensorfi.layer_config import layer_config
from tpufi.instrument.tensorfi.layer_plan import LayerPlan
from tpufi.instrument.tensorfi.plan import OperationPlan
from tpufi.yaml_reader import Node


def plan_of(tree: Node) -> OperationPlan | LayerPlan:
    """Return the plan of a configuration, TensorFI2's if it has a `Target`.

    Args:
      tree: see `tpufi.instrument.tensorfi.config.read_config`.

    Raises:
      InputError: it is wrong, or its faults are in weights: they outlast a call.
    """
    if not isinstance(tree.value, dict) or "Target" not in tree.value:
        return OperationPlan(operation_config(tree))
    config = layer_config(tree)
    if config.target == "layer_states":
        raise InputError(
            f"{tree.where}: Target layer_states: faults in weights outlast a call; use "
            "inject of tpufi.instrument.tensorfi.layer_injection, or corrupted(...)"
        )
    return LayerPlan(config)
