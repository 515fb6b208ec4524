# SPDX-License-Identifier: Apache-2.0
"""Keys that the files of all campaigns have: what is drawn, and from what."""

import dataclasses
import os
import pathlib
from fractions import Fraction

from tpufi.campaign.own_models import model_of
from tpufi.campaign.unit_keys import is_unit, read_unit
from tpufi.campaign.when_keys import read_range
from tpufi.errors import InputError
from tpufi.faults.catalogue import FAULT_MODELS, NAMES
from tpufi.faults.csv import read_injection
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.flip_flop_shares import flip_flop_weights
from tpufi.faults.injection_file import InjectionFile
from tpufi.faults.plan import SITE_WEIGHTS, SamplingPlan
from tpufi.faults.unit_model import UnitModel
from tpufi.messages import show_path
from tpufi.user_file import beside, named_parts, whole_path
from tpufi.when import When
from tpufi.yaml_reader import Node

_LISTS = {"forward": "fwrd_inject", "backward": "bkwd_inject"}
_GROUPS = {"published": tuple(FAULT_MODELS), "all": NAMES}
_FLIP_FLOPS = "flip_flops"
_MOST_REPLICAS = 1 << 14

_Weighted = tuple[tuple[FaultModel | UnitModel, Fraction], ...]


def read_sampling(
    faults: Node | None,
    sites: dict,
    place: Node,
    folder: pathlib.Path,
    usual: tuple[str, ...],
    when: When | None = None,
    **moments: tuple[int, ...],
) -> SamplingPlan:
    """Return what faults are drawn from.

    Args:
      faults: value of the key of this name; None: it is not there.
      sites: values of the keys `SITES`.
      place: where mistakes of it are.
      folder: what files are relative to.
      usual: fault models without `faults`.
      when: value of the key of this name; None: it is not there.
      moments: `epochs`, `steps`, `durations`, `replicas` of the plan.

    Raises:
      InputError: a value is wrong; the message begins with `file:line`.
    """
    weights = sites.get("weights", "elements")
    by_flip_flops = weights == _FLIP_FLOPS
    units, others = _units(faults, when)
    if units and by_flip_flops:
        raise InputError(
            f"{(faults or place).where}: faults: a unit has no share of flip-flops; "
            "choose other site weights, or leave the unit out"
        )
    models = units
    if others is not None or not units:
        models += _models(others, by_flip_flops, folder, usual)
    elif sites:
        raise InputError(
            f"{place.where}: sites: a unit is in all layers, and nothing else is "
            "drawn; remove the key"
        )
    if moments.get("steps") == ONE_MOMENT["steps"]:
        _refuse_stale(models, faults or place)
    return place.placed(
        lambda: SamplingPlan(
            models=models,
            site_weights="macs" if by_flip_flops else weights,
            patterns=sites.get("patterns", ()),
            directions=sites.get("directions", ()),
            stages=sites.get("lists", ()),
            when=when,
            **moments,
        )
    )


def _units(node: Node | None, when: When | None) -> tuple[_Weighted, Node | None]:
    """Return the units of `faults`, and what is left of it; None: nothing."""
    if node is None or is_unit(node):
        return ((read_unit(node, when),) if node else ()), None
    if not isinstance(node.value, list):
        return (), node
    items = node.items()
    rest = [item for item in items if not is_unit(item)]
    units = tuple(read_unit(item, when) for item in items if is_unit(item))
    return units, dataclasses.replace(node, value=rest) if rest else None


def _refuse_stale(models: _Weighted, node: Node) -> None:
    for model, _ in models:
        if isinstance(model, FaultModel) and model.rule.stale:
            raise InputError(
                f"{node.where}: faults: {model.name} writes the values of the step "
                "before, and there is none; leave the model out, or begin steps at 1"
            )


def _models(
    node: Node | None, by_flip_flops: bool, folder: pathlib.Path, usual: tuple[str, ...]
) -> _Weighted:
    """Fault models of a list of names, or of a mapping of names to weights."""
    if node is None:
        pairs = [(name, Fraction(1)) for name in usual]
        return _weighted(pairs, by_flip_flops, folder)
    if isinstance(node.value, dict) and node.value:
        if by_flip_flops:
            raise node.wrong(
                "a list of names: site weights flip_flops give the models theirs"
            )
        groups = [(name, n.number(above_0=True)) for name, n in node.value.items()]
    else:
        items = node.items("names or names with weights")
        groups = [(item.text(), Fraction(1)) for item in items]
    # A group weighs as much as one model, as in tpufi draw.
    members = [(_GROUPS.get(group, (group,)), weight) for group, weight in groups]
    pairs = [(name, weight / len(group)) for group, weight in members for name in group]
    return node.placed(lambda: _weighted(pairs, by_flip_flops, folder))


