# SPDX-License-Identifier: Apache-2.0
"""One fault: its site, elements, operation and moment."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tpufi import descriptor
from tpufi.descriptor import (
    CAPACITY,
    EVERY_REPLICA,
    OPERATIONS,
    Descriptor,
    words_fit,
    words_taken,
)
from tpufi.element import ELEMENTS, element
from tpufi.errors import InputError
from tpufi.site_table import Site, SiteTable


@dataclasses.dataclass(frozen=True)
class Elements:
    """Blocks of elements at equal distances in the flat, row-major order of a tensor.

    Element i of the run, 0 <= i < count, is at `start + (i // block) * stride + i %
    block`. One contiguous run has `block == stride == count`; a channel of an NHWC
    tensor has block 1 and stride C.

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

    @classmethod
    def run(cls, start: int, count: int) -> "Elements":
        """Return `count` elements that follow each other."""
        return cls(start, count, count, count)

    @property
    def is_run(self) -> bool:
        """Whether the elements follow each other without a gap."""
        return self.block >= self.count or self.block == self.stride

    @property
    def last(self) -> int:
        """Flat index of the last element."""
        blocks, rest = divmod(self.count - 1, self.block)
        return self.start + blocks * self.stride + rest

    def indices(self) -> np.ndarray:
        """Return the flat indices, int64 [count], ascending."""
        i = np.arange(self.count, dtype=np.int64)
        return self.start + i // self.block * self.stride + i % self.block


_KEEPING = ("replace", "error_rate")
_OF_ELEMENT_WIDTH = ("flip", "replace", "add", "multiply")
_WORD = 1 << 64


class AffectedOutputs(NamedTuple):
    """Results that keep the error of a faulty operand: flat indices at a distance.

    They are `start + j * stride`, 0 <= j < count.
    """

    start: int
    stride: int
    count: int


