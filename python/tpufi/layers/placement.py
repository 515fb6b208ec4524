# SPDX-License-Identifier: Apache-2.0
"""Where a fault is in a lean program, worked out before the step (decision 0015).

A TPU takes as long for one scalar as for a small tensor, and a fault is the same for
all sites. So the host says which group of sites is struck, from which number on and how
far, and turns the words to where they belong; see `tpufi.layers.site_numbers`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import FIELDS, RULES, Descriptor
from tpufi.errors import InputError
from tpufi.layers.site_numbers import numbering
from tpufi.site_table import PASSES, SiteTable

NO_GROUP = 0


class Placed(NamedTuple):
    """A fault as operands of a lean program, of 32 bits each.

    Args:
      group: int32 scalar, number of the struck group from 1 on; 0: none is struck.
      targets: int32 [rows], the struck replica; see `EVERY_REPLICA`.
      starts: uint32 [rows], number of the first struck element.
      counts: uint32 [rows, banks], how many are struck at the sites of each bank.
      words: uint32 [rows, capacity]; an element with the flat index i in its site gets
        word i mod capacity.
      record: float32 [rows, 2, 4], struck elements of the passes and of the update as
        `read_record` takes them.
    """

    group: tf.Tensor | np.ndarray
    targets: tf.Tensor | np.ndarray
    starts: tf.Tensor | np.ndarray
    counts: tf.Tensor | np.ndarray
    words: tf.Tensor | np.ndarray
    record: tf.Tensor | np.ndarray


class Placement:
    """The groups of sites of a lean program.

    Args:
      table: all sites.
      groups: ids of the sites of each group; no site is in two.
    """

    def __init__(self, table: SiteTable, groups: Sequence[Sequence[int]]):
        self.table = table
        self.groups = tuple(tuple(ids) for ids in groups)
        self.numbers = {}
        self._group = {}
        for number, ids in enumerate(self.groups, 1):
            found = numbering([table[i] for i in ids])
            self.numbers |= dict(zip(ids, found, strict=True))
            self._group |= dict.fromkeys(ids, number)
        self._banks = 1 + max(n.bank for n in self.numbers.values())

    def place(self, fault: Descriptor) -> Placed:
        """Return a fault as operands, as arrays.

        Args:
          fault: one that `Descriptor.fits_lean` holds of, inside its sites.

        Raises:
          InputError: its rows strike sites of several groups.
        """
        rows, capacity = fault.words.shape
        placed = Placed(
            np.array(NO_GROUP, np.int32),
            np.zeros(rows, np.int32),
            np.zeros(rows, np.uint32),
            np.zeros((rows, self._banks), np.uint32),
            np.zeros((rows, capacity), np.uint32),
            np.zeros((rows, 2, 4), np.float32),
        )
        named: int | None = None
        for row, values in enumerate(fault.faults.tolist()):
            field = dict(zip(FIELDS, values, strict=True))
            site = field["site"]
            if site not in self.numbers:
                continue
            self._check_group(named, site)
            named = site
            placed.group[...] = self._group[site]
            self._place_row(placed, row, field, fault.words[row].astype(np.uint32))
        return placed

    def _place_row(
        self, placed: Placed, row: int, field: dict[str, int], words: np.ndarray
    ) -> None:
        base, bank = self.numbers[field["site"]]
        start, count = field["start"], field["count"]
        placed.targets[row] = field["replica"]
        placed.starts[row] = (base + start) % (1 << 32)
        placed.counts[row, bank] = count
        if field["rule"] == RULES.index("repeat"):
            placed.words[row] = words[0]
        else:
            places = (start + np.arange(count)) % len(words)
            placed.words[row, places] = words[:count]
        update = self.table[field["site"]].direction not in PASSES
        placed.record[row, int(update), :2] = count & 0xFFFF, count >> 16

    def _check_group(self, one: int | None, other: int) -> None:
        if one is not None and self._group[one] != self._group[other]:
            raise InputError(
                f"sites {self.table[one].name} and {self.table[other].name} are in two "
                "groups of this program, which strikes one group in a step; strike one "
                "of them, or make a Program with lowering='lean'"
            )
