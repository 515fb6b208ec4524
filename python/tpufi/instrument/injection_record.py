# SPDX-License-Identifier: Apache-2.0
"""What a fault did in a run: the faulty elements, their bits before and after."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import read_record
from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.site_fault import Row, SiteFault, bits_of


@dataclasses.dataclass(frozen=True, eq=False)
class InjectionRecord:
    """What one row of a fault did.

    Args:
      site: where.
      fault: the fault.
      context: the execution that it names, see `tpufi.instrument.context`; -1: all.
      elements: int64, flat indices of the elements.
      words: uint64, the words of the elements.
      times: how many executions it was injected into; 0: there was no such execution.
      golden: uint64, bits before the fault; None unless it was injected into one.
      faulty: uint64, bits after it.
    """

    site: GraphSite
    fault: SiteFault
    context: int
    elements: np.ndarray
    words: np.ndarray
    times: int
    golden: np.ndarray | None
    faulty: np.ndarray | None

    @property
    def golden_values(self) -> np.ndarray | None:
        """The elements before the fault, as numbers of the site's type."""
        return self._numbers(self.golden)

    @property
    def faulty_values(self) -> np.ndarray | None:
        """The elements after the fault, as numbers of the site's type."""
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
        digits = -(-bits_of(self.site.dtype) // 4)
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
            "keep": f"{self.fault.keep & (1 << bits_of(self.site.dtype)) - 1:#x}",
            "words": [f"{int(w):#x}" for w in self.words],
            "times": self.times,
            **texts,
            **numbers,
        }


def injections_of(
    rows: Sequence[Row], sites: dict[int, GraphSite], record: np.ndarray
) -> tuple[InjectionRecord, ...]:
    """Return what each row did.

    Args:
      rows: the rows of the descriptor.
      sites: sites by id.
      record: the record of the run, int64 [rows or more, 1 + capacity].
    """
    result = []
    for row, injected in zip(rows, read_record(record), strict=False):
        site = sites[row.fault.site]
        times, rest = divmod(injected.count, len(row.elements))
        assert rest == 0, (injected.count, len(row.elements))
        golden = faulty = None
        if times == 1:
            golden = injected.golden
            mask = np.uint64((1 << bits_of(site.dtype)) - 1)
            keep = np.uint64(row.fault.keep & ((1 << 64) - 1))
            faulty = ((golden & keep) ^ row.words) & mask
        where = (row.context, row.elements, row.words, times)
        result.append(InjectionRecord(site, row.fault, *where, golden, faulty))
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
