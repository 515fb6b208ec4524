# SPDX-License-Identifier: Apache-2.0
"""From what the faults of a campaign are drawn, and with which weights."""

import collections
import dataclasses
import fnmatch
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import tpufi
from tpufi.errors import InputError
from tpufi.faults.affected_outputs import Operation, operation
from tpufi.faults.artefact_lists import sampling_list
from tpufi.faults.catalogue import FAULT_MODELS
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.injection import STAGES
from tpufi.faults.unit_model import Addresses, UnitModel
from tpufi.messages import nearest_first, quote
from tpufi.site_table import BACKWARD, DIRECTIONS, UPDATE, Site, SiteTable
from tpufi.units import Unit
from tpufi.untrusted import reading, regular_expression
from tpufi.when import When

_MULTIPLYING = ("forward", "grad_in", "grad_wt")
_OPERANDS = ("input", "weight", "output")


@dataclasses.dataclass(frozen=True, eq=False)
class SiteSpace:
    """Where faults of one workload can be injected.

    Args:
      workload: its name, as the artefact's sampling lists know it.
      table: its sites.
      operations: (layer, direction) -> the convolution computed there.
      macs: layer -> multiply-accumulates of its forward pass for one replica; each of
        its gradients takes as many. Layers that multiply nothing may be left out.
      addresses: what a broken unit can store; None: no unit breaks.
    """

    workload: str
    table: SiteTable
    operations: Mapping[tuple[str, str], Operation]
    macs: Mapping[str, int]
    addresses: Addresses | None = None

    @classmethod
    def of(cls, workload: "tpufi.Workload", per_replica: int = 128) -> "SiteSpace":
        """Return the space of a workload.

        Args:
          workload: the workload.
          per_replica: images of one replica, >= 1.

        Raises:
          InputError: `per_replica` is below 1.
        """
        if per_replica < 1:
            raise InputError(f"batch of {per_replica} per replica; choose 1 or more")
        ops = {layer.name: type(layer).__name__ for layer, _ in workload.layers}
        update = type(workload.optimizer).__name__
        table = SiteTable(
            dataclasses.replace(
                site,
                op=update if site.direction == UPDATE else ops.get(site.layer, ""),
            )
            for site in workload.sites(per_replica)
        )
        by_place: dict[tuple[str, str], dict[str, Site]] = {}
        for site in table:
            place = by_place.setdefault((site.layer, site.direction), {})
            place[site.operand] = site
        operations, macs = {}, {}
        for layer, shape in workload.layers:
            macs[layer.name] = layer.macs(shape, per_replica)
            for direction in _MULTIPLYING:
                sites = by_place.get((layer.name, direction), {})
                found = operation(layer, direction, sites)
                if found is not None:
                    operations[layer.name, direction] = found
        addresses = Addresses(workload.dtype, _stored(workload), _kept(workload, table))
        return cls(workload.name, table, operations, macs, addresses)

    def operation_of(self, site: Site) -> Operation | None:
        """Return the convolution whose input, weight or output `site` is, or None."""
        if site.operand not in _OPERANDS:
            return None
        return self.operations.get((site.layer, site.direction))

    def macs_of(self, site: Site) -> int:
        """Return the multiply-accumulates of the operation that reads or makes `site`.

        0 for tensors that no multiplication reads or makes, e.g. batch statistics.
        """
        if site.direction not in _MULTIPLYING or site.operand not in _OPERANDS:
            return 0
        return self.macs.get(site.layer, 0)


def _stored(workload: "tpufi.Workload") -> dict[str, int]:
    """Return the elements of all weights, slots and statistics, by name."""
    weights = {w.name: math.prod(w.shape) for w in workload.parameters}
    slots = {
        f"{name}/{slot}": size
        for name, size in weights.items()
        for slot in workload.optimizer.slots()
    }
    statistics = {w.name: math.prod(w.shape) for w in workload.statistics}
    return weights | slots | statistics


def _kept(workload: "tpufi.Workload", table: SiteTable) -> dict[str, int]:
    """Return the numbers that layers keep for their backward passes, by layer."""

    def dtype(layer: str) -> str:
        return table[table.id_of(f"{layer}/forward/input")].dtype

    kept = table.kept().items()
    return {layer: n for layer, n in kept if dtype(layer) == workload.dtype}


SITE_WEIGHTS = ("elements", "sites", "macs")
_REGEX = "re:"
_LATEST = 1 << 31


def equally(models: Sequence[FaultModel]) -> tuple[tuple[FaultModel, Fraction], ...]:
    """Give every fault model the same weight."""
    return tuple((model, Fraction(1)) for model in models)


