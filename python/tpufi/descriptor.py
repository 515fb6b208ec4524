# SPDX-License-Identifier: Apache-2.0
"""The fault descriptor: what a compiled program is told about a fault at run time.

`faults` holds one row of int64 per fault and `words` the bits it writes; see
`cc/lib/fault_row.h`. All programs take a descriptor; "no fault" is one as well.
"""

import dataclasses

import numpy as np

from tpufi._library import host
from tpufi.errors import InputError

FIELDS = tuple(host.fault_fields)
EVERY_REPLICA = -1
CAPACITY = 64  # Words per row: the largest group of the published fault models.
_NO_SITE = -1
_KEEP_NOTHING = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Descriptor:
    """Faults as arrays.

    Args:
      faults: int64 [rows, 6], fields as in `FIELDS`.
      words: uint64 [rows, capacity], bits in the low end of each word.
    """

    faults: np.ndarray
    words: np.ndarray

    @property
    def armed(self) -> bool:
        """Whether any row names a site."""
        return bool((self.faults[:, FIELDS.index("site")] != _NO_SITE).any())


@dataclasses.dataclass(frozen=True, eq=False)
class Struck:
    """What one row did: how many elements it struck and their bits before.

    Args:
      count: elements struck.
      golden: uint64, bits of the first `capacity` of them before the fault. Records of
        replicas are added up: the bits of a row that strikes every one of several
        replicas cannot be told apart; give a row for each replica to read them.
    """

    count: int
    golden: np.ndarray


def disarmed(rows: int = 1, capacity: int = CAPACITY) -> Descriptor:
    """Return the descriptor of "no fault"."""
    faults = np.zeros((rows, len(FIELDS)), np.int64)
    faults[:, FIELDS.index("site")] = _NO_SITE
    return Descriptor(faults, np.zeros((rows, capacity), np.uint64))


def replacing(
    site: int,
    replica: int,
    positions: np.ndarray,
    words: np.ndarray,
    capacity: int = CAPACITY,
) -> Descriptor:
    """Return a descriptor that replaces elements of one site by given bits.

    Positions that follow each other share a row; any other set of positions takes as
    many rows as it has runs. The number of rows is part of a program's signature.

    Args:
      site: id of the struck site.
      replica: the struck replica, or `EVERY_REPLICA`.
      positions: int64 [n], distinct flat indices in the site's layout, in any order.
      words: uint64 [n], the new bits.
      capacity: words per row, >= 1.

    Raises:
      InputError: no positions, positions that are negative or not distinct, another
        number of words, or a capacity below 1.
    """
    positions, words = np.asarray(positions, np.int64), np.asarray(words, np.uint64)
    if positions.shape != words.shape or positions.ndim != 1:
        raise InputError(
            f"a fault needs one word for each position, got {positions.size} positions "
            f"and {words.size} words"
        )
    if len(positions) == 0:
        raise InputError("a fault without positions strikes nothing; give at least one")
    if positions.min() < 0:
        raise InputError(f"position {positions.min()} is negative; choose 0 or more")
    if capacity < 1:
        raise InputError(f"capacity {capacity} holds no word; choose 1 or more")
    order = np.argsort(positions, kind="stable")
    positions, words = positions[order], words[order]
    if (np.diff(positions) == 0).any():
        raise InputError("positions of a fault must be distinct")
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    runs = [
        piece[i : i + capacity]
        for piece in np.split(np.arange(len(positions)), breaks)
        for i in range(0, len(piece), capacity)
    ]
    result = disarmed(len(runs), capacity)
    for row, run in enumerate(runs):
        start, count = positions[run[0]], len(run)
        result.faults[row] = (site, replica, start, count, _KEEP_NOTHING, 0)
        result.words[row, :count] = words[run]
    return result


def rule(
    site: int,
    replica: int,
    start: int,
    count: int,
    *,
    keep: int,
    word: int,
    capacity: int = CAPACITY,
) -> Descriptor:
    """Return a descriptor that changes a run of elements to `(x & keep) ^ word`.

    Flip bits: `keep` all ones, `word` the mask. Stuck-at-0: `keep` without the bits.
    """
    result = disarmed(1, capacity)
    signed = int(np.uint64(keep & ((1 << 64) - 1)).astype(np.int64))
    result.faults[0] = (site, replica, start, count, signed, 1)
    result.words[0, 0] = word
    return result


def read_record(record: np.ndarray) -> tuple[Struck, ...]:
    """Decode the record of a step, one entry per row of its descriptor.

    Args:
      record: float32 [rows, 1 + capacity, 4], summed over all sites.
    """
    quarters = np.asarray(record).astype(np.uint64)
    numbers = sum(quarters[..., q] << np.uint64(16 * q) for q in range(4))
    return tuple(
        Struck(int(row[0]), row[1 : 1 + min(int(row[0]), len(row) - 1)])
        for row in numbers
    )
