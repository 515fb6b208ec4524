# SPDX-License-Identifier: Apache-2.0
"""The fault descriptor: what a compiled program is told about a fault at run time.

`faults` holds one row of int64 per fault and `words` the bits it works with; see
`cc/lib/operation.h`. An armed program takes one also where there is no fault.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from tpufi._library import host
from tpufi.errors import InputError
from tpufi.integers import integer
from tpufi.when import moments

FIELDS = tuple(host.fault_fields)
OPERATIONS = tuple(host.operations)
EVERY_REPLICA = -1
CAPACITY = 64  # Words per row: the largest group of the published fault models.
_NO_SITE = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Descriptor:
    """Faults as arrays.

    Args:
      faults: int64 [rows, 12], fields as in `FIELDS`.
      words: uint64 [rows, capacity], bits in the low end of each word.
      moments: int64 [rows, fields], see `tpufi.when.MOMENT_FIELDS`; None: the rows are
        injected in every step that has the descriptor.
    """

    faults: np.ndarray
    words: np.ndarray
    moments: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.moments is None:
            object.__setattr__(self, "moments", moments(len(self.faults)))

    @property
    def armed(self) -> bool:
        """Whether any row names a site."""
        return bool((self.faults[:, FIELDS.index("site")] != _NO_SITE).any())

    def positions(self, row: int = 0) -> np.ndarray:
        """Return the flat indices that a row names, int64 [count], in its order."""
        fields = dict(zip(FIELDS, self.faults[row].tolist(), strict=True))
        number = np.arange(fields["count"])
        if fields["block"] == 0:
            return fields["start"] + number
        block, within = np.divmod(number, fields["block"])
        return fields["start"] + block * fields["stride"] + within


@dataclasses.dataclass(frozen=True, eq=False)
class Injected:
    """What one row did: how many elements it changed, and their bits before.

    Args:
      count: how many elements the fault was injected into.
      golden: uint64, bits of the first `capacity` of them before the fault. Records of
        replicas are added up: the bits of a row that is injected into several
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

    Elements that follow each other share a row; any other set of positions takes as
    many rows as it has runs. The number of rows is part of a program's signature.

    Args:
      site: id of the faulty site.
      replica: the faulty replica, or `EVERY_REPLICA`.
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
        raise InputError("a fault without positions injects nothing; give at least one")
    if positions.min() < 0:
        raise InputError(f"position {positions.min()} is negative; choose 0 or more")
    if capacity < 1:
        raise InputError(f"capacity {capacity} holds no word; choose 1 or more")
    order = np.argsort(positions, kind="stable")
    positions, words = positions[order], words[order]
    if (np.diff(positions) == 0).any():
        raise InputError("positions of a fault must be distinct")
    return stacked(
        fault_row(
            site=site,
            replica=replica,
            start=int(positions[run.start]),
            count=run.stop - run.start,
            operation="replace",
            words=words[run].tolist(),
            capacity=capacity,
        )
        for run in runs_of(positions, capacity)
    )


def runs_of(indices: np.ndarray, longest: int) -> list[slice]:
    """Return the runs of consecutive numbers in ascending ones.

    Args:
      indices: int64 [n], ascending, distinct.
      longest: most numbers of a run, >= 1; a longer run becomes several.

    Returns:
      Where each run stands in `indices`.
    """
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    ends = [0, *breaks.tolist(), len(indices)]
    return [
        slice(begin, min(begin + longest, end))
        for first, end in itertools.pairwise(ends)
        for begin in range(first, end, longest)
    ]


def stacked(rows: Iterable[Descriptor]) -> Descriptor:
    """Return the rows of several descriptors of one capacity as one descriptor."""
    given = tuple(rows)
    return Descriptor(
        np.concatenate([row.faults for row in given]),
        np.concatenate([row.words for row in given]),
        np.concatenate([row.moments for row in given]),
    )


