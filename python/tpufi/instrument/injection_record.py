# SPDX-License-Identifier: Apache-2.0
"""What a fault did in a run: the faulty elements, their bits before and after."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA, record_numbers
from tpufi.element import ELEMENTS, width_of
from tpufi.errors import InputError
from tpufi.faulty_bits import faulty_bits, keep_of, words_of
from tpufi.instrument.fault_rows import Row
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.site_fault import AnyFault


@dataclasses.dataclass(frozen=True, eq=False)
class InjectionRecord:
    """What one row of a fault did.

    Args:
      site: where.
      fault: the fault as it was given.
      context: the execution that it names, see `tpufi.instrument.context`; -1: all.
      elements: int64, flat indices of the elements.
      keep: bits of the elements that are kept.
      words: uint64, the words of the elements.
      times: how many executions it was injected into; 0: there was no such execution.
        Of a fault that depends on values 1 if any element was, in whatever execution.
      golden: uint64, bits before the fault; None unless it was injected into one.
      faulty: uint64, bits after it; None too if they depend on more than the elements.
    """

    site: GraphSite
    fault: AnyFault
    context: int
    elements: np.ndarray
    keep: int
    words: np.ndarray
    times: int
    # An array where there is one execution, as nearly always: a reader need not ask.
    golden: Any
    faulty: Any

    @property
    def golden_values(self) -> Any:
        """The elements before the fault, an array of the site's type, or None."""
        return self._numbers(self.golden)

    @property
    def faulty_values(self) -> Any:
        """The elements after the fault, an array of the site's type, or None."""
        return self._numbers(self.faulty)

    def _numbers(self, words: np.ndarray | None) -> np.ndarray | None:
        if words is None:
            return None
        if self.site.dtype == "bool":
            return words.astype(bool)
        kind = ELEMENTS[self.site.dtype]
        return words.astype(kind.word).view(kind.numpy)

    def entry(self) -> dict:
        """Return this as plain values for a log; words are hexadecimal text."""
        numbers = {
            f"{key}_values": None if values is None else [str(v) for v in values]
            for key, values in (
                ("golden", self.golden_values),
                ("faulty", self.faulty_values),
            )
        }
        digits = -(-width_of(self.site.dtype) // 4)
        texts = {
            key: None if words is None else [f"{int(w):#0{digits + 2}x}" for w in words]
            for key, words in (("golden", self.golden), ("faulty", self.faulty))
        }
        return {
            "site": self.site.id,
            "name": self.site.name,
            "op": self.site.op,
            "dtype": self.site.dtype,
            "loops": self.site.loops,
            "context": self.context,
            "elements": self.elements.tolist(),
            "keep": f"{self.keep:#x}",
            "words": [f"{int(w):#x}" for w in self.words],
            "times": self.times,
            **texts,
            **numbers,
        }


def injections_of(
    rows: Sequence[Row], record: np.ndarray
) -> tuple[InjectionRecord, ...]:
    """Return what each row did.

    Args:
      rows: the rows of the descriptor.
      record: the record of the run, int64 [rows or more, 1 + capacity].
    """
    result = []
    for row, numbers in zip(rows, record_numbers(record), strict=False):
        count, injected = len(row.elements), int(numbers[0])
        times, rest = divmod(injected, count)
        one = times == 1
        if any(row.fault.trigger):
            times, rest = min(injected, 1), 0
            # Of several executions the bits are added up.
            one = bool(times) and not row.site.loops and row.context != EVERY_REPLICA
        assert rest == 0, (injected, count)
        golden = faulty = None
        if one:
            golden = numbers[1 : 1 + min(count, len(numbers) - 1)]
            faulty = faulty_bits(row.fault, golden, row.words)
        where = row.site, row.given, row.context, row.elements
        what = keep_of(row.fault), words_of(row.words, count), times
        result.append(InjectionRecord(*where, *what, golden, faulty))
    return tuple(result)


@contextlib.contextmanager
def told_of_sizes() -> Iterator[None]:
    """Turn the error of an element outside a tensor of unknown size into one line."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        _, found, why = error.message.partition("Tpufi>InjectFault at ")
        if not found:
            raise
        why = " ".join(why.split(";")[0].split())
        raise InputError(f"{why}; executions(...) tells the sizes") from None
