# SPDX-License-Identifier: Apache-2.0
"""Sources of faults: (campaign seed, experiment number) -> fault, a pure function."""

import abc
import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from tpufi.element import element
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.affected_outputs import draw_affected_outputs
from tpufi.faults.broken_unit import AnyFault
from tpufi.faults.draws import Draws
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.plan import SamplingPlan, SiteSpace
from tpufi.faults.unit_model import UnitModel
from tpufi.site_table import Site, SiteTable
from tpufi.units import UnitFault


class _Choice(NamedTuple):
    """A fault model with the sites it fits and their running weights."""

    model: FaultModel | UnitModel
    sites: tuple[Site, ...]
    cumulative: list[int]


class FaultSource(abc.ABC):
    """Gives the faults of a campaign by their numbers."""

    @abc.abstractmethod
    def draw(self, seed: int, number: int) -> AnyFault:
        """Return the fault of experiment `number` of the campaign `seed`.

        Args:
          seed: 0 <= seed < 2**64.
          number: 0 <= number < 2**64.

        Raises:
          ValueError: a number is outside its range.
        """

    @abc.abstractmethod
    def probabilities(self) -> dict[tuple[str, str], Fraction]:
        """Return the exact probability of every (fault model, site name) pair."""

    @abc.abstractmethod
    def site(self, name: str) -> Site:
        """Return a site by its name.

        Raises:
          InputError: there is no such site.
        """

    @property
    def rows(self) -> int:
        """Most rows of a descriptor of its faults."""
        return 1

    def sites(self) -> frozenset[str]:
        """Return the names of the sites that can be drawn."""
        drawn = self.probabilities().items()
        return frozenset(site for (_, site), share in drawn if share)

    def units(self) -> tuple[UnitFault, ...]:
        """Return a unit that is whole for each kind of unit that can be drawn.

        Of a kind are those that one program of a step serves.
        """
        return ()


class GivenFaults(FaultSource):
    """Faults that are given one by one, as injection files are; nothing is drawn.

    Args:
      faults: at least one. Experiment i has fault i, and after the last one the first.
      table: their sites.
    """

    def __init__(self, faults: Sequence[Fault], table: SiteTable):
        self._faults, self._table = tuple(faults), table

    def draw(self, seed: int, number: int) -> Fault:
        del seed
        return self._faults[number % len(self._faults)]

    def probabilities(self) -> dict[tuple[str, str], Fraction]:
        counts = collections.Counter((f.model, f.site) for f in self._faults)
        return {key: Fraction(n, len(self._faults)) for key, n in counts.items()}

    def site(self, name: str) -> Site:
        return self._table[self._table.id_of(name)]

    @property
    def rows(self) -> int:
        return max(fault.rows for fault in self._faults)


