# SPDX-License-Identifier: Apache-2.0
"""Reads the values of a TensorFI configuration, strictly or with its tolerance."""

import logging
import os
import pathlib
import re
from collections.abc import Mapping

from tpufi.campaign.yaml_file import Node, read_yaml
from tpufi.messages import nearest_first

NEVER = "None"
DIGITS = re.compile("[0-9]{1,20}")
_logger = logging.getLogger("tpufi.instrument")


def tree_of(source: "str | os.PathLike[str] | Mapping") -> Node:
    """Return a configuration, given as a file or as a mapping, as nodes of text."""
    if isinstance(source, Mapping):
        return _node("configuration", "", source)
    return read_yaml(pathlib.Path(source))


def _node(where: str, key: str, value: object) -> Node:
    if isinstance(value, Mapping):
        inner = {str(k): _node(where, str(k), v) for k, v in value.items()}
        return Node(where, key, inner)
    if isinstance(value, list | tuple):
        return Node(where, key, [_node(where, key, item) for item in value])
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Node(where, key, text)


def known_fields(tree: Node, keys: tuple[str, ...], legacy: bool) -> dict[str, Node]:
    """Return the values of known keys; others are an error, or a warning in legacy."""
    if not legacy:
        return tree.fields(keys)
    unknown = [key for key in tree.value if key not in keys]
    for key in unknown:
        _logger.warning("%s: key %r is unknown and passed over", tree.where, key)
    # A key without a value is as good as none.
    return {
        k: n for k, n in tree.value.items() if k in keys and n.value not in ("", [])
    }


def choice(node: Node, known: tuple[str, ...], legacy: bool) -> str:
    """Return one of the known texts; in legacy, `NEVER` for another."""
    text = node.text(f"one of {', '.join(known)}")
    if text in known:
        return text
    if legacy:
        _logger.warning("%s: %s %r: nothing is ever struck", node.where, node.key, text)
        return NEVER
    raise node.wrong(f"one of {nearest_first(text, known)}")


def boolean(node: Node) -> bool:
    """Return what `true` or `false` says."""
    text = node.text("true or false")
    if text.lower() not in ("true", "false"):
        raise node.wrong("true or false")
    return text.lower() == "true"


def whole(node: Node, low: int, high: int) -> int:
    """Return a whole number of [low, high]."""
    expected = f"a whole number from {low} to {high}"
    text = node.text(expected)
    if not DIGITS.fullmatch(text) or not low <= int(text) <= high:
        raise node.wrong(expected)
    return int(text)
