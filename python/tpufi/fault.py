# SPDX-License-Identifier: Apache-2.0
"""One fault: its site, elements, operation and moment."""

import abc
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tpufi import descriptor
from tpufi.descriptor import (
    CAPACITY,
    EVERY_REPLICA,
    OPERATIONS,
    Descriptor,
    disarmed,
    runs_of,
    stacked,
    takes_one_for_each,
    words_fit,
    words_for_all,
    words_taken,
)
from tpufi.element import BOOL, ELEMENTS, width_of
from tpufi.errors import InputError
from tpufi.site_table import Site, SiteTable
from tpufi.when import When

_KEEPING = ("replace", "error_rate")
# Words of these have the bits of an element.
_OF_ELEMENT_WIDTH = tuple(
    name for name in OPERATIONS if takes_one_for_each(name) and name != "copy"
)
# What these write depends on the element alone, not on its place or its tensor. Others
# cannot inject into listed elements: each row begins its own random stream, and a copy
# may read what the row before it wrote.
OF_THE_ELEMENT = (
    *(name for name in OPERATIONS if words_for_all(name) == 0),
    *_OF_ELEMENT_WIDTH,
)
_WORD = 1 << 64
_MOST_LISTED = 1 << 20
_LAST = 1 << 48


class Elements(abc.ABC):
    """A set of elements of a tensor, by their flat, row-major indices.

    Attributes:
      start: flat index of the first element.
      count: how many there are.
      last: flat index of the last element.
    """

    start: int
    count: int
    last: int

    @staticmethod
    def run(start: int, count: int) -> "Strided":
        """Return `count` elements that follow each other."""
        return Strided(start, count, count, count)

    @staticmethod
    def of(indices: np.ndarray) -> "Elements":
        """Return the elements of ascending flat indices: as one run if they are one."""
        flat = tuple(indices.tolist())
        together = 0 < len(flat) <= CAPACITY and flat[-1] - flat[0] == len(flat) - 1
        return Elements.run(flat[0], len(flat)) if together else Listed(flat)

    @abc.abstractmethod
    def indices(self) -> np.ndarray:
        """Return the flat indices, int64 [count], ascending."""

    @abc.abstractmethod
    def moved(self, distance: int) -> "Elements":
        """Return the elements that lie `distance` behind these."""

    @abc.abstractmethod
    def check(self) -> None:
        """Raise InputError unless these are elements of some tensor."""


@dataclasses.dataclass(frozen=True)
class Strided(Elements):
    """Blocks of elements at equal distances.

    Element i, 0 <= i < count, is at `start + (i // block) * stride + i % block`. One
    contiguous run has `block == stride == count`; a channel of an NHWC tensor has
    block 1 and stride C.

    Args:
      start: flat index of the first element, >= 0.
      count: elements, >= 1.
      block: elements that follow each other, >= 1.
      stride: distance of the starts of two blocks, >= block.
    """

    start: int
    count: int
    block: int
    stride: int

    @property
    def is_run(self) -> bool:
        """Whether the elements follow each other without a gap."""
        return self.block >= self.count or self.block == self.stride

    @property
    def last(self) -> int:
        blocks, rest = divmod(self.count - 1, self.block)
        return self.start + blocks * self.stride + rest

    def indices(self) -> np.ndarray:
        i = np.arange(self.count, dtype=np.int64)
        return self.start + i // self.block * self.stride + i % self.block

    def moved(self, distance: int) -> "Strided":
        return dataclasses.replace(self, start=self.start + distance)

    def check(self) -> None:
        _at_least("start", self.start, 0)
        _at_least("count", self.count, 1)
        _at_least("block", self.block, 1)
        if not _is_whole(self.stride) or self.stride < self.block:
            raise _wrong("stride", self.stride, f"the block {self.block} or more")


@dataclasses.dataclass(frozen=True)
class Listed(Elements):
    """Any elements, one by one.

    Args:
      flat: flat indices, >= 0, ascending, distinct, at least one.
    """

    flat: tuple[int, ...]

    @property
    def start(self) -> int:
        return self.flat[0]

    @property
    def count(self) -> int:
        return len(self.flat)

    @property
    def last(self) -> int:
        return self.flat[-1]

    def indices(self) -> np.ndarray:
        return np.array(self.flat, np.int64)

    def moved(self, distance: int) -> "Listed":
        return Listed(tuple(i + distance for i in self.flat))

    def runs(self) -> list[slice]:
        """Return the runs of consecutive elements, at most `CAPACITY` of each."""
        return runs_of(self.indices(), CAPACITY)

    def check(self) -> None:
        if not self.flat:
            raise _wrong("elements", "none", "at least one")
        _at_least("elements", self.flat[0], 0)
        for before, after in itertools.pairwise(self.flat):
            if not _is_whole(after) or after <= before:
                raise _wrong("elements", after, f"more than {before}, the one before")


