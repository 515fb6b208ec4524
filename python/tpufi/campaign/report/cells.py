# SPDX-License-Identifier: Apache-2.0
"""Cells of tables as text for readers; programs read the CSV files."""

import math

# share: 0 to 1, shown in per cent; interval: two shares; p: a p-value.
NUMERIC = ("count", "number", "share", "interval", "p")
FORMATS = ("text", "code", *NUMERIC)
LONGEST = 120
_MANY, _EXACT = 1e5, 1e15
_NOTHING = "\N{EN DASH}"


def cell_text(value: object, kind: str) -> str:
    """Return a cell as it is shown.

    Args:
      value: of the cell; None: not known.
      kind: one of `FORMATS`.

    Example:
      >>> cell_text((0.021, 0.117), "interval")
      '2.10% to 11.7%'
    """
    if value is None:
        return _NOTHING
    if kind == "count":
        return count_text(value)
    if kind == "share":
        return share_text(value)
    if kind == "interval":
        low, high = value
        return f"{share_text(low)} to {share_text(high)}"
    if kind == "p":
        return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
    if kind == "number":
        if _MANY <= abs(value) < _EXACT:
            return count_text(round(value))
        return f"{value:.5g}" if math.isfinite(value) else str(value)
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


def sort_key(value: object, kind: str) -> str:
    """Return what a script compares; empty: it sorts by the shown text."""
    if kind not in NUMERIC:
        return ""
    if value is None:
        return "nan"
    return repr(float(value[0] if kind == "interval" else value))