class Sampler(FaultSource):
    """Draws the faults of a campaign.

    The fault model is drawn first, then the site among those the model fits, then
    positions, values, moment and replica. All choices are independent.

    Args:
      space: the sites.
      plan: what to draw from.

    Raises:
      InputError: a fault model fits no site of the plan, or no site of it has weight;
        the message gives the reason.

    Example:
      >>> from tpufi.models import workload
      >>> sampler = Sampler(SiteSpace.of(workload("resnet18")), SamplingPlan())
      >>> sampler.draw(7, 0) == sampler.draw(7, 0)
      True
    """

    def __init__(self, space: SiteSpace, plan: SamplingPlan):
        self._space = space
        self._plan = plan
        units = [isinstance(model, UnitModel) for model, _ in plan.models]
        sites = () if all(units) else plan.sites(space)
        self._choices = [self._choice(model, sites) for model, _ in plan.models]
        # Broken units are parts of no site of the program.
        self._parts = {
            site.name: site
            for choice, is_unit in zip(self._choices, units, strict=True)
            for site in choice.sites
            if is_unit
        }
        self._models = _running_sums(weight for _, weight in plan.models)

    def draw(self, seed: int, number: int) -> AnyFault:
        draws, plan = Draws(seed, number), self._plan
        model, sites, cumulative = self._choices[draws.choose(self._models, "model")]
        site = sites[draws.choose(cumulative, "site")]
        if isinstance(model, UnitModel):
            epoch = _in_range(draws, plan.epochs, "epoch")
            step = _in_range(draws, plan.steps, "step")
            return model.draw(draws, site, plan.replicas, epoch, step)
        operation = self._space.operation_of(site)
        positions = model.extent.draw(draws, site, operation)
        value = model.rule.draw(draws, element(site.dtype), positions, site.size)
        affected = None
        if model.confined_to is not None:
            affected = draw_affected_outputs(
                draws, operation, site.operand, positions, model.confined_to
            )
        replica = plan.replicas[draws.below(len(plan.replicas), "replica")]
        when, duration = plan.when, _in_range(draws, plan.durations, "duration")
        if when is not None:
            if when.rate < 1:
                when = dataclasses.replace(when, key=draws.word("when"))
            duration = when.length
        return Fault(
            model=model.name,
            site=site.name,
            dtype=site.dtype,
            shape=site.shape,
            replica=0 if site.direction == "update" else replica,
            epoch=_in_range(draws, plan.epochs, "epoch"),
            step=_in_range(draws, plan.steps, "step"),
            duration=duration,
            elements=positions,
            operation=value.operation,
            keep=value.keep,
            words=value.words,
            affected=affected,
            stale=model.rule.stale,
            when=when,
        )

    def probabilities(self) -> dict[tuple[str, str], Fraction]:
        result = {}
        weights = _differences(self._models)
        for weight, (model, sites, cumulative) in zip(
            weights, self._choices, strict=True
        ):
            total = self._models[-1] * cumulative[-1]
            for site, share in zip(sites, _differences(cumulative), strict=True):
                result[model.name, site.name] = Fraction(weight * share, total)
        return result

    def site(self, name: str) -> Site:
        if name in self._parts:
            return self._parts[name]
        return self._space.table[self._space.table.id_of(name)]

    def sites(self) -> frozenset[str]:
        return super().sites() - self._parts.keys()

    def units(self) -> tuple[UnitFault, ...]:
        whole = [
            model.whole(sites[0])
            for model, sites, _ in self._choices
            if isinstance(model, UnitModel)
        ]
        return tuple({fault.unit.key: fault for fault in whole}.values())

    def _choice(
        self, model: FaultModel | UnitModel, sites: tuple[Site, ...]
    ) -> _Choice:
        if isinstance(model, UnitModel):
            if self._space.addresses is None:
                raise InputError(
                    f"plan: {model.name}: no unit breaks in this space; leave it out, "
                    "or make the space with ProgramSpace.of_program"
                )
            parts = model.sites(self._space.addresses)
            weights = [weight for _, weight in parts]
            own = tuple(site for site, _ in parts)
            return _Choice(model, own, list(itertools.accumulate(weights)))
        reasons = {s: model.misfit(s, self._space.operation_of(s)) for s in sites}
        fitting = tuple(site for site in sites if reasons[site] is None)
        if not fitting:
            # The most telling reason: that of a site whose operand would be right.
            site = max(sites, key=lambda s: s.operand == model.target)
            raise InputError(
                f"plan: fault model {model.name} fits none of {len(sites)} sites, e.g. "
                f"{site.name}: {reasons[site]}; leave the model out or add sites"
            )
        weights = {
            "elements": [site.size for site in fitting],
            "sites": [1 for _ in fitting],
            "macs": [self._space.macs_of(site) for site in fitting],
        }[self._plan.site_weights]
        if not any(weights):
            raise InputError(
                f"plan: no site that {model.name} fits belongs to a multiplication, so "
                "all weights by macs are 0; choose site_weights elements or sites"
            )
        return _Choice(model, fitting, list(itertools.accumulate(weights)))


def _in_range(draws: Draws, ends: tuple[int, int], what: str) -> int:
    first, last = ends
    return first + draws.below(last - first + 1, what)


def _running_sums(weights: Iterable[Fraction]) -> list[int]:
    """Return running sums of the weights as integers in the same proportions."""
    exact = [Fraction(weight) for weight in weights]
    scale = math.lcm(*(weight.denominator for weight in exact))
    sums = list(itertools.accumulate(int(weight * scale) for weight in exact))
    if sums[-1] >= 1 << 64:
        raise InputError(
            "plan: models: the weights have too many digits to add up exactly; write "
            "them as numbers of at most 6 digits"
        )
    return sums


def _differences(sums: list[int]) -> list[int]:
    return [b - a for a, b in itertools.pairwise([0, *sums])]
