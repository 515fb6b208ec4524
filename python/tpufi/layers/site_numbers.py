# SPDX-License-Identifier: Apache-2.0
"""How the elements of the sites of a lean program are numbered (decision 0014).

Sites of one kind and shape, such as the outputs of all batch norms, share a bank: a
number that says how many elements a fault strikes there. Which site it is, and where
in it, is one number: the sites of a kind have different bases, and those of other
kinds with the same shape have the same ones, so that what a compiler fuses shares the
distance to the start.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from tpufi.site_table import Site

_NUMBERS = 1 << 32


class Numbers(NamedTuple):
    """How the elements of a site are numbered.

    Fields:
      base: number of the first one.
      bank: its kind among the sites of its shape.
    """

    base: int
    bank: int


def numbering(sites: Iterable[Site]) -> tuple[Numbers, ...]:
    """Return how the elements of each site are numbered.

    The kind of a site is its name without digits. The n-th site of a kind and shape has
    the base n * size behind those of all other shapes; banks are numbered for each
    shape anew, for numbers tell shapes apart.

    Raises:
      ValueError: there are more than 2^32 numbers.
    """
    kinds: dict[tuple[int, ...], dict[str, int]] = {}
    ranks: dict[tuple[str, tuple[int, ...]], int] = {}
    where: list[tuple[tuple[int, ...], int, int]] = []
    for site in sites:
        kind = re.sub(r"\d+", "", site.name)
        of_shape = kinds.setdefault(site.shape, {})
        bank = of_shape.setdefault(kind, len(of_shape))
        rank = ranks.get((kind, site.shape), 0)
        ranks[kind, site.shape] = rank + 1
        where.append((site.shape, rank, bank))
    most: dict[tuple[int, ...], int] = {}
    for (_, shape), count in ranks.items():
        most[shape] = max(most.get(shape, 0), count)
    first, free = {}, 0
    for shape, count in most.items():
        first[shape] = free
        free += count * math.prod(shape)
    if free > _NUMBERS:
        raise ValueError(
            f"lean sites of {len(most)} shapes have {free} numbers, at most {_NUMBERS} "
            "can be told apart; take fewer examples per replica, or lowering 'select'"
        )
    return tuple(
        Numbers(first[shape] + rank * math.prod(shape), bank)
        for shape, rank, bank in where
    )
