# SPDX-License-Identifier: Apache-2.0
"""Text from a journal as it can be shown: printable, and of a bearable length."""

_LONGEST = 120


def printable(text: object, longest: int = _LONGEST) -> str:
    """Return text on one line, other characters as escapes, cut in the middle.

    Args:
      text: anything from the journal.
      longest: characters to keep, >= 3.
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode()
        for c in str(text)
    )
    if len(shown) <= longest:
        return shown
    head = (longest - 1) // 2
    return f"{shown[:head]}\N{HORIZONTAL ELLIPSIS}{shown[head + 1 - longest :]}"
