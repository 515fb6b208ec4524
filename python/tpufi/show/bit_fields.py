# SPDX-License-Identifier: Apache-2.0
"""Golden and faulty values of elements as coloured bits, for a terminal."""

from collections.abc import Iterator

import numpy as np
from rich.text import Text

from tpufi.element import Element, element, from_words
from tpufi.site_table import Site

_FIELDS = (("sign", "magenta"), ("exponent", "green"), ("mantissa", "cyan"))
_INTEGER = (("bits", "cyan"),)
_CHANGED = "bold reverse"


def bit_lines(
    site: Site,
    positions: np.ndarray,
    golden: np.ndarray,
    faulty: np.ndarray,
    limit: int,
) -> Iterator[Text]:
    """Yield lines that show the bits of elements before and after a fault.

    Fields are told by colour, changed bits by inversion and by a mark below, which is
    there without colours too.

    Args:
      site: the faulty site.
      positions: flat indices in the site's layout.
      golden: uint64, bits before.
      faulty: uint64, bits after.
      limit: elements that are shown.
    """
    layout = element(site.dtype)
    names = _fields(layout)
    yield Text.assemble(
        f"{site.name}, {site.dtype} {site.shape}: ",
        *((f"{name} ({width}) ", style) for name, style, width in names),
    )
    for where, before, after in zip(
        positions[:limit].tolist(),
        golden[:limit].tolist(),
        faulty[:limit].tolist(),
        strict=True,
    ):
        index = "/".join(map(str, np.unravel_index(where, site.shape)))
        yield Text(f"  {index}")
        changed = before ^ after
        for label, word in (("golden", before), ("faulty", after)):
            (value,) = from_words(np.array([word]), site.dtype)
            yield Text.assemble(
                f"    {label}  ", *_bits(layout, word, changed), f"  {value}"
            )
        marks = (" " if bit == "0" else "^" for bit in f"{changed:0{layout.bits}b}")
        yield Text("            " + _spaced("".join(marks), layout).rstrip())
    if len(positions) > limit:
        yield Text(f"  and {len(positions) - limit} more; --elements shows more")


def _fields(layout: Element) -> list[tuple[str, str, int]]:
    """Return name, style and width of each field, from the highest bit on."""
    if not layout.exponent_bits:
        return [(*_INTEGER[0], layout.bits)]
    widths = (1, layout.exponent_bits, layout.mantissa_bits)
    return [(*field, width) for field, width in zip(_FIELDS, widths, strict=True)]


def _bits(layout: Element, word: int, changed: int) -> Iterator[tuple[str, str]]:
    bit = layout.bits
    for number, (_, style, width) in enumerate(_fields(layout)):
        if number:
            yield " ", ""
        for _ in range(width):
            bit -= 1
            different = changed >> bit & 1
            yield str(word >> bit & 1), f"{style} {_CHANGED}" if different else style


def _spaced(marks: str, layout: Element) -> str:
    """Put a space between fields, as between those of the bits."""
    parts, begin = [], 0
    for _, _, width in _fields(layout):
        parts.append(marks[begin : begin + width])
        begin += width
    return " ".join(parts)
