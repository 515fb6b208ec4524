# SPDX-License-Identifier: Apache-2.0
"""An armed program, cut at several places; each cut is made when it is first needed."""

import bisect
from collections.abc import Iterable

from tpufi.errors import InputError
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.prefix.cut import cut
from tpufi.instrument.prefix.inlined import inlined
from tpufi.instrument.prefix.pure import first_effect
from tpufi.instrument.traced_program import LoadedFunction

CUTS = 8
WHOLE = 0  # The cut in front of everything.


class CutProgram:
    """The halves of an armed program for each of its cuts.

    Cut n can strike its first site and all behind it; cut `WHOLE` is the program
    itself. A branch, a loop, or a part that XLA compiles is not cut.

    Args:
      armed: the program.
      cuts: how many, the whole program being one; >= 1.

    Raises:
      InputError: a part of the program cannot stand for it.
    """

    def __init__(self, armed: ArmedProgram, cuts: int = CUTS):
        if cuts < 1:
            raise InputError(f"{cuts} cuts; give 1 or more, 1 being the whole program")
        if armed.is_compiled:
            raise InputError(
                "XLA compiles this program and would round its parts in another way; "
                "instrument it with jit_compile=False, or do without a clean prefix"
            )
        effect = first_effect(armed.definition, armed.library)
        if effect is not None:
            raise InputError(
                f"the program changes a state or draws, at {effect}: a clean prefix "
                "would leave that out; do without it"
            )
        self.armed = armed
        self._definition, self._starts = inlined(armed)
        self._order = {site: place for place, site in enumerate(self._starts)}
        firsts: dict[str, int] = {}
        for site, node in self._starts.items():
            firsts.setdefault(node, site)
        places = list(firsts.values())
        chosen = {places[len(places) * n // cuts] for n in range(1, cuts)}
        self.firsts = sorted(chosen - {places[0]}, key=self._order.__getitem__)
        self._halves: dict[int, tuple[LoadedFunction, LoadedFunction]] = {}

    def number(self, sites: Iterable[int]) -> int:
        """Return the last cut that can strike all of these sites."""
        first = min((self._order[site] for site in sites), default=0)
        return bisect.bisect_right(self.firsts, first, key=self._order.__getitem__)

    def halves(self, number: int) -> tuple[LoadedFunction, LoadedFunction]:
        """Return the function before a cut, and the one after it."""
        if number not in self._halves:
            first = self.firsts[number - 1]
            after = list(self._starts.items())[self._order[first] :]
            starts = {node for _, node in after}
            made = cut(self._definition, starts, f"cut_{number}")
            halves = self.armed.load(made.before), self.armed.load(made.after)
            self._halves[number] = halves
        return self._halves[number]
