# SPDX-License-Identifier: Apache-2.0
"""Reads the file of an inference campaign, strictly (docs/inference_campaigns.md)."""

import dataclasses
import os
import pathlib
import re

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.yaml_file import Node, read_yaml
from tpufi.errors import InputError

_REQUIRED = ("program", "inputs", "seed", "experiments")
_NUMBERS = ("seed", "batch", "rounds", "threads")
_LISTS = ("sites", "mitigation")
_SWITCHES = {"only_correct": {"yes": True, "no": False},
             "clean_prefix": {"yes": True, "no": False, "auto": None}}  # fmt: skip
_KEYS = (*_REQUIRED, "batch", "sites", "weights", "measures", "tolerance",
         "only_correct", "mitigation", "rounds", "clean_prefix", "threads",
         "stop")  # fmt: skip
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
            values[key] = _whole(node)
        elif key in _LISTS:
            values[key] = tuple(item.text() for item in node.items())
        elif key in _SWITCHES:
            values[key] = _one_of(node, _SWITCHES[key])
        elif key == "tolerance":
            values[key] = _number(node)
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
    rule = StopRule(_whole(given["experiments"]))
    if "stop" not in given:
        return rule
    fields = given["stop"].fields(_STOP)
    changes: dict[str, object] = {
        key: _number(fields[key])
        for key in ("hours", "width", "confidence")
        if key in fields
    }
    if "strata" in fields:
        changes["strata"] = tuple(item.text() for item in fields["strata"].items())
    return dataclasses.replace(rule, **changes)


def _whole(node: Node) -> int:
    if not isinstance(node.value, str) or not re.fullmatch(r"[0-9]{1,30}", node.value):
        raise node.wrong("a whole number of at least 0, in digits")
    return int(node.value)


def _number(node: Node) -> float:
    text = node.value if isinstance(node.value, str) else ""
    if not re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,30})?(e-?[0-9]{1,2})?", text):
        raise node.wrong("a number of at least 0, e.g. 3 or 0.25")
    return float(text)


def _one_of(node: Node, known: dict[str, bool | None]) -> bool | None:
    if not isinstance(node.value, str) or node.value not in known:
        raise node.wrong(f"one of {', '.join(known)}")
    return known[node.value]
