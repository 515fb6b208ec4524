# SPDX-License-Identifier: Apache-2.0
"""Ids and names of a program's sites, the same in all of its traces.

A program is traced again for another shape or another Python argument. An operation is
the same one in two traces if the way to its function, its name in there, and its type
are the same.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Step(NamedTuple):
    """One step into a function that is called.

    Args:
      by: the operation of a branch or a loop, or the name of a function that is called.
      attribute: which of the operation's functions; empty for a plain call.
      number: of several alike, which one, from 0.
    """

    by: str
    attribute: str
    number: int


class SiteIds:
    """Numbers and names the sites of all traces of one program.

    The first trace's sites are 0, 1, ...; a site that a later trace adds has the next
    number.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple, str] = {}
        self._taken: set[str] = set()
        self._ids: dict[tuple[str, int | str], int] = {}
        self._names: list[str] = []

    def path(self, way: Sequence[Step], node: str, op: str, wanted: str) -> str:
        """Return the name of an operation, which no other one has.

        Args:
          way: the steps to its function.
          node: its name in there.
          op: its type.
          wanted: the name for a new one; a number is added to a name that is taken.
        """
        key = *way, node, op
        if key not in self._paths:
            path, number = wanted, 0
            while path in self._taken:
                number += 1
                path = f"{wanted}@{number}"
            self._taken.add(path)
            self._paths[key] = path
        return self._paths[key]

    def number(self, path: str, output: int | str) -> int:
        """Return the id of an output of an operation, or of what it reads."""
        key = path, output
        if key not in self._ids:
            self._ids[key] = len(self._names)
            self._names.append(f"{path}:{output}")
        return self._ids[key]

    def id_of(self, name: str) -> int | None:
        """Return the id of a site of any trace by its name; None: no trace has it."""
        return self._names.index(name) if name in self._names else None

    def name(self, site: int) -> str | None:
        """Return the name of a site of any trace; None: no trace has it."""
        return self._names[site] if 0 <= site < len(self._names) else None
