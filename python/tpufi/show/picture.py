# SPDX-License-Identifier: Apache-2.0
"""The picture of a fault's spread: all results in the order of computation."""

import pathlib

from tpufi.errors import InputError
from tpufi.io import atomic_write
from tpufi.messages import quote, show_path
from tpufi.show.spread import Spread
from tpufi.show.subject import Subject
from tpufi.site_table import DIRECTIONS

ENDINGS = (".svg", ".png", ".pdf")
_COLOURS = dict(zip(DIRECTIONS, ("C0", "C1", "C2", "C3"), strict=True))
_MOST_LABELS = 45


def check_ending(path: pathlib.Path) -> None:
    """Refuse a path that is no picture's.

    Raises:
      InputError: its ending is not one of `ENDINGS`, or its folder does not exist.
    """
    if path.suffix not in ENDINGS:
        raise InputError(
            f"{show_path(path)}: ending {quote(path.suffix)}; known: "
            f"{', '.join(ENDINGS)}"
        )
    if not path.parent.is_dir():
        raise InputError(f"{show_path(path.parent)}: no such folder; make it first")


def draw_spread(subject: Subject, spread: Spread, path: pathlib.Path) -> None:
    """Write the picture, whole or not at all.

    Args:
      subject: the fault.
      spread: the comparison.
      path: file, one of `ENDINGS`; replaced if it exists.

    Raises:
      InputError: the file cannot be written, or matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "pictures need matplotlib; run: pip install 'tpufi[plot]'"
        ) from None
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    keys = list(spread.layers)
    for direction in DIRECTIONS:
        _draw_direction(upper, lower, spread, keys, direction)
    for axes in (upper, lower):
        axes.set_yscale("log")
        axes.grid(axis="y", alpha=0.3)
        where = _place_of_fault(subject, keys)
        axes.axvline(where, color="0.3", linestyle=":", label="injected here")
    upper.set_ylim(top=2)
    upper.set_ylabel("share of elements changed")
    lower.set_ylabel("largest change /\nlargest golden value")
    upper.set_title(subject.title, fontsize="medium", loc="left")
    upper.legend(loc="lower right", fontsize="small", ncols=6)
    thin = -(-len(keys) // _MOST_LABELS)
    ticks = range(0, len(keys), thin)
    lower.set_xticks(ticks, [keys[i][0] for i in ticks], rotation=90, fontsize=6)
    lower.set_xlabel("results in the order of computation")
    _save(figure, path)


def _draw_direction(upper, lower, spread: Spread, keys: list, direction: str) -> None:
    places = [i for i, key in enumerate(keys) if key[1] == direction]
    if not places:
        return
    colour = _COLOURS[direction]
    first, last = places[0] - 0.5, places[-1] + 0.5
    found = [(i, spread.layers[keys[i]]) for i in places]
    changed = [(i, change) for i, change in found if change.changed]
    for axes in (upper, lower):
        axes.axvspan(first, last, color=colour, alpha=0.06, linewidth=0)
    style = {"color": colour, "marker": "o", "markersize": 3, "linestyle": "none"}
    upper.plot(*_points([(i, c.share) for i, c in changed]), label=direction, **style)
    moved = [(i, c.relative) for i, c in changed if c.relative > 0]
    lower.plot(*_points(moved), **style)
    lost = [(i, c.share) for i, c in changed if c.not_finite]
    upper.plot(*_points(lost), "x", color="red", markersize=6)


def _points(pairs: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _place_of_fault(subject: Subject, keys: list[tuple[str, str]]) -> float:
    """Return the place of the faulty site: at its result, or before it."""
    key = subject.site.layer, subject.site.direction
    if key not in keys:
        return -0.5
    result = subject.site.operand.endswith("output")
    return keys.index(key) if result else keys.index(key) - 0.5


def _save(figure, path: pathlib.Path) -> None:
    with atomic_write(path) as scratch:
        figure.savefig(scratch, dpi=120)
