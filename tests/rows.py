# SPDX-License-Identifier: Apache-2.0
"""Rows of descriptors for tests, also such as nobody would write."""

import numpy as np

from tpufi import descriptor
from tpufi.descriptor import FIELDS, OPERATIONS, Descriptor


def set_row(d: Descriptor, row: int, **fields: int | str) -> None:
    """Set fields of a row; the operation is a name or a number."""
    operation = fields.get("operation", 0)
    if isinstance(operation, str):
        fields["operation"] = OPERATIONS.index(operation)
    for name, value in fields.items():
        d.faults[row, FIELDS.index(name)] = value


def changing(
    site: int,
    replica: int,
    start: int,
    count: int,
    *,
    keep: int,
    word: int,
    capacity: int = descriptor.CAPACITY,
) -> Descriptor:
    """Return a descriptor that changes elements to `(x & keep) ^ word`."""
    result = descriptor.disarmed(1, capacity)
    signed = int(np.uint64(keep & ((1 << 64) - 1)).astype(np.int64))
    where = {"site": site, "replica": replica, "start": start, "count": count}
    set_row(result, 0, **where, operation="replace", keep=signed, words=1)
    result.words[0, 0] = word
    return result
