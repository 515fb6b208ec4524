# SPDX-License-Identifier: Apache-2.0
"""A small, strict part of YAML: mappings, lists and text, each with its line.

Scalars stay the text they are, so none of YAML's surprises (`no`, `1:30`, `010`) can
change a campaign; whoever asks for a number parses it. Anchors, tags, repeated keys and
second documents are errors.
"""

import dataclasses
import pathlib
import re
from collections.abc import Collection, Sequence
from fractions import Fraction

import yaml

from tpufi.errors import InputError
from tpufi.messages import nearest_first, one_line, quote, show_path

_LONGEST = 1 << 20
_DEEPEST = 20
_LONGEST_NUMBER = 60  # Characters; no power of ten that is worked out for minutes.
_SWITCH = {"yes": True, "no": False, "true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Node:
    """One value of a file.

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

    def text(self, expected: str = "text") -> str:
        """Return the value as text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(expected)
        return self.value

    def items(self, expected: str = "a list") -> "list[Node]":
        """Return the nodes of a list that is not empty."""
        if not isinstance(self.value, list) or not self.value:
            raise self.wrong(f"{expected}, not empty; remove the key for the default")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """Return the texts of a list."""
        return tuple(item.text() for item in self.items())

    def one_of(self, known: Collection[str]) -> str:
        """Return the value as one of the known texts."""
        if not isinstance(self.value, str) or self.value not in known:
            raise self.wrong(f"one of {', '.join(known)}")
        return self.value

    def switch(self) -> bool:
        """Return whether the value is `yes` or `true`, not `no` or `false`."""
        return _SWITCH[self.one_of(_SWITCH)]

    def whole(self) -> int:
        """Return the value as a whole number of at least 0."""
        text = self.value if isinstance(self.value, str) else ""
        if not re.fullmatch(r"[0-9]{1,30}", text):
            raise self.wrong("a whole number of at least 0, in digits")
        return int(text)

    def number(self) -> Fraction:
        """Return the value as a number of at least 0, decimal or a fraction."""
        number = self._fraction()
        if number is None:
            raise self.wrong("a number of at least 0, e.g. 3, 0.25 or 1/3")
        return number

    def positive(self) -> Fraction:
        """Return the value as a number above 0, decimal or a fraction."""
        number = self._fraction()
        if not number:
            raise self.wrong("a number above 0, e.g. 3, 0.25 or 1/3")
        return number

    def _fraction(self) -> Fraction | None:
        text = self.value if isinstance(self.value, str) else ""
        form = r"[0-9.]+(e-?[0-9]{1,2})?|[0-9]+/[0-9]+"
        if len(text) > _LONGEST_NUMBER or not re.fullmatch(form, text):
            return None
        try:
            return Fraction(text)
        except (ValueError, ZeroDivisionError):
            return None

    def fields(
        self, known: Sequence[str], required: Sequence[str] = ()
    ) -> "dict[str, Node]":
        """Return the nodes of a mapping that has known keys only.

        Args:
          known: all keys there can be.
          required: those that must be there.
        """
        place = f"{self.key}: " if self.key else ""
        if not isinstance(self.value, dict):
            raise InputError(
                f"{self.where}: {place}expected keys among {', '.join(known)}, each "
                "with a colon and a value"
            )
        for key, node in self.value.items():
            if key not in known:
                raise InputError(
                    f"{node.where}: {place}unknown key {quote(key)}; known, nearest "
                    f"first: {nearest_first(key, known)}; correct or remove it"
                )
        for key in required:
            if key not in self.value:
                raise InputError(f"{self.where}: {place}no key {key!r}; add it")
        return self.value


def read_yaml(path: pathlib.Path) -> Node:
    """Return the one document of a file.

    Args:
      path: UTF-8 text of at most 1 MiB.

    Raises:
      InputError: the file cannot be read or is not of that part of YAML.
    """
    shown = show_path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise InputError(f"{shown}: over 1 MiB; a campaign file is a page of text")
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join((error.problem or "cannot be read").split())
        raise InputError(f"{shown}{line}: no YAML: {problem}; correct it") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"{shown}: cannot read it: {one_line(error)}; name a text file"
        ) from None
    except RecursionError:
        raise InputError(f"{shown}: nested too deeply; write it plainly") from None
    if root is None:
        raise InputError(f"{shown}: empty; docs/campaigns.md has an example")
    return _node(root, shown, "", set(), 0)


def _node(node: yaml.Node, shown: str, key: str, seen: set[int], depth: int) -> Node:
    where = f"{shown}:{node.start_mark.line + 1}"
    if id(node) in seen:
        raise InputError(f"{where}: *alias of this value; write the value out instead")
    seen.add(id(node))
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        raise InputError(f"{where}: tag {quote(node.tag)}; remove it")
    if depth > _DEEPEST:
        raise InputError(f"{where}: nested too deeply; write it plainly")
    if isinstance(node, yaml.ScalarNode):
        return Node(where, key, node.value)
    if isinstance(node, yaml.SequenceNode):
        items = [_node(item, shown, key, seen, depth + 1) for item in node.value]
        return Node(where, key, items)
    entries: dict[str, Node] = {}
    for name, item in node.value:
        line = f"{shown}:{name.start_mark.line + 1}"
        if not isinstance(name, yaml.ScalarNode):
            raise InputError(f"{line}: a key that is no text; write name: value")
        if name.value in entries:
            raise InputError(
                f"{line}: key {quote(name.value)} stands twice; remove one of the two"
            )
        inner = f"{key}.{name.value}" if key else name.value
        found = _node(item, shown, inner, seen, depth + 1)
        entries[name.value] = dataclasses.replace(found, where=line)
    return Node(where, key, entries)
