# SPDX-License-Identifier: Apache-2.0
"""Cells of tables as text for readers; programs read the CSV files.

The type of a value says how it is shown: `Share` in per cent, `PValue`, an integer as a
count, another number, a pair of shares as an interval, `Code`, a text; None is not
known.
"""

import math

_MANY, _EXACT = 1e5, 1e15
_NOTHING = "\N{EN DASH}"
LONGEST = 120


class Share(float):
    """A part of a whole, 0 to 1; or a difference of two."""


class PValue(float):
    """The p-value of a test."""


class Code(str):
    """A command line to copy."""


def cell_text(value: object) -> str:
    """Return a cell as it is shown.

    Example:
      >>> cell_text((0.021, 0.117)), cell_text(12345.678), cell_text(PValue(0.00031))
      ('2.10% to 11.7%', '12346', '3e-04')
    """
    match value:
        case None:
            return _NOTHING
        case Share():
            return share_text(value)
        case (low, high):
            return f"{share_text(low)} to {share_text(high)}"
        case PValue():
            return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
        case int():
            return count_text(value)
        case float() if _MANY <= abs(value) < _EXACT:
            return count_text(round(value))
        case float() if math.isfinite(value):
            return f"{value:.5g}"
    return str(value)


def count_text(count: int) -> str:
    """Return a count, thousands apart where they are many."""
    if abs(count) < 10_000:  # Four digits are read at a glance.
        return str(count)
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share_text(share: float) -> str:
    """Return a share in per cent with three digits; 0% and 100% are exact.

    Example:
      >>> [share_text(x) for x in (0.0012345, 0.0123, 0.5, 0.987, 0.99987)]
      ['0.123%', '1.23%', '50.0%', '98.7%', '99.987%']
    """
    percent = 100 * share
    if math.isnan(percent):
        return _NOTHING
    if percent in (0, 100):
        return f"{percent:.0f}%"
    # Near 100 % the distance to it is what counts.
    rest = 100 - percent if percent > 50 else abs(percent)
    if rest >= 10 or percent > 50 and rest >= 1:
        return f"{percent:.1f}%"
    digits = (1 if percent > 50 else 2) - math.floor(math.log10(rest) + 1e-12)
    return f"{percent:.{min(digits, 9)}f}%"


def printable(text: object, longest: int = LONGEST) -> str:
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


def is_number(value: object) -> bool:
    """Return whether a cell is one or two numbers."""
    return isinstance(value, int | float | tuple)


def sort_key(value: object) -> str:
    """Return what a script compares in a column of numbers."""
    if value is None:
        return "nan"
    return repr(float(value[0] if isinstance(value, tuple) else value))
