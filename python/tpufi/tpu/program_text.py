# SPDX-License-Identifier: Apache-2.0
"""What the text of an optimised TPU program says about its cost.

The compiler writes its estimate of a fusion's run time behind it. A computation that
is called, by a loop or a conditional, is counted once wherever it stands in the text.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable

_HEAD = re.compile(r"^(?:ENTRY )?(%[\w.\-]+) .*\{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_BRANCHES = re.compile(
    r"branch_computations=\{([^}]*)\}"
    r"|true_computation=(%[\w.\-]+), false_computation=(%[\w.\-]+)"
)
# A copy between memories, which has no estimate; what it starts with is its result.
_COPY = re.compile(r" = \(?(\w+)\[([\d,]*)\]\S* .*?(?:copy|slice)-start\(")
_BITS = re.compile(r"\d+")
_CALLED = re.compile(r"(?:to_apply|body|calls)=(%[\w.\-]+)")
# How a program of a TPU talks to its host: queues, tagged sends, callbacks and buffers
# in the memory of the host (space 5 in a layout).
_HOST = (
    re.compile(r" = [^=]*? (?:infeed|outfeed)(?:-start|-done)?\("),
    re.compile(r" (?:send|recv)(?:-done)?\(.*is_host_transfer=true"),
    re.compile(r'custom_call_target="[^"]*(?i:host|callback|py_func)[^"]*"'),
    re.compile(r"\{[^{}]*S\(5\)[^{}]*\}"),
)


@dataclasses.dataclass(frozen=True)
class ProgramCost:
    """The cost of one compiled program.

    Args:
      cycles: sum of the estimated cycles of every fusion in the text.
      cycles_without_branches: the same with the cheapest branch of every conditional
        only: what runs where no fault is injected.
      cycles_with_branches: the same with the most expensive branches: what runs where
        every conditional injects.
      copied_bytes: what copies between memories move in one run, conditionals at
        their least; they have no estimate.
      fusions: fusions and other kernels that have an estimate.
      conditionals: conditionals, whose branches end fusions.
      host_transfers: the lines that exchange data with the host.
    """

    cycles: int
    cycles_without_branches: int
    cycles_with_branches: int
    copied_bytes: int
    fusions: int
    conditionals: int
    host_transfers: tuple[str, ...]


def read_program(text: str) -> ProgramCost:
    """Return what the text of an optimised HLO module says.

    Args:
      text: the module, as the compiler prints it.
    """
    computations = _computations(text)
    lines = [line for body in computations.values() for line in body]
    entry = next(
        (
            match[1]
            for match in map(_HEAD.match, text.splitlines())
            if match and match[0].startswith("ENTRY")
        ),
        None,
    )
    estimates = [int(n) for n in _CYCLES.findall(text)]
    return ProgramCost(
        cycles=sum(estimates),
        cycles_without_branches=_sum(computations, entry, _cycles, min),
        cycles_with_branches=_sum(computations, entry, _cycles, max),
        copied_bytes=_sum(computations, entry, _copied, min),
        fusions=len(estimates),
        conditionals=sum(bool(_BRANCHES.search(line)) for line in lines),
        host_transfers=tuple(
            line.strip()[:200]
            for line in lines
            if any(sign.search(line) for sign in _HOST)
        ),
    )


def _computations(text: str) -> dict[str, list[str]]:
    """Return the lines of each computation by its name."""
    found: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            name = head[1]
            found[name] = []
        elif line.startswith("}"):
            name = None
        elif name:
            found[name].append(line)
    return found


def _sum(
    computations: dict[str, list[str]],
    name: str | None,
    measure: Callable[[str], int],
    choose: Callable[[Iterable[int]], int],
) -> int:
    """Sum a measure over a computation and its calls; `choose` takes one branch."""

    def of(called: str) -> int:
        return _sum(computations, called, measure, choose)

    total = 0
    for line in computations.get(name, ()):
        total += measure(line)
        if branches := _branches(line):
            total += choose(map(of, branches))
        # A fusion's own estimate covers what it calls; a loop has none.
        elif not _CYCLES.search(line):
            for called in _CALLED.findall(line):
                total += of(called)
    return total


def _cycles(line: str) -> int:
    """Return the estimated cycles of a line."""
    return sum(int(n) for n in _CYCLES.findall(line))


def _copied(line: str) -> int:
    """Return the bytes that a line copies between memories."""
    copy = _COPY.search(line)
    if not copy or _CYCLES.search(line):
        return 0
    bits = _BITS.search(copy[1])
    width = int(bits[0]) // 8 if bits else 1  # `pred` is a byte.
    return width * math.prod(int(n) for n in copy[2].split(",") if n)


def _branches(line: str) -> list[str]:
    """Return the computations that a conditional chooses from; none of other lines."""
    found = _BRANCHES.search(line)
    if not found:
        return []
    return (found[1] or f"{found[2]}, {found[3]}").split(", ")
