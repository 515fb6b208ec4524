# SPDX-License-Identifier: Apache-2.0
"""Reads the file of a campaign, strictly: every error is one line with its place."""

import os
import pathlib

from tpufi.campaign.inference.inference_plan import inference_plan
from tpufi.campaign.members import member_of, members_of
from tpufi.campaign.own_step.step_plan import step_plan
from tpufi.campaign.plan import CampaignPlan, Plan
from tpufi.campaign.plan_keys import (
    SITES,
    read_detectors,
    read_injections,
    read_replicas,
    read_sampling,
    refuse_drawing,
)
from tpufi.campaign.stop_rule import read_stop_rule
from tpufi.campaign.when_keys import read_range, read_when
from tpufi.faults.catalogue import FAULT_MODELS
from tpufi.faults.plan import SamplingPlan
from tpufi.messages import show_path
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds
from tpufi.user_file import beside, named_parts, whole_path
from tpufi.yaml_reader import Node, read_yaml

_PAGE = "docs/campaigns.md"


def read_plan(path: str | os.PathLike[str], member: str = "") -> Plan:
    """Read the file of a campaign (docs/campaigns.md), whatever it injects into.

    Args:
      path: YAML file; paths in it are relative to its folder.
      member: of a file with several workloads or programs, the name of one.

    Raises:
      InputError: the file, a key or a value is wrong, or it has several workloads and
        none of that name; the message begins with `file:line`.
    """
    path = pathlib.Path(path)
    members = members_of(read_yaml(path, _PAGE))
    return _plan(member_of(members, member, show_path(path)), path.parent)


def read_plans(path: str | os.PathLike[str]) -> dict[str, Plan]:
    """Read the campaigns of a file, by the names of their folders.

    A file of a single workload or program has one campaign, whose name is empty.

    Raises:
      InputError: as `read_plan` does.
    """
    path = pathlib.Path(path)
    members = members_of(read_yaml(path, _PAGE))
    return {name: _plan(root, path.parent) for name, root in members.items()}


def _plan(root: Node, folder: pathlib.Path) -> Plan:
    keys = root.mapping(_TYPES)
    if "program" in keys:
        return (inference_plan if "inputs" in keys else step_plan)(root, folder)
    return _workload_plan(root, folder)


def _workload_plan(root: Node, folder: pathlib.Path) -> CampaignPlan:
    nodes = root.mapping(_TYPES)
    from_files = "injections" in nodes
    values = root.read(_TYPES, _OF_FILES if from_files else _REQUIRED)
    injections = ()
    sampling = SamplingPlan()
    if from_files:
        refuse_drawing(nodes, _DRAWING)
        injections = read_injections(nodes["injections"], folder)
        count = Node(nodes["injections"].where, "experiments", str(len(injections)))
        values.setdefault("experiments", count)
    else:
        first, last = values["replicas"]
        sampling = read_sampling(
            values.get("faults"),
            values.get("sites", {}),
            nodes.get("sites", root),
            folder,
            tuple(FAULT_MODELS),
            epochs=values["epochs"],
            steps=values["steps"],
            when=values.get("when"),
            durations=values.get("durations", (1, 1)),
            replicas=tuple(range(first, last + 1)),
        )
    detectors = ()
    if "detectors" in nodes:
        detectors = read_detectors(nodes["detectors"], folder)
    stop = read_stop_rule(values["experiments"], values.get("stop"))
    thresholds = folder / values.get("thresholds", DEFAULT_FILE)
    limits = nodes.get("thresholds", root).placed(lambda: read_thresholds(thresholds))
    return root.placed(
        lambda: CampaignPlan(
            _own_place(values["workload"], folder),
            folder / values["golden"],
            values["seed"],
            sampling,
            values["horizon"],
            limits,
            stop,
            tuple(folder / band for band in values.get("band", ())),
            values.get("propagation", False),
            values.get("validation", False),
            injections,
            detectors,
            values.get("recovery", False),
        )
    )


def _own_place(workload: str, folder: pathlib.Path) -> str:
    """Return the name of a workload; that of a file with the whole path."""
    return (
        whole_path(beside(folder, workload)) if named_parts(workload)[1] else workload
    )


_NEEDED = {
    "workload": lambda node: node.text("a workload, or file.py:NAME"),
    "golden": lambda node: node.text("folder of a golden run"),
    "seed": Node.whole,
    "experiments": Node.itself,
    "epochs": read_range,
    "steps": read_range,
    "replicas": read_replicas,
    "horizon": Node.whole,
}
_TYPES = _NEEDED | {
    "faults": Node.itself,
    "sites": lambda node: node.read(SITES),
    "durations": read_range,
    "when": read_when,
    "stop": Node.itself,
    "thresholds": lambda node: node.text("a TOML file"),
    "band": Node.texts,
    "propagation": Node.switch,
    "validation": Node.switch,
    "injections": Node.itself,
    "detectors": Node.itself,
    "recovery": Node.switch,
}
_REQUIRED = tuple(_NEEDED)
# What there is to draw from; the files of `injections` take its place.
_DRAWING = ("faults", "sites", "epochs", "steps", "durations", "replicas", "when")
_OF_FILES = ("workload", "golden", "seed", "horizon", "injections")
