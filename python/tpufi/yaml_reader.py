# SPDX-License-Identifier: Apache-2.0
"""Reads YAML strictly: a mapping whose keys are known, each with a type and a bound.

Scalars stay the text they are, so none of YAML's surprises (`no`, `1:30`, `010`) can
change a campaign; the reader of a number parses it. Aliases, tags, repeated keys and
second documents are errors. Each error begins with `file:line`.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import yaml

from tpufi.errors import InputError
from tpufi.messages import nearest_first, quote, show_path
from tpufi.untrusted import read_bounded, reading

_LONGEST = 1 << 17
_MOST_ITEMS = 1 << 12
_DEEPEST = 20
_LONGEST_NUMBER = 60  # Characters; no power of ten that is worked out for minutes.
_SWITCH = {"yes": True, "no": False, "true": True, "false": False}
_PLAIN = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Node:
    """One value of a file; its methods return it as a type, or raise `InputError`.

    Args:
      where: `file:line`.
      key: keys that lead to it, e.g. `sites.patterns`; empty for the whole file.
      value: text, the nodes of a list, or the nodes of a mapping by key.
    """

    where: str
    key: str
    value: "str | list[Node] | dict[str, Node]"

    def wrong(self, expected: str) -> InputError:
        """Return the error that this value is not what was expected."""
        names = {list: "a list", dict: "keys and values"}
        found = names.get(type(self.value)) or quote(self.value)
        return InputError(f"{self.where}: {self.key}: {found}; expected {expected}")

    def lacks(self, key: str, what: str = "it") -> InputError:
        """Return the error that this mapping has no such key; `what` is to be added."""
        return InputError(f"{self.where}: {self._place}no key {key!r}; add {what}")

    def placed(self, make: Callable[[], _T]) -> _T:
        """Return what `make` returns; its errors begin with the place of this value.

        An error that begins with a key of this mapping gets the place of that key.
        """
        try:
            return make()
        except InputError as error:
            if str(error).startswith(self.where.rpartition(":")[0] or self.where):
                raise
            keys = self.value if isinstance(self.value, dict) else {}
            where = keys.get(str(error).partition(":")[0], self).where
            raise InputError(f"{where}: {self._place}{error}") from None

    def itself(self) -> "Node":
        """Return this node, for a key that is read with others."""
        return self

    def text(self, expected: str = "text") -> str:
        """Return the value as text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(expected)
        return self.value

    def items(self, expected: str = "a list") -> "list[Node]":
        """Return the nodes of a list that is not empty."""
        if not isinstance(self.value, list) or not self.value:
            raise self.wrong(f"{expected}, not empty; remove the key for the default")
        if len(self.value) > _MOST_ITEMS:
            raise InputError(
                f"{self.where}: {self.key}: {len(self.value)} items; expected at most "
                f"{_MOST_ITEMS}"
            )
        return self.value

    def texts(self) -> tuple[str, ...]:
        """Return the texts of a list."""
        return tuple(item.text() for item in self.items())

    def one_of(self, known: Collection[str]) -> str:
        """Return the value as one of the known texts."""
        if not isinstance(self.value, str) or self.value not in known:
            given = self.value if isinstance(self.value, str) else ""
            raise self.wrong(f"one of {nearest_first(given, known)}")
        return self.value

    def switch(self, expected: str = f"one of {', '.join(_SWITCH)}") -> bool:
        """Return whether the value is `yes` or `true`, not `no` or `false`."""
        text = self.value.lower() if isinstance(self.value, str) else ""
        if text not in _SWITCH:
            raise self.wrong(expected)
        return _SWITCH[text]

    def whole(self, low: int = 0, high: int | None = None) -> int:
        """Return the value as a whole number, low to high; None: without an end."""
        text = self.value if isinstance(self.value, str) else ""
        bound = f"of at least {low}" if high is None else f"from {low} to {high}"
        number = int(text) if re.fullmatch(r"[0-9]{1,30}", text) else -1
        if number < low or (high is not None and number > high):
            raise self.wrong(f"a whole number {bound}, in digits")
        return number

    def number(self, above_0: bool = False) -> Fraction:
        """Return the value as a number of at least 0, decimal or a fraction."""
        text, number = self.value if isinstance(self.value, str) else "", Fraction(-1)
        form = r"[0-9.]+(e-?[0-9]{1,2})?|[0-9]+/[0-9]+"
        if len(text) <= _LONGEST_NUMBER and re.fullmatch(form, text):
            with contextlib.suppress(ValueError, ZeroDivisionError):
                number = Fraction(text)
        if number < 0 or (above_0 and not number):
            bound = "above 0" if above_0 else "of at least 0"
            raise self.wrong(f"a number {bound}, e.g. 3, 0.25 or 1/3")
        return number

    def mapping(self, known: Collection[str]) -> "dict[str, Node]":
        """Return the nodes of a mapping, whatever its keys; the message has `known`."""
        if not isinstance(self.value, dict):
            raise InputError(
                f"{self.where}: {self._place}expected keys among {', '.join(known)}, "
                "each with a colon and a value"
            )
        return self.value

    def read(
        self, types: Mapping[str, Callable[["Node"], Any]], required: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the values of a mapping that has known keys only.

        Args:
          types: all keys there can be -> what reads the value, e.g. `Node.whole`.
          required: keys that must be there.
        """
        given = self.mapping(types)
        for key, node in given.items():
            if key not in types:
                raise InputError(
                    f"{node.where}: {self._place}unknown key {quote(key)}; known, "
                    f"nearest first: {nearest_first(key, types)}; correct or remove it"
                )
        for key in required:
            if key not in given:
                raise self.lacks(key)
        return {key: types[key](node) for key, node in given.items()}

    @property
    def _place(self) -> str:
        return f"{self.key}: " if self.key else ""


def read_yaml(source: str | os.PathLike[str] | Mapping, page: str) -> Node:
    """Return the one document of a file.

    Args:
      source: file of UTF-8 text, at most 128 KiB; or a mapping that stands for one.
      page: the page of docs that has an example of such a file.

    Raises:
      InputError: the file cannot be read or is not of that part of YAML.
    """
    if isinstance(source, Mapping):
        return _node_of(source, "")
    shown = show_path(pathlib.Path(source))
    with reading(shown, "name a text file of one page", "cannot read it"):
        content = read_bounded(source, _LONGEST).decode()
        try:
            root = yaml.compose(content, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            problem = " ".join((error.problem or "cannot be read").split())
            raise InputError(f"{shown}{line}: no YAML: {problem}; correct it") from None
        if root is None:
            raise InputError(f"{shown}: empty; {page} has an example")
        return _node(root, shown, "")


class _Loader(yaml.BaseLoader):
    """Composes nodes of which none has a second name, and none is deep."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        """Return the next node."""
        event = self.peek_event()
        if getattr(event, "anchor", None):
            problem = "an anchor or alias; write the value out where it belongs"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if self._depth > _DEEPEST:
            problem = "nested too deeply; write it plainly"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _node(node: yaml.Node, shown: str, key: str) -> Node:
    where = f"{shown}:{node.start_mark.line + 1}"
    if node.tag not in _PLAIN:
        raise InputError(f"{where}: tag {quote(node.tag)}; remove it")
    if isinstance(node, yaml.ScalarNode):
        return Node(where, key, node.value)
    if isinstance(node, yaml.SequenceNode):
        items = [_node(item, shown, key) for item in node.value]
        return Node(where, key, items)
    entries: dict[str, Node] = {}
    for name, item in node.value:
        line, text = f"{shown}:{name.start_mark.line + 1}", name.value
        if not isinstance(name, yaml.ScalarNode):
            raise InputError(f"{line}: a key that is no text; write name: value")
        _node(name, shown, key)
        if text in entries:
            raise InputError(
                f"{line}: key {quote(text)} stands twice; remove one of the two"
            )
        found = _node(item, shown, _inner(key, text))
        entries[text] = dataclasses.replace(found, where=line)
    return Node(where, key, entries)


def _node_of(value: object, key: str) -> Node:
    """Return a Python value as a file would have it."""
    found: str | list[Node] | dict[str, Node] = str(value)
    if isinstance(value, Mapping):
        found = {str(k): _node_of(v, _inner(key, str(k))) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        found = [_node_of(item, key) for item in value]
    return Node("configuration", key, found)


def _inner(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