@dataclasses.dataclass(frozen=True)
class SamplingPlan:
    """What a campaign draws from. Ranges include both ends.

    Args:
      models: fault models and units that break, with their weights, > 0; no name
        twice.
      site_weights: how the site is drawn among those that a drawn model fits:
        `elements` (every element of every site equally), `sites` (every site equally)
        or `macs` (by the multiply-accumulates of the site's operation; sites that no
        multiplication reads or makes are left out).
      patterns: names `layer/direction/operand` to draw from: shell patterns such as
        `*/forward/*`, or `re:` and a regular expression for the whole name. A site
        must match one of them; each must match a site. Empty: all sites.
      directions: among `sites.DIRECTIONS`; empty: all.
      stages: sampling lists of the artefact to draw from, `fwrd_inject` and
        `bkwd_inject`; empty: not restricted.
      epochs: first and last epoch.
      steps: first and last step in the epoch.
      durations: shortest and longest duration in steps.
      when: in which steps from the drawn one on a fault is injected, how often and into
        which values; its key is drawn, and its length takes the place of durations.
        None: in all steps of the duration. Of a unit its model says it.
      replicas: replicas that faults can be injected into. The update of a weight
        happens once: its sites name replica 0.

    Raises:
      InputError: a field is out of range; the message names it and the bound.
    """

    models: tuple[tuple[FaultModel | UnitModel, Fraction], ...] = equally(
        tuple(FAULT_MODELS.values())
    )
    site_weights: str = "elements"
    patterns: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    epochs: tuple[int, int] = (0, 79)
    steps: tuple[int, int] = (0, 48)
    durations: tuple[int, int] = (1, 1)
    replicas: tuple[int, ...] = tuple(range(8))
    when: When | None = None

    def __post_init__(self) -> None:
        _known("site_weights", self.site_weights, SITE_WEIGHTS)
        for direction in self.directions:
            _known("directions", direction, (*DIRECTIONS, BACKWARD))
        for stage in self.stages:
            _known("stages", stage, STAGES)
        self._check_models()
        _check_range("epochs", self.epochs, 0)
        _check_range("steps", self.steps, 0)
        _check_range("durations", self.durations, 1)
        if self.when is not None and self.durations != (1, 1):
            raise InputError(
                f"plan: durations: {self.durations[0]} to {self.durations[1]} beside "
                "when, which says how long a fault lasts; remove one of the two"
            )
        for pattern in self.patterns:
            _matcher(pattern)
        if not self.replicas:
            raise InputError("plan: replicas: none; name at least one, e.g. 0")
        times = collections.Counter(self.replicas)
        for replica in self.replicas:
            if not 0 <= replica < _LATEST or times[replica] > 1:
                raise InputError(
                    f"plan: replicas: {replica}; expected different numbers from 0 on; "
                    "correct or remove it"
                )

    @property
    def units(self) -> tuple[Unit, ...]:
        """Units that are drawn from, one for each model of them."""
        models = (model for model, _ in self.models)
        return tuple(model.unit for model in models if isinstance(model, UnitModel))

    def sites(self, space: SiteSpace) -> tuple[Site, ...]:
        """Return the sites of a workload that the plan draws from, in their order.

        Raises:
          InputError: a pattern matches no site, is no regular expression, the artefact
            has no list for the workload, or nothing is left.
        """
        found = list(space.table)
        if self.patterns:
            matchers = [_matcher(pattern) for pattern in self.patterns]
            for pattern, matches in zip(self.patterns, matchers, strict=True):
                if not any(matches(site.name) for site in found):
                    names = [site.name for site in found]
                    raise InputError(
                        f"plan: patterns: {quote(pattern)} matches none of the "
                        f"{len(names)} sites of {space.workload}; nearest: "
                        f"{nearest_first(pattern, names, limit=3)}"
                    )
            found = [s for s in found if any(matches(s.name) for matches in matchers)]
        if self.directions:
            found = [s for s in found if s.direction in self.directions]
        if self.stages:
            listed = {
                layer
                for stage in self.stages
                for layer in sampling_list(space.workload, stage)
            }
            found = [s for s in found if _artefact_name(s) in listed]
        if not found:
            raise InputError(
                f"plan: no site of {space.workload} is left by patterns, directions "
                "and stages together; drop one of them"
            )
        return tuple(found)

    def _check_models(self) -> None:
        if not self.models:
            raise InputError("plan: models: none; name at least one fault model")
        for model, _ in self.models:
            if not isinstance(model, FaultModel | UnitModel):
                raise InputError(
                    f"plan: models: {type(model).__name__} is nothing to draw from; "
                    "give a FaultModel, or a UnitModel of a unit"
                )
        names = [model.name for model, _ in self.models]
        for (model, weight), name in zip(self.models, names, strict=True):
            if not weight > 0:
                raise InputError(
                    f"plan: models: weight {weight} of {name}; expected more than 0; "
                    "leave the model out instead"
                )
            if names.count(name) > 1:
                raise InputError(f"plan: models: {name} twice; name it once")
            if isinstance(model, UnitModel) and self.durations != (1, 1):
                raise InputError(
                    f"plan: durations: of faults of a tensor; how long {name} is "
                    "broken its when says; remove durations"
                )
            if model.stale and self.epochs[0] == 0 and self.steps[0] == 0:
                raise InputError(
                    f"plan: models: {name} needs the step before, and epoch 0, step 0 "
                    "has none; begin steps or epochs at 1"
                )


def _matcher(pattern: str) -> Callable[[str], object]:
    if not pattern.startswith(_REGEX):
        return re.compile(fnmatch.translate(pattern)).fullmatch
    remedy = "correct it, or drop re: for a shell pattern"
    what = "is not a regular expression"
    with reading(f"plan: patterns: {quote(pattern)}", remedy, what):
        return regular_expression(pattern.removeprefix(_REGEX)).fullmatch


def _artefact_name(site: Site) -> str:
    if site.direction == "forward":
        return site.layer
    return f"{site.layer}_{site.direction}"


def _known(field: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(
            f"plan: {field}: unknown {quote(name)}; known: {', '.join(known)}"
        )


def _check_range(field: str, ends: tuple[int, int], least: int) -> None:
    first, last = ends
    if not least <= first <= last < _LATEST:
        raise InputError(
            f"plan: {field}: {first} to {last}; expected {least} <= first <= last < "
            f"{_LATEST}; correct the range"
        )