@dataclasses.dataclass(frozen=True)
class Fault:
    """Where, when and how one fault strikes; nothing is left to be drawn.

    Args:
      model: name of the fault model it was drawn from; for the reader only.
      site: name of the struck site, `layer/direction/operand`.
      dtype: element type of the site.
      shape: shape of the site, in the layout that positions refer to.
      replica: struck replica, or `descriptor.EVERY_REPLICA` (-1).
      epoch: epoch of the first struck step, from 0.
      step: first struck step in that epoch, from 0.
      duration: struck steps one after the other, >= 1; counted across epochs.
      positions: struck elements.
      operation: what is done to an element, one of `descriptor.OPERATIONS`; the
        documentation of the op defines them.
      keep: bits of the element that are kept (`replace`), or that can flip
        (`error_rate`); 0 for other operations.
      words: uint64 words of the operation: bits of the element type, flat source
        indices (`copy`), the key of a random stream, or key and rate in units of
        2**-32.
      confine: for operands of a convolution, the results that keep the error; None:
        all of them.
      stale: the words are the elements' bits one step before `step`. A stale fault
        without words strikes once `fault.holding` has filled them in.

    Raises:
      InputError: a field is out of range or contradicts another; the message names it.
    """

    model: str
    site: str
    dtype: str
    shape: tuple[int, ...]
    replica: int
    epoch: int
    step: int
    duration: int
    positions: Elements
    operation: str
    keep: int
    words: tuple[int, ...]
    confine: AffectedOutputs | None = None
    stale: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in ELEMENTS:
            raise _wrong("dtype", self.dtype, f"one of {', '.join(ELEMENTS)}")
        if not all(size >= 1 for size in self.shape):
            raise _wrong("shape", self.shape, "sizes of at least 1")
        if self.replica < EVERY_REPLICA:
            raise _wrong("replica", self.replica, "0 or more, or -1 for every replica")
        _at_least("epoch", self.epoch, 0)
        _at_least("step", self.step, 0)
        _at_least("duration", self.duration, 1)
        self._check_positions()
        self._check_words()
        if self.confine is not None:
            _at_least("confine start", self.confine.start, 0)
            _at_least("confine stride", self.confine.stride, 1)
            _at_least("confine count", self.confine.count, 1)

    def descriptor(self, table: SiteTable) -> Descriptor:
        """Return the fault as one row of run-time operands.

        Args:
          table: the sites of the program that is struck.

        Raises:
          InputError: no such site, the site has another shape or type, or the words of
            a stale fault are not known yet.
        """
        site = table[table.id_of(self.site)]
        self.check(site)
        if self.stale and not self.words:
            raise InputError(
                f"the stale fault at {self.site} has no words yet; record the step "
                "before it and call fault.holding"
            )
        where = self.positions
        # A single run is named as such: a fault has one way to be written.
        blocks = (None, None) if where.is_run else (where.block, where.stride)
        return descriptor.fault_row(
            site=table.id_of(self.site),
            replica=self.replica,
            start=where.start,
            count=where.count,
            block=blocks[0],
            stride=blocks[1],
            operation=self.operation,
            keep=self.keep,
            words=self.words,
            confine=self.confine and tuple(self.confine),
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

    def _check_positions(self) -> None:
        where, size = self.positions, math.prod(self.shape)
        _at_least("start", where.start, 0)
        _at_least("count", where.count, 1)
        _at_least("block", where.block, 1)
        if where.stride < where.block:
            raise _wrong("stride", where.stride, f"the block {where.block} or more")
        if where.last >= size:
            raise InputError(
                f"fault: last position {where.last} lies outside {self.site} of shape "
                f"{self.shape}; expected at most {size - 1}; correct start or count"
            )

    def _check_words(self) -> None:
        if self.operation not in OPERATIONS:
            known = f"one of {', '.join(OPERATIONS)}"
            raise _wrong("operation", self.operation, known)
        if self.stale and self.operation != "replace":
            raise _wrong("operation", self.operation, "'replace' for a stale fault")
        layout = element(self.dtype)
        if not 0 <= self.keep <= (layout.mask if self.operation in _KEEPING else 0):
            raise _wrong("keep", hex(self.keep), f"bits of {self.dtype} or 0")
        fit = words_fit(self.operation, self.positions.count, len(self.words))
        if self.stale:
            _at_most("count", self.positions.count, CAPACITY)
        if not fit and not (self.stale and not self.words):
            taken = words_taken(self.operation)
            raise _wrong("words", f"{len(self.words)} words", taken)
        _at_most("words: number", len(self.words), CAPACITY)
        bound, unit = _WORD, "64 bits"
        if self.operation in _OF_ELEMENT_WIDTH:
            bound, unit = layout.mask + 1, f"{layout.bits} bits of {self.dtype}"
        elif self.operation == "copy":
            bound, unit = math.prod(self.shape), f"a position in {self.shape}"
        for word in self.words:
            if not 0 <= word < bound:
                raise _wrong("words", f"{word:#x}", unit)
        if self.operation == "error_rate" and not 1 <= self.words[1] < 1 << 32:
            raise _wrong("words", f"rate {self.words[1]:#x}", "0x1 to 0xffffffff")


def _at_least(field: str, value: int, bound: int) -> None:
    if value < bound:
        raise _wrong(field, value, f"{bound} or more")


def _at_most(field: str, value: int, bound: int) -> None:
    if value > bound:
        raise _wrong(field, value, f"at most {bound}")


def _wrong(field: str, value: object, expected: str) -> InputError:
    return InputError(f"fault: {field}: {value!r}; expected {expected}; correct it")


def recording(fault: Fault, steps_per_epoch: int) -> Fault:
    """Return the fault that only reads the elements, one step before `fault`.

    Args:
      fault: a stale fault of one replica.
      steps_per_epoch: steps of an epoch, to step back across its start; > fault.step.

    Returns:
      A fault of the same elements that keeps every bit.

    Raises:
      InputError: the fault is not stale, names every replica (records of replicas are
        added up), strikes the very first step, or its step is not in the epoch.
    """
    _check_stale(fault)
    if fault.step >= steps_per_epoch:
        raise InputError(
            f"stale fault: step {fault.step} is not in an epoch of {steps_per_epoch} "
            f"steps; choose 0 to {steps_per_epoch - 1}"
        )
    if fault.epoch == 0 and fault.step == 0:
        raise InputError(
            "stale fault: epoch 0, step 0 has no step before it; choose a later step"
        )
    before = fault.epoch * steps_per_epoch + fault.step - 1
    return dataclasses.replace(
        fault,
        epoch=before // steps_per_epoch,
        step=before % steps_per_epoch,
        duration=1,
        operation="flip",
        keep=0,
        words=(0,),
        confine=None,
        stale=False,
    )


def holding(fault: Fault, bits: Sequence[int]) -> Fault:
    """Return the stale fault with the values it writes.

    Args:
      fault: a stale fault.
      bits: bits of the struck elements one step earlier, in the order of positions.

    Returns:
      The same fault, ready to strike.

    Raises:
      InputError: the fault is not stale, or the bits are not one word for each element.
    """
    _check_stale(fault)
    return dataclasses.replace(fault, words=tuple(int(word) for word in bits))


def _check_stale(fault: Fault) -> None:
    if not fault.stale:
        raise InputError(f"fault {fault.model} at {fault.site} is not stale")
    if fault.replica < 0:
        raise InputError(
            "stale fault: replica -1 means every replica, and the record cannot tell "
            "them apart; name one replica"
        )