def listed_runs(numbers: Sequence[tuple[int, int, int, int]]) -> Listed:
    """Return the elements of several runs, each (start, count, block, stride).

    Raises:
      InputError: a run is none, or they are not ascending and apart.
    """
    runs = [Strided(*run) for run in numbers]
    for run in runs:
        run.check()
        _at_most("last element", run.last, _LAST)
    _at_most("count", sum(run.count for run in runs), _MOST_LISTED)
    result = Listed(tuple(i for run in runs for i in run.indices().tolist()))
    result.check()
    return result


class AffectedOutputs(NamedTuple):
    """Results that keep the error of a faulty operand: flat indices at a distance.

    They are `start + j * stride`, 0 <= j < count.
    """

    start: int
    stride: int
    count: int


@dataclasses.dataclass(frozen=True)
class Fault:
    """Where, when and how one fault is injected; nothing is left to be drawn.

    Args:
      model: name of the fault model it was drawn from; for the reader only.
      site: name of the faulty site, `layer/direction/operand`.
      dtype: element type of the site; `bool` has one bit.
      shape: shape of the site, in the layout that positions refer to; None: known when
        the program runs.
      replica: faulty replica, or `descriptor.EVERY_REPLICA` (-1).
      epoch: epoch of the first faulty step, from 0.
      step: first faulty step in that epoch, from 0.
      duration: steps from the first to the last faulty one, >= 1; counted across
        epochs.
      elements: faulty elements. Listed ones take a row of a descriptor for each run,
        and the operations flip, zero, replace, add and multiply only.
      operation: what is done to an element, one of `descriptor.OPERATIONS`; the
        documentation of the op defines them.
      keep: bits of the element that are kept (`replace`), or that can flip
        (`error_rate`); 0 for other operations.
      words: uint64 words of the operation: bits of the element type, flat source
        indices (`copy`), the key of a random stream, or key and rate in units of
        2**-32.
      affected: for operands of a convolution, the results that keep the error; None:
        all of them.
      stale: the words are the elements' bits one step before `step`. A stale fault
        without words can be injected once `stale.holding` has filled them in.
      iterations: of the loops that the site of a program is in, from the outermost, the
        iteration of each; None: every execution.
      when: in which of these steps, at which replicas and into which values it is
        injected; its `length` is the duration. None: in all.

    Raises:
      InputError: a field is out of range or contradicts another; the message names it.
    """

    model: str
    site: str
    dtype: str
    shape: tuple[int, ...] | None
    replica: int
    epoch: int
    step: int
    duration: int
    elements: Elements
    operation: str
    keep: int
    words: tuple[int, ...]
    affected: AffectedOutputs | None = None
    stale: bool = False
    iterations: tuple[int, ...] | None = None
    when: When | None = None

    def __post_init__(self) -> None:
        if self.dtype not in (*ELEMENTS, BOOL):
            raise _wrong("dtype", self.dtype, f"one of {', '.join(ELEMENTS)}")
        if not all(_is_whole(size) and size >= 1 for size in self.shape or ()):
            raise _wrong("shape", self.shape, "sizes of at least 1")
        if not _is_whole(self.replica) or self.replica < EVERY_REPLICA:
            raise _wrong("replica", self.replica, "0 or more, or -1 for every replica")
        _at_least("epoch", self.epoch, 0)
        _at_least("step", self.step, 0)
        _at_least("duration", self.duration, 1)
        for iteration in self.iterations or ():
            _at_least("iterations", iteration, 0)
        if self.when is not None and self.duration != self.when.length:
            raise _wrong("duration", self.duration, f"{self.when.length}, as when says")
        self._check_elements()
        self._check_words()
        if self.affected is not None:
            _at_least("affected outputs: start", self.affected.start, 0)
            _at_least("affected outputs: stride", self.affected.stride, 1)
            _at_least("affected outputs: count", self.affected.count, 1)

    @property
    def rows(self) -> int:
        """Rows of its descriptor: one for each run of listed elements, else one."""
        return len(self.elements.runs()) if isinstance(self.elements, Listed) else 1

    def descriptor(self, table: SiteTable, rows: int = 1, first: int = 0) -> Descriptor:
        """Return the fault as rows of run-time operands.

        Args:
          table: the sites of the program that the fault is injected into.
          rows: at least so many; those that the fault does not need name no site. The
            number of rows is part of a program's signature.
          first: its first step since the start of training, which `when` counts from.

        Raises:
          InputError: no such site, the site has another shape or type, or the words of
            a stale fault are not known yet.
        """
        site = table[table.id_of(self.site)]
        self.check(site)
        if self.stale and not self.words:
            raise InputError(
                f"the stale fault at {self.site} has no words yet; record the step "
                "before it and call stale.holding"
            )
        own = tuple(self._rows(table.id_of(self.site)))
        if self.when is not None:
            moment = np.tile(self.when.moment(first), (len(own), 1))
            own = (dataclasses.replace(stacked(own), moments=moment),)
        missing = rows - self.rows
        return stacked((*own, disarmed(missing)) if missing > 0 else own)

    def _rows(self, site: int) -> Iterator[Descriptor]:
        whole = self.elements
        if isinstance(whole, Strided):
            # A single run is named as such: a fault has one way to be written.
            blocks = (None, None) if whole.is_run else (whole.block, whole.stride)
            yield self._row(site, whole.start, whole.count, self.words, *blocks)
        elif isinstance(whole, Listed):
            each = len(self.words) > 1
            for run in whole.runs():
                words = self.words[run] if each else self.words
                yield self._row(
                    site, whole.flat[run.start], run.stop - run.start, words
                )

    def _row(
        self,
        site: int,
        start: int,
        count: int,
        words: tuple[int, ...],
        block: int | None = None,
        stride: int | None = None,
    ) -> Descriptor:
        return descriptor.fault_row(
            site=site,
            replica=self.replica,
            start=start,
            count=count,
            block=block,
            stride=stride,
            operation=self.operation,
            keep=self.keep,
            words=words,
            confine=self.affected and tuple(self.affected),
        )

    def check(self, site: Site) -> None:
        """Refuse a site that is not the one this fault was drawn for."""
        mine = (self.site, self.shape, self.dtype)
        if mine != (site.name, site.shape, site.dtype):
            raise InputError(
                f"the fault was drawn for {self.site}, {self.dtype} {self.shape}, but "
                f"{site.name} is {site.dtype} {site.shape}; use the batch per replica "
                "and the type it was drawn for"
            )

    def _check_elements(self) -> None:
        where = self.elements
        where.check()
        size = where.last + 1 if self.shape is None else math.prod(self.shape)
        if where.last >= size:
            raise InputError(
                f"fault: last position {where.last} lies outside {self.site} of shape "
                f"{self.shape}; expected at most {size - 1}; correct start or count"
            )
        if isinstance(where, Listed):
            if self.operation in OPERATIONS and self.operation not in OF_THE_ELEMENT:
                known = f"one of {', '.join(OF_THE_ELEMENT)} for listed elements"
                raise _wrong("operation", self.operation, known)
            if self.affected is not None or self.stale:
                field = "stale" if self.stale else "affected"
                raise _wrong(field, getattr(self, field), "none for listed elements")

    def _check_words(self) -> None:
        if self.operation not in OPERATIONS:
            known = f"one of {', '.join(OPERATIONS)}"
            raise _wrong("operation", self.operation, known)
        if self.stale and self.operation != "replace":
            raise _wrong("operation", self.operation, "'replace' for a stale fault")
        width = width_of(self.dtype)
        mask = (1 << width) - 1
        bits = mask if self.operation in _KEEPING else 0
        if not _is_whole(self.keep) or not 0 <= self.keep <= bits:
            raise _wrong("keep", _hex(self.keep), f"bits of {self.dtype} or 0")
        fit = words_fit(self.operation, self.elements.count, len(self.words))
        if self.stale:
            _at_most("count", self.elements.count, CAPACITY)
        if not fit and not (self.stale and not self.words):
            taken = words_taken(self.operation)
            raise _wrong("words", f"{len(self.words)} words", taken)
        if isinstance(self.elements, Strided):
            _at_most("words: number", len(self.words), CAPACITY)
        bound, unit = _WORD, "64 bits"
        if self.operation in _OF_ELEMENT_WIDTH:
            bound, unit = mask + 1, f"{width} bits of {self.dtype}"
        elif self.operation == "copy" and self.shape is not None:
            bound, unit = math.prod(self.shape), f"a position in {self.shape}"
        for word in self.words:
            if not _is_whole(word) or not 0 <= word < bound:
                raise _wrong("words", _hex(word), unit)
        if self.operation == "error_rate" and not 1 <= self.words[1] < 1 << 32:
            raise _wrong("words", f"rate {self.words[1]:#x}", "0x1 to 0xffffffff")


def _is_whole(value: object) -> bool:
    """Tell whether a value is a whole number; a truth value is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _hex(value: object) -> object:
    return hex(value) if _is_whole(value) else value


def _at_least(field: str, value: int, bound: int) -> None:
    if not _is_whole(value) or value < bound:
        raise _wrong(field, value, f"{bound} or more")


def _at_most(field: str, value: int, bound: int) -> None:
    if value > bound:
        raise _wrong(field, value, f"at most {bound}")


def _wrong(field: str, value: object, expected: str) -> InputError:
    return InputError(f"fault: {field}: {value!r}; expected {expected}; correct it")


def single_bit(fault: Fault) -> int | None:
    """Return the one bit that a fault changes in every faulty element, or None.

    It is known from the fault alone where all other bits are kept.
    """
    if fault.operation not in ("flip", "replace"):
        return None
    # The element becomes (x & keep) ^ word; flip keeps all bits.
    mask = (1 << width_of(fault.dtype)) - 1
    changed = 0 if fault.operation == "flip" else mask & ~fault.keep
    for word in fault.words:
        changed |= word
    return changed.bit_length() - 1 if changed.bit_count() == 1 else None
