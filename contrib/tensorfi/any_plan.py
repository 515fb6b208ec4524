# SPDX-License-Identifier: Apache-2.0
"""Tells the two kinds of configurations apart: TensorFI's and TensorFI2's."""

import os
from collections.abc import Mapping

from tpufi.contrib.tensorfi.config import operation_config, read_config
from tpufi.contrib.tensorfi.layer_plan import LayerPlan, layer_config
from tpufi.contrib.tensorfi.plan import OperationPlan
from tpufi.errors import InputError
from tpufi.yaml_reader import Node


def read_plan(
    config: str | os.PathLike[str] | Mapping,
) -> OperationPlan | LayerPlan:
    """Return the plan of a configuration, for `tpufi.instrument(program, plan)`.

    Args:
      config: a YAML file, or its content as a mapping.

    Raises:
      InputError: it is wrong, or its faults are in weights: they outlast a call.
    """
    return plan_of(read_config(config))


def plan_of(tree: Node) -> OperationPlan | LayerPlan:
    """Return the plan of a configuration, TensorFI2's if it has a `Target`.

    Args:
      tree: see `tpufi.contrib.tensorfi.config.read_config`.

    Raises:
      InputError: it is wrong, or its faults are in weights: they outlast a call.
    """
    if not isinstance(tree.value, dict) or "Target" not in tree.value:
        return OperationPlan(operation_config(tree))
    config = layer_config(tree)
    if config.target == "layer_states":
        raise InputError(
            f"{tree.where}: Target layer_states: faults in weights outlast a call; use "
            "inject of tpufi.contrib.tensorfi.layer_injection, or corrupted(...)"
        )
    return LayerPlan(config)
