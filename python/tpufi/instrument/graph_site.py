# SPDX-License-Identifier: Apache-2.0
"""A place in a program where a fault can be injected: an output of an operation."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class GraphSite:
    """One output of one operation of the program.

    Args:
      id: number of the site in its program; the same in every trace that has it, and
        whatever else is chosen.
      name: path through the program's functions, e.g. `lstm/while/body/MatMul:0`; no
        other site of the program has it, in any trace.
      op: TensorFlow's type of the operation, e.g. `Conv2D`.
      ordinal: this operation is the n-th of its type in the program, from 1.
      layer: scope of the operation, without the prefix of gradients.
      direction: `forward`, `backward` (computes gradients) or `update` (uses them).
      output: number of the operation's output.
      dtype: name of the element type; `bool` has one bit.
      shape: dimensions, None where they are only known when the program runs; None for
        an unknown rank.
      loops: in how many loops the operation is; 0 runs at most once.
      operand: `output`; `weight` for a variable as it is read; `input` or `weight` for
        what a multiplication reads, which other operations read without the fault.
      macs: multiply-accumulates of the operation; 0: none, or not known.
    """

    id: int
    name: str
    op: str
    ordinal: int
    layer: str
    direction: str
    output: int
    dtype: str
    shape: tuple[int | None, ...] | None
    loops: int
    operand: str = "output"
    macs: int = 0

    @property
    def known_shape(self) -> tuple[int, ...] | None:
        """The shape, or None if it is only known when the program runs."""
        return None if self.size is None else self.shape

    @property
    def size(self) -> int | None:
        """Number of elements, or None if it is only known when the program runs."""
        if self.shape is None or None in self.shape:
            return None
        return math.prod(self.shape)


def describe(sites: tuple[GraphSite, ...]) -> str:
    """Return a table of sites as text, one line each."""
    header = ("id", "op", "n", "direction", "dtype", "shape", "elements", "name")
    rows = [header]
    for site in sites:
        dims = (
            "?" if site.shape is None else "x".join(str(d or "?") for d in site.shape)
        )
        if site.shape is not None and 0 in site.shape:
            dims = "x".join("?" if d is None else str(d) for d in site.shape)
        size = "?" if site.size is None else str(site.size)
        what = (str(site.id), site.op, str(site.ordinal), site.direction, site.dtype)
        rows.append((*what, dims or "scalar", size, site.name))
    widths = [max(len(row[c]) for row in rows) for c in range(len(header))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
