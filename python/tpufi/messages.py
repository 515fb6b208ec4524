# SPDX-License-Identifier: Apache-2.0
"""Wording of error messages: what was found, in one line; the nearest known names."""

import difflib
import os
from collections.abc import Iterable

_LONGEST_QUOTE = 60
_LONGEST_REASON = 200


def quote(value: object) -> str:
    """Quote what a user gave on one line, cut to a readable length.

    Args:
      value: text, e.g. a cell of a file with control characters in it; or any value.

    Returns:
      The text in quotation marks, unprintable characters escaped; of another value what
      Python shows of it.
    """
    if not isinstance(value, str):
        shown = printable(repr(value))
        return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}..."
    if len(value) <= _LONGEST_QUOTE:
        return repr(value)
    return f"{value[:_LONGEST_QUOTE]!r}... ({len(value)} characters)"


def one_line(error: BaseException) -> str:
    """Return the reason of an error as one short printable line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = " ".join(text.split())[:_LONGEST_REASON]
    return text if text.isprintable() else repr(text)


def show_path(path: str | os.PathLike[str]) -> str:
    """Return `path` as it was given, or escaped if it would break the line."""
    text = os.fspath(path)
    return printable(text) if text else repr(text)


def printable(line: str) -> str:
    """Return a line as it is, or escaped if it would move the cursor or break."""
    return line if line.isprintable() else repr(line)


def counted(count: int, what: str) -> str:
    """Return a count with its noun, which takes an s unless it is one.

    Example:
      >>> counted(1, "step"), counted(2, "step")
      ('1 step', '2 steps')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def nearest_first(name: str, known: Iterable[str], limit: int | None = None) -> str:
    """List known names, those most like `name` first.

    Args:
      name: what the user wrote.
      known: the names that would have been right.
      limit: list at most so many and say how many there are; None lists all.

    Returns:
      The names joined by commas.
    """
    # Names of any length arrive here; the comparison is quadratic in the length.
    name = name[:200].lower()

    def unlike(other: str) -> float:
        return -difflib.SequenceMatcher(None, name, other.lower()).ratio()

    ranked = sorted(known, key=unlike)
    if limit is None or len(ranked) <= limit:
        return ", ".join(ranked)
    return f"{', '.join(ranked[:limit])} (of {len(ranked)})"
