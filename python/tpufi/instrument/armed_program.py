# SPDX-License-Identifier: Apache-2.0
"""One trace of a program with fault ops behind chosen operations."""

import dataclasses
import functools
import threading
from collections.abc import Set

from tpufi.errors import InputError
from tpufi.faults.program_units import check_of_program
from tpufi.instrument.function_body import Survey
from tpufi.instrument.graph_faults import GraphFaults
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.options import Options
from tpufi.instrument.site_ops import SiteOps
from tpufi.instrument.spliced_program import SplicedProgram
from tpufi.instrument.traced_program import TracedProgram
from tpufi.instrument.unit_program import UnitProgram
from tpufi.integers import integer
from tpufi.messages import nearest_first, quote
from tpufi.units import Unit

SITES = ()  # The kind of faults that are not of a unit; of those it is `Unit.key`.


class ArmedProgram(SplicedProgram):
    """The program of one call signature, as a function of a fault descriptor too.

    Args:
      program: the trace.
      survey: its sites.
      chosen: ids of the sites to arm.
      options: how sites are made.
      jit_compile: whether XLA compiles it; None leaves that to the program, but on a
        GPU, where it has to.
    """

    in_graph = GraphFaults
    kind = SITES

    def __init__(
        self,
        program: TracedProgram,
        survey: Survey,
        chosen: Set[int],
        options: Options,
        jit_compile: bool | None,
    ):
        super().__init__(program, survey.body, SiteOps(chosen, options), jit_compile)
        self._survey, self._options, self._jit_compile = survey, options, jit_compile
        self.sites = tuple(site for site in survey.sites if site.id in chosen)
        self.skipped = tuple(survey.skipped)
        self._by_id = {site.id: site for site in self.sites}
        self._all, self._ids = {site.id for site in survey.sites}, survey.ids
        self._units: dict[tuple, UnitProgram] = {}
        self._making = threading.Lock()

    @property
    def by_id(self) -> dict[int, GraphSite]:
        """The armed sites by id, in the program's order."""
        return self._by_id

    def site(self, wanted: int | str) -> GraphSite:
        """Return an armed site by its id or its name.

        Raises:
          InputError: there is no such site, this trace does not have it, or it is not
            armed.
        """
        if isinstance(wanted, str):
            site_id = self._ids.id_of(wanted)
        else:
            site_id = integer("site", wanted)
        if site_id is None:
            near = nearest_first(wanted, [site.name for site in self.sites], 3)
            raise InputError(f"no site {quote(wanted)}; nearest armed ones: {near}")
        name = self._ids.name(site_id)
        if name is not None and site_id not in self._all:
            raise InputError(
                f"site {site_id}, {name}, is not in the trace for "
                f"{self.program.signature}, but in another one; inject into a site "
                "that armed(...).sites lists for such a call, or leave the call out"
            )
        if site_id not in self._by_id:
            known = ", ".join(map(str, list(self._by_id)[:5]))
            raise InputError(
                f"site {site_id} is not armed; the {len(self._by_id)} armed ones, "
                f"{known}, ..., are in describe(): arm more with sites="
            )
        return self._by_id[site_id]

    @functools.cached_property
    def no_faults(self) -> GraphFaults:
        """What a graph is told while nothing is injected."""
        return GraphFaults()

    @functools.cached_property
    def with_ranges(self) -> "ArmedProgram":
        """The same program; its record tells ranges of sites, which take no faults."""
        options = dataclasses.replace(self._options, ranges=True)
        chosen = self._by_id.keys()
        return ArmedProgram(
            self.program, self._survey, chosen, options, self._jit_compile
        )

    def with_unit(self, unit: Unit) -> UnitProgram:
        """Return the same program with a unit that may be broken, instead of sites.

        Args:
          unit: one of the kind; its place does not matter.

        Raises:
          InputError: programs have no such unit, or no operation of this one passes
            through it, or it has guards.
        """
        check_of_program(unit)
        if self._options.bounds or self._options.nan_guard:
            raise InputError(
                "unit: guards (bounds, nan_guard, mitigation) are behind sites, of "
                "which a program with a broken unit has none; leave them out"
            )
        with self._making:
            if unit.key not in self._units:
                self._units[unit.key] = UnitProgram(
                    self.program, self._survey, unit.built, self._jit_compile
                )
        return self._units[unit.key]
