# SPDX-License-Identifier: Apache-2.0
"""Reads the file of an inference campaign, strictly (docs/inference_campaigns.md)."""

import os
import pathlib

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.stop_rule import read_stop_rule
from tpufi.yaml_reader import Node, read_yaml


def read_inference_plan(path: str | os.PathLike[str]) -> InferencePlan:
    """Read the file of an inference campaign; paths in it are relative to its folder.

    Raises:
      InputError: the file, a key or a value is wrong; the message begins with
        `file:line`.
    """
    path = pathlib.Path(path)
    root = read_yaml(path, "docs/inference_campaigns.md")
    values = {"threads": len(os.sched_getaffinity(0))} | root.read(_TYPES, _REQUIRED)
    stop = values.pop("stop", None)
    stop = read_stop_rule(values.pop("experiments"), stop, allots=False)
    values["inputs"] = path.parent / values["inputs"]
    values["program"] = _beside(path, values["program"])
    if ".py:" in values.get("measures", ""):
        values["measures"] = _beside(path, values["measures"])
    return root.placed(lambda: InferencePlan(stop=stop, **values))


def named_parts(where: str) -> tuple[str, str]:
    """Return file and name of `file.py:NAME`; the name is empty for other paths."""
    file, colon, name = where.rpartition(":")
    return (file, name) if colon and file.endswith(".py") else (where, "")


def _beside(path: pathlib.Path, where: str) -> str:
    file, name = named_parts(where)
    found = str(path.parent / file)
    return f"{found}:{name}" if name else found


_REQUIRED = ("program", "inputs", "seed", "experiments")
_TYPES = {
    "program": Node.text,
    "inputs": lambda node: node.text("an .npz file"),
    "seed": Node.whole,
    "experiments": Node.itself,
    "batch": Node.whole,
    "sites": Node.texts,
    "weights": Node.text,
    "measures": Node.text,
    "tolerance": lambda node: float(node.number()),
    "only_correct": Node.switch,
    "mitigation": Node.texts,
    "rounds": Node.whole,
    "threads": Node.whole,
    "stop": Node.itself,
}
