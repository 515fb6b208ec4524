# SPDX-License-Identifier: Apache-2.0
"""Keys of campaign files that tell moments: ranges, and when faults are injected."""

import re

from tpufi.errors import InputError
from tpufi.when import ALWAYS, ONCE, When
from tpufi.yaml_reader import Node


def read_range(node: Node) -> tuple[int, int]:
    """Return both ends of `FIRST-LAST`, or of one number."""
    text = node.value if isinstance(node.value, str) else ""
    match = re.fullmatch(r"([0-9]{1,30})(?:-([0-9]{1,30}))?", text)
    if not match:
        raise node.wrong("FIRST-LAST, both included, e.g. 0-48, or one number")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if first > last:
        raise node.wrong("a first number that is not above the last")
    return first, last


def read_when(node: Node) -> When:
    """Return when faults are injected: `once`, `always`, or conditions by name."""
    if isinstance(node.value, str):
        return _NAMED_MOMENTS[node.one_of(_NAMED_MOMENTS)]
    values = node.read(_WHEN)
    if not values:
        raise node.wrong(f"once, always, or keys among {', '.join(_WHEN)}")
    try:
        return When(**values)
    except InputError as error:
        reason = str(error).removeprefix("when: ")
        where = node.value.get(reason.partition(":")[0], node).where
        raise InputError(f"{where}: {node.key}: {reason}") from None


def _read_windows(node: Node) -> tuple[tuple[int, int], ...]:
    if isinstance(node.value, list):
        return tuple(map(read_range, node.items("windows of steps")))
    return (read_range(node),)


def _read_number(node: Node) -> float:
    try:
        return float(node.text("a number"))
    except ValueError:
        raise node.wrong("a number, e.g. 1e-3") from None


def _read_between(node: Node) -> tuple[float, float]:
    ends = node.items("[LOW, HIGH]")
    if len(ends) != 2:
        raise node.wrong("[LOW, HIGH], e.g. [-1, 1]")
    low, high = map(_read_number, ends)
    return low, high


def _read_exponents(node: Node) -> tuple[int, ...]:
    found = []
    for item in node.items("exponents, e.g. [-3, 4]"):
        if not re.fullmatch(r"-?[0-9]{1,6}", item.text()):
            raise item.wrong("a whole number")
        found.append(int(item.text()))
    return tuple(sorted(found))


_NAMED_MOMENTS = {"once": ONCE, "always": ALWAYS}
_WHEN = {
    "rate": _read_number,
    "every": Node.whole,
    "steps": _read_windows,
    "between": _read_between,
    "exponents": _read_exponents,
}
