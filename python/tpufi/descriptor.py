# SPDX-License-Identifier: Apache-2.0
"""The fault descriptor: what a compiled program is told about a fault at run time.

`faults` holds one row of int64 per fault and `words` the bits it works with; see
`cc/lib/fault_row.h`. All programs take a descriptor; "no fault" is one as well.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tpufi._library import host
from tpufi.errors import InputError

FIELDS = tuple(host.fault_fields)
RULES = tuple(host.fault_rules)
EVERY_REPLICA = -1
CAPACITY = 64  # Words per row: the largest group of the published fault models.
_NO_SITE = -1
_KEEP_NOTHING = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Descriptor:
    """Faults as arrays.

    Args:
      faults: int64 [rows, 11], fields as in `FIELDS`.
      words: uint64 [rows, capacity], bits in the low end of each word.
    """

    faults: np.ndarray
    words: np.ndarray

    @property
    def armed(self) -> bool:
        """Whether any row names a site."""
        return bool((self.faults[:, FIELDS.index("site")] != _NO_SITE).any())

    @property
    def fits_select(self) -> bool:
        """Whether a program with lowering `select` takes it (decision 0011)."""
        given = self.faults[:, FIELDS.index("rule")] <= RULES.index("repeat")
        plain = [FIELDS.index("block"), FIELDS.index("reach_count")]
        return bool(given.all() and not self.faults[:, plain].any())

    @property
    def fits_lean(self) -> bool:
        """Whether a program with lowering `lean` takes it (decision 0014)."""
        return self.fits_select and not self.faults[:, FIELDS.index("keep")].any()

    def positions(self, row: int = 0) -> np.ndarray:
        """Return the flat indices that a row strikes, int64 [count], in its order."""
        fields = dict(zip(FIELDS, self.faults[row].tolist(), strict=True))
        number = np.arange(fields["count"])
        if fields["block"] == 0:
            return fields["start"] + number
        block, within = np.divmod(number, fields["block"])
        return fields["start"] + block * fields["stride"] + within


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
        _fill(result, row, site, replica, start, count, _KEEP_NOTHING, "words")
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
    _fill(result, 0, site, replica, start, count, keep, "repeat")
    result.words[0, 0] = word
    return result


def fault_row(
    *,
    site: int,
    replica: int,
    start: int,
    count: int,
    block: int | None = None,
    stride: int | None = None,
    rule: str = "words",
    keep: int = 0,
    words: Sequence[int] = (),
    confine: tuple[int, int, int] | None = None,
    capacity: int = CAPACITY,
) -> Descriptor:
    """Return the descriptor of one fault of any kind.

    Args:
      site: id of the struck site.
      replica: the struck replica, or `EVERY_REPLICA`.
      start: flat index of the first struck element in the site's layout, >= 0.
      count: struck elements, >= 1.
      block: consecutive elements of a block, >= 1; None: all are consecutive.
      stride: distance of the starts of blocks, >= `block`.
      rule: value rule, one of `RULES`; the op's documentation defines them.
      keep: bits kept (`words`, `repeat`) or that may flip (`error_rate`), 64 bits.
      words: what the rule works with, each 0 to 2^64 - 1.
      confine: (start, stride, count): the flat indices start + j * stride, j < count,
        of the operation's output, which alone keep the error of a struck operand of a
        convolution or dense layer; None: all of them.
      capacity: words per row of the program.

    Raises:
      InputError: an argument is out of its range, or there are too few words or more
        than `capacity`.

    Example:
      >>> row = fault_row(site=3, replica=0, start=1, count=2, block=1, stride=4,
      ...                 rule="repeat", words=[0])
      >>> row.positions().tolist()
      [1, 5]
    """
    if rule not in RULES:
        raise InputError(f"value rule {rule!r} is unknown; known: {', '.join(RULES)}")
    if count < 1 or start < 0:
        raise InputError(
            f"start {start} with count {count} strikes nothing in any tensor; choose "
            "start 0 or more and count 1 or more"
        )
    if (block is None) != (stride is None):
        raise InputError(f"block {block} and stride {stride} come together or not")
    if block is not None and not 1 <= block <= stride:
        raise InputError(
            f"blocks of {block} elements at distance {stride} overlap or are empty; "
            "choose block 1 or more and stride at least block"
        )
    needed = words_needed(rule, count)
    if not needed <= len(words) <= capacity:
        raise InputError(
            f"rule {rule} for {count} elements needs {needed} words and a row holds "
            f"{capacity}, got {len(words)}; strike fewer elements or give all words"
        )
    if confine is not None and min(confine) < 0 or confine and 0 in confine[1:]:
        raise InputError(
            f"confinement (start, stride, count) {confine} holds no result; choose "
            "start 0 or more, stride and count 1 or more"
        )
    result = disarmed(1, capacity)
    _fill(result, 0, site, replica, start, count, keep, rule)
    # One way to write a single run, which the lowering `select` takes too.
    single = block is None or block >= count or block == stride
    fields = {} if single else {"block": block, "stride": stride}
    reach, stride_of_reach, results = confine or (0, 0, 0)
    fields |= {"reach_start": reach, "reach_count": results}
    fields |= {"reach_stride": stride_of_reach}
    for name, value in fields.items():
        result.faults[0, FIELDS.index(name)] = value
    result.words[0, : len(words)] = np.array(words, np.uint64)
    return result


def words_needed(rule: str, count: int) -> int:
    """Return how many words a fault of `count` elements needs.

    Args:
      rule: one of `RULES`.
      count: struck elements, >= 0.
    """
    return host.words_needed(RULES.index(rule), count)


def _fill(
    descriptor: Descriptor,
    row: int,
    site: int,
    replica: int,
    start: int,
    count: int,
    keep: int,
    rule: str,
) -> None:
    """Set the fields that every row has."""
    signed = int(np.uint64(keep & ((1 << 64) - 1)).astype(np.int64))
    descriptor.faults[row, :6] = (
        site,
        replica,
        start,
        count,
        signed,
        RULES.index(rule),
    )


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