def _weighted(
    pairs: list[tuple[str, Fraction]], by_flip_flops: bool, folder: pathlib.Path
) -> _Weighted:
    models = [(model_of(name, folder), weight) for name, weight in pairs]
    if by_flip_flops:
        return flip_flop_weights([model for model, _ in models])
    return tuple(models)


def read_injections(
    node: Node, folder: pathlib.Path
) -> tuple[tuple[str, InjectionFile], ...]:
    """Return names and injections of a list of files and folders, in their order.

    Raises:
      InputError: one is not a injection file.
    """
    found: list[tuple[str, InjectionFile]] = []
    for item in node.items("injection files, or folders of them"):
        path = folder / item.text()
        inside = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise item.wrong("an injection file, or a folder with files *.csv")
        found += [(show_path(file), read_injection(file)) for file in inside]
    return tuple(found)


def read_detectors(
    node: Node, folder: pathlib.Path
) -> tuple[tuple[str, tuple[tuple[str, float], ...]], ...]:
    """Return names and settings of detectors.

    They are a set such as `all`, a list of names, sets or `file.py:NAME`, a mapping of
    these to settings, or a file of `tpufi detect calibrate`.
    """
    if isinstance(node.value, str) and node.value.endswith(".json"):
        from tpufi.detect.calibration import read_calibration

        found = read_calibration(folder / node.value).thresholds
        return tuple((name, (("threshold", t),)) for name, t in found.items())
    from tpufi.detect.catalogue import SETS

    found: dict[str, tuple[tuple[str, float], ...]] = {}
    if isinstance(node.value, dict):
        for name, given in node.value.items():
            settings = given.mapping(["threshold"]) if given.value else {}
            if settings and name in SETS:
                raise given.wrong("nothing: settings are those of one detector")
            found[name] = tuple((k, float(n.number())) for k, n in settings.items())
    else:
        names = node.texts() if isinstance(node.value, list) else (node.text(),)
        found = dict.fromkeys(names, ())
    sets = [name for name in found if name in SETS]
    others = {name: given for name, given in found.items() if name not in SETS}
    found = {one: () for name in sets for one in SETS[name]} | others
    return tuple(
        (whole_path(beside(folder, name)) if named_parts(name)[1] else name, given)
        for name, given in found.items()
    )


def refuse_drawing(nodes: dict[str, Node], drawing: tuple[str, ...]) -> None:
    """Refuse keys of what is drawn beside `injections`."""
    for key in drawing:
        if key in nodes:
            raise InputError(
                f"{nodes[key].where}: {key}: says what is drawn, and with injections "
                "nothing is drawn; remove one of the two keys"
            )


def read_replicas(node: Node) -> tuple[int, int]:
    """Return the first and the last replica."""
    first, last = read_range(node)
    if last - first >= _MOST_REPLICAS:
        raise node.wrong("at most 2**14 replicas")
    return first, last


def read_weights(node: Node) -> str:
    """Return how the site is drawn."""
    return node.one_of((*SITE_WEIGHTS, _FLIP_FLOPS))


def read_program_sites(node: Node) -> dict[str, object]:
    """Return the values of `sites` of a program; a list is one of operation types."""
    if isinstance(node.value, list):
        return {"ops": node.texts()}
    return node.read(_SITES_OF_PROGRAM)


def needs_operands(sampling: SamplingPlan) -> bool:
    """Return whether a fault model is injected into what a multiplication reads."""
    targets = (m.target for m, _ in sampling.models if isinstance(m, FaultModel))
    return any(target in ("input", "weight") for target in targets)


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))


# Of a program, whose steps are counted on from 0, in one process.
ONE_MOMENT = {"epochs": (0, 0), "steps": (0, 0), "replicas": (0,)}
SITES = {
    "patterns": Node.texts,
    "lists": lambda node: tuple(_LISTS[n.one_of(_LISTS)] for n in node.items()),
    "directions": Node.texts,
    "weights": read_weights,
}
# Of a program of the user, which the artefact's lists do not know.
_SITES_OF_PROGRAM = {key: SITES[key] for key in SITES if key != "lists"} | {
    "ops": Node.texts
}
