# SPDX-License-Identifier: Apache-2.0
"""Reads the file of an inference campaign, strictly (docs/inference_campaigns.md)."""

import dataclasses
import os
import pathlib

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.yaml_file import Node, read_yaml
from tpufi.errors import InputError

_REQUIRED = ("program", "inputs", "seed", "experiments")
_NUMBERS = ("seed", "batch", "rounds", "threads")
_LISTS = ("sites", "mitigation")
_KEYS = (*_REQUIRED, "batch", "sites", "weights", "measures", "tolerance",
         "only_correct", "mitigation", "rounds", "threads", "stop")  # fmt: skip
_STOP = ("hours", "width", "strata", "confidence")


def read_inference_plan(path: str | os.PathLike[str]) -> InferencePlan:
    """Read the file of an inference campaign; paths in it are relative to its folder.

    Raises:
      InputError: the file, a key or a value is wrong; the message begins with
        `file:line`.
    """
    path = pathlib.Path(path)
    root = read_yaml(path)
    given = root.fields(_KEYS, _REQUIRED)
    values: dict[str, object] = {"threads": len(os.sched_getaffinity(0))}
    for key, node in given.items():
        if key in _NUMBERS:
            values[key] = node.whole()
        elif key in _LISTS:
            values[key] = node.texts()
        elif key == "only_correct":
            values[key] = node.switch()
        elif key == "tolerance":
            values[key] = float(node.number())
        elif key not in ("experiments", "stop"):
            values[key] = node.text()
    values["inputs"] = path.parent / given["inputs"].text("an .npz file")
    values["program"] = _beside(path, given["program"].text())
    if ".py:" in str(values.get("measures", "")):
        values["measures"] = _beside(path, str(values["measures"]))
    try:
        return InferencePlan(stop=_stop(given), **values)
    except InputError as error:
        if str(error).startswith(root.where.rsplit(":", 1)[0]):
            raise
        raise InputError(f"{root.where}: {error}") from None


def named_parts(where: str) -> tuple[str, str]:
    """Return file and name of `file.py:NAME`; the name is empty for other paths."""
    file, colon, name = where.rpartition(":")
    return (file, name) if colon and file.endswith(".py") else (where, "")


def _beside(path: pathlib.Path, where: str) -> str:
    file, name = named_parts(where)
    found = str(path.parent / file)
    return f"{found}:{name}" if name else found


def _stop(given: dict[str, Node]) -> StopRule:
    rule = StopRule(given["experiments"].whole())
    if "stop" not in given:
        return rule
    fields = given["stop"].fields(_STOP)
    changes: dict[str, object] = {
        key: float(fields[key].positive())
        for key in ("hours", "width", "confidence")
        if key in fields
    }
    if "strata" in fields:
        changes["strata"] = fields["strata"].texts()
    return dataclasses.replace(rule, **changes)
