# SPDX-License-Identifier: Apache-2.0
"""The sites of an instrumented program as the fault models see them."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from tpufi.element import ELEMENTS, element
from tpufi.errors import InputError
from tpufi.faults.affected_outputs import Operation
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.faults.plan import SiteSpace
from tpufi.faults.unit_model import Addresses
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.macs import MULTIPLYING
from tpufi.site_table import Site, SiteTable
from tpufi.units import Unit


@dataclasses.dataclass(frozen=True, eq=False)
class ProgramSpace(SiteSpace):
    """Where faults of a program can be injected.

    A site in a loop, of an unknown size, or of an element type without faults is left
    out. In a program that answers a batch of inputs, a fault belongs to one of them: it
    is drawn in the part that the input has of the tensor. What all inputs share, as
    weights, is whole.

    Args:
      graph: sites of the program by their names.
      items: inputs of a batch, the first axis of their tensors; None: no inputs apart.
    """

    graph: Mapping[str, GraphSite] = dataclasses.field(default_factory=dict)
    items: int | None = None

    @classmethod
    def of_program(
        cls, armed: ArmedProgram, units: Iterable[Unit] = (), items: int | None = None
    ) -> "ProgramSpace":
        """Return the space of a trace.

        Args:
          armed: the trace.
          units: one of each kind that breaks in it; their programs are made.
          items: see the class.

        Raises:
          InputError: no site is left, or the program has no such unit.
        """
        dtypes = {name for unit in units for name in armed.with_unit(unit).dtypes}
        addresses = None
        if dtypes:
            # What is drawn has to fit all products: a bit of the narrowest.
            narrowest = min(sorted(dtypes), key=lambda name: element(name).bits)
            addresses = Addresses(narrowest, {}, {})
        return cls.of_sites(armed.sites, items, addresses)

    @classmethod
    def of_sites(
        cls,
        sites: Iterable[GraphSite],
        items: int | None = None,
        addresses: Addresses | None = None,
    ) -> "ProgramSpace":
        """Return the space of an instrumented program.

        Args:
          sites: of the program.
          items: see the class.
          addresses: of a space of the same program, see `of_program`.

        Raises:
          InputError: no site is left, and no unit breaks.
        """
        graph = {site.name: site for site in sites if _fits(site, items)}
        if not graph and addresses is None:
            first = f"has the batch of {items} as its first axis" if items else "fits"
            raise InputError(f"no armed site {first}; arm others")
        table = SiteTable(_site(site, items) for site in graph.values())
        return cls("the program", table, {}, {}, addresses, graph=graph, items=items)

    def operation_of(self, site: Site) -> Operation | None:
        if site.operand != "output" or site.op not in MULTIPLYING:
            return None  # Nothing confines what an operand reaches.
        rows, columns = math.prod(site.shape[:-1]), site.shape[-1]
        one = (rows, 1, 1, columns)
        return Operation(one, (1, 1, columns, columns), one)

    def macs_of(self, site: Site) -> int:
        return self.graph[site.name].macs

    def is_shared(self, name: str) -> bool:
        """Whether all inputs of a batch share the tensor of a site."""
        return self.items is not None and not _has(self.graph[name], self.items)

    def of_item(self, fault: AnyFault, position: int) -> AnyFault:
        """Return the fault in the whole tensor of a batch; a unit has a part in all.

        Args:
          fault: as it was drawn.
          position: of its input in the batch.
        """
        if isinstance(fault, BrokenUnit):
            return fault
        if self.items is None or self.is_shared(fault.site):
            return fault
        site = self.graph[fault.site]
        first = position * (site.size // self.items)
        words = fault.words
        if fault.operation == "copy":
            words = tuple(word + first for word in words)
        elements = fault.elements.moved(first)
        return dataclasses.replace(
            fault, shape=site.shape, elements=elements, words=words
        )


def _fits(site: GraphSite, items: int | None) -> bool:
    if not site.size or site.loops or site.dtype not in ELEMENTS:
        return False
    return items is None or _has(site, items) or site.operand == "weight"


def _has(site: GraphSite, items: int | None) -> bool:
    """Whether each input of a batch has a separate part."""
    if items is None or site.operand == "weight":
        return False
    return bool(site.shape) and site.shape[0] == items


def _site(site: GraphSite, items: int | None) -> Site:
    return Site(
        layer=site.layer or site.name,
        direction=site.direction,
        operand=site.operand,
        shape=(1, *site.shape[1:]) if _has(site, items) else site.shape,
        dtype=site.dtype,
        op=site.op,
        own_name=site.name,
    )