def fault_row(
    *,
    site: int,
    replica: int,
    start: int,
    count: int,
    block: int | None = None,
    stride: int | None = None,
    operation: str,
    keep: int = 0,
    words: Sequence[int] = (),
    confine: tuple[int, int, int] | None = None,
    capacity: int = CAPACITY,
) -> Descriptor:
    """Return the descriptor of one fault of any kind.

    Args:
      site: id of the site.
      replica: the replica, or `EVERY_REPLICA`.
      start: flat index of the first element in the site's layout, >= 0.
      count: elements, >= 1.
      block: consecutive elements of a block, >= 1; None: all are consecutive.
      stride: distance of the starts of blocks, >= `block`.
      operation: what is done to an element, one of `OPERATIONS`; the documentation of
        the op defines them.
      keep: bits that are kept (`replace`) or that may flip (`error_rate`), 64 bits.
      words: what the operation works with, each 0 to 2^64 - 1: one for each element or
        one for all; a key; a key and a rate; none (`zero`).
      confine: (start, stride, count): the flat indices start + j * stride, j < count,
        of the operation's output, which alone the error of a faulty operand of a
        convolution or dense layer reaches; None: all of them.
      capacity: words per row of the program.

    Raises:
      InputError: an argument is out of its range, or there are too few words or more
        than `capacity`.

    Example:
      >>> row = fault_row(site=3, replica=0, start=1, count=2, block=1, stride=4,
      ...                 operation="zero")
      >>> row.positions().tolist()
      [1, 5]
    """
    if operation not in OPERATIONS:
        raise InputError(
            f"operation {operation!r} is unknown; known: {', '.join(OPERATIONS)}"
        )
    if count < 1 or start < 0:
        raise InputError(
            f"start {start} with count {count} names no element of any tensor; choose "
            "start 0 or more and count 1 or more"
        )
    if (block is None) != (stride is None):
        raise InputError(f"block {block} and stride {stride} come together or not")
    if block is not None and not 1 <= block <= stride:
        raise InputError(
            f"blocks of {block} elements at distance {stride} overlap or are empty; "
            "choose block 1 or more and stride at least block"
        )
    if not words_fit(operation, count, len(words)) or len(words) > capacity:
        raise InputError(
            f"{len(words)} words are not what {operation} takes for {count} elements, "
            f"or more than the {capacity} of a row; give {words_taken(operation)}"
        )
    if confine is not None and min(confine) < 0 or confine and 0 in confine[1:]:
        raise InputError(
            f"confinement (start, stride, count) {confine} holds no result; choose "
            "start 0 or more, stride and count 1 or more"
        )
    # A single run is written in one way.
    single = block is None or block >= count or block == stride
    reach_start, reach_stride, results = confine or (0, 0, 0)
    row = {
        "site": site,
        "replica": replica,
        "operation": OPERATIONS.index(operation),
        "start": start,
        "count": count,
        "block": 0 if single else block,
        "stride": 0 if single else stride,
        "keep": int(np.uint64(keep & ((1 << 64) - 1)).astype(np.int64)),
        "words": len(words),
        "reach_start": reach_start,
        "reach_count": results,
        "reach_stride": reach_stride,
    }
    result = disarmed(1, capacity)
    result.faults[0] = [integer(field, row[field]) for field in FIELDS]
    result.words[0, : len(words)] = [integer("word", word) for word in words]
    return result


def words_fit(operation: str, count: int, given: int) -> bool:
    """Return whether `given` words are what an operation takes for `count` elements.

    Args:
      operation: one of `OPERATIONS`.
      count: elements, >= 1.
      given: how many words there are.
    """
    return host.words_fit(OPERATIONS.index(operation), count, given)


def takes_one_for_each(operation: str) -> bool:
    """Return whether an operation takes a word for each element, or one for all."""
    return words_fit(operation, 3, 3)


def words_for_all(operation: str) -> int:
    """Return how many words an operation takes that serve all elements: 0, 1 or 2."""
    return next(given for given in range(3) if words_fit(operation, 3, given))


def words_taken(operation: str) -> str:
    """Return in words how many words an operation takes."""
    if takes_one_for_each(operation):
        return "one for each element or one for all"
    return ("none", "a key", "a key and a rate")[words_for_all(operation)]


def record_shape(words: np.ndarray, noted: int = -1) -> tuple[int, int, int]:
    """Return the shape of a record that flows through a gradient.

    Args:
      words: the words of a descriptor, an array or a tensor.
      noted: most golden bits of a record; -1: as many as there are words.
    """
    rows, capacity = words.shape
    return rows, 4, 1 + (capacity if noted < 0 else min(noted, capacity))


def read_record(record: np.ndarray) -> tuple[Injected, ...]:
    """Decode the record of a step, one entry per row of its descriptor.

    Args:
      record: float32 [rows, 4, 1 + capacity] or int64 [rows, 1 + capacity], summed
        over all sites.
    """
    numbers = np.asarray(record).astype(np.uint64)
    if record.dtype != np.int64:
        numbers = sum(numbers[:, q] << np.uint64(16 * q) for q in range(4))
    return tuple(
        Injected(int(row[0]), row[1 : 1 + min(int(row[0]), len(row) - 1)])
        for row in numbers
    )
