# SPDX-License-Identifier: Apache-2.0
"""Reads the file of a campaign, strictly: every error is one line with its place."""

import pathlib
import re
from fractions import Fraction

from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.stop_rule import read_stop_rule
from tpufi.errors import InputError
from tpufi.faults.catalogue import FAULT_MODELS, NAMES, any_fault_model
from tpufi.faults.csv import read_injection
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.flip_flop_shares import flip_flop_weights
from tpufi.faults.injection_file import InjectionFile
from tpufi.faults.plan import SITE_WEIGHTS, SamplingPlan
from tpufi.messages import show_path
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds
from tpufi.yaml_reader import Node, read_yaml

_LISTS = {"forward": "fwrd_inject", "backward": "bkwd_inject"}
_GROUPS = {"published": tuple(FAULT_MODELS), "all": NAMES}
_FLIP_FLOPS = "flip_flops"
_MOST_REPLICAS = 1 << 14

_Weighted = tuple[tuple[FaultModel, Fraction], ...]


def read_plan(path: str | pathlib.Path) -> CampaignPlan:
    """Read the file of a campaign (docs/campaigns.md).

    Args:
      path: YAML file; paths in it are relative to its folder.

    Raises:
      InputError: the file, a key or a value is wrong; the message begins with
        `file:line`.
    """
    path = pathlib.Path(path)
    root = read_yaml(path, "docs/campaigns.md")
    nodes = root.mapping(_TYPES)
    from_files = "injections" in nodes
    values = root.read(_TYPES, _OF_FILES if from_files else _REQUIRED)
    injections = ()
    sampling = SamplingPlan()
    if from_files:
        _refuse_drawing(nodes)
        injections = _files(nodes["injections"], path.parent)
        count = Node(nodes["injections"].where, "experiments", str(len(injections)))
        values.setdefault("experiments", count)
    else:
        sampling = _sampling(values, nodes.get("sites", root), path.parent)
    stop = read_stop_rule(values["experiments"], values.get("stop"))
    thresholds = path.parent / values.get("thresholds", DEFAULT_FILE)
    limits = nodes.get("thresholds", root).placed(lambda: read_thresholds(thresholds))
    return root.placed(
        lambda: CampaignPlan(
            values["workload"],
            path.parent / values["golden"],
            values["seed"],
            sampling,
            values["horizon"],
            limits,
            stop,
            tuple(path.parent / folder for folder in values.get("band", ())),
            values.get("propagation", False),
            values.get("validation", False),
            injections,
        )
    )


def _refuse_drawing(nodes: dict[str, Node]) -> None:
    for key in _DRAWING:
        if key in nodes:
            raise InputError(
                f"{nodes[key].where}: {key}: says what is drawn, and with injections "
                "nothing is drawn; remove one of the two keys"
            )


def _files(node: Node, folder: pathlib.Path) -> tuple[tuple[str, InjectionFile], ...]:
    """Return names and injections of a list of files and folders, in their order."""
    found: list[tuple[str, InjectionFile]] = []
    for item in node.items("injection files, or folders of them"):
        path = folder / item.text()
        inside = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise item.wrong("an injection file, or a folder with files *.csv")
        found += [(show_path(file), read_injection(file)) for file in inside]
    return tuple(found)


def _sampling(values: dict, place: Node, folder: pathlib.Path) -> SamplingPlan:
    sites = values.get("sites", {})
    weights = sites.get("weights", "elements")
    by_flip_flops = weights == _FLIP_FLOPS
    models = _models(values.get("faults"), by_flip_flops, folder)
    first, last = values["replicas"]
    return place.placed(
        lambda: SamplingPlan(
            models=models,
            site_weights="macs" if by_flip_flops else weights,
            patterns=sites.get("patterns", ()),
            directions=sites.get("directions", ()),
            stages=sites.get("lists", ()),
            epochs=values["epochs"],
            steps=values["steps"],
            durations=values.get("durations", (1, 1)),
            replicas=tuple(range(first, last + 1)),
        )
    )


def _models(node: Node | None, by_flip_flops: bool, folder: pathlib.Path) -> _Weighted:
    """Fault models of a list of names, or of a mapping of names to weights."""
    if node is None:
        published = [(name, Fraction(1)) for name in FAULT_MODELS]
        return _weighted(published, by_flip_flops, folder)
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
    models = [(any_fault_model(name, folder), weight) for name, weight in pairs]
    if by_flip_flops:
        return flip_flop_weights([model for model, _ in models])
    return tuple(models)


def _range(node: Node) -> tuple[int, int]:
    text = node.value if isinstance(node.value, str) else ""
    match = re.fullmatch(r"([0-9]{1,30})(?:-([0-9]{1,30}))?", text)
    if not match:
        raise node.wrong("FIRST-LAST, both included, e.g. 0-48, or one number")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if first > last:
        raise node.wrong("a first number that is not above the last")
    return first, last


def _replicas(node: Node) -> tuple[int, int]:
    first, last = _range(node)
    if last - first >= _MOST_REPLICAS:
        raise node.wrong("at most 2**14 replicas")
    return first, last


_SITES = {
    "patterns": Node.texts,
    "lists": lambda node: tuple(_LISTS[n.one_of(_LISTS)] for n in node.items()),
    "directions": Node.texts,
    "weights": lambda node: node.one_of((*SITE_WEIGHTS, _FLIP_FLOPS)),
}
_NEEDED = {
    "workload": lambda node: node.text("name of a workload"),
    "golden": lambda node: node.text("folder of a golden run"),
    "seed": Node.whole,
    "experiments": Node.itself,
    "epochs": _range,
    "steps": _range,
    "replicas": _replicas,
    "horizon": Node.whole,
}
_TYPES = _NEEDED | {
    "faults": Node.itself,
    "sites": lambda node: node.read(_SITES),
    "durations": _range,
    "stop": Node.itself,
    "thresholds": lambda node: node.text("a TOML file"),
    "band": Node.texts,
    "propagation": Node.switch,
    "validation": Node.switch,
    "injections": Node.itself,
}
_REQUIRED = tuple(_NEEDED)
# What there is to draw from; the files of `injections` take its place.
_DRAWING = ("faults", "sites", "epochs", "steps", "durations", "replicas")
_OF_FILES = ("workload", "golden", "seed", "horizon", "injections")
