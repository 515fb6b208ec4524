# SPDX-License-Identifier: Apache-2.0
"""Reads the file of a campaign, strictly: every error is one line with its place."""

import os
import pathlib

from tpufi.campaign.inference.inference_plan import inference_plan
from tpufi.campaign.own_step.step_plan import step_plan
from tpufi.campaign.plan import CampaignPlan, Plan
from tpufi.campaign.plan_keys import (
    SITES,
    read_detectors,
    read_injections,
    read_range,
    read_replicas,
    read_sampling,
    refuse_drawing,
)
from tpufi.campaign.stop_rule import read_stop_rule
from tpufi.faults.catalogue import FAULT_MODELS
from tpufi.faults.plan import SamplingPlan
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds
from tpufi.yaml_reader import Node, read_yaml

_PAGE = "docs/campaigns.md"


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read the file of a campaign (docs/campaigns.md), whatever it injects into.

    Args:
      path: YAML file; paths in it are relative to its folder.

    Raises:
      InputError: the file, a key or a value is wrong; the message begins with
        `file:line`.
    """
    path = pathlib.Path(path)
    root = read_yaml(path, _PAGE)
    keys = root.mapping(_TYPES)
    if "program" in keys:
        read = inference_plan if "inputs" in keys else step_plan
        return read(root, path.parent)
    return _workload_plan(root, path.parent)


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
            values["workload"],
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
        )
    )


_NEEDED = {
    "workload": lambda node: node.text("name of a workload"),
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
    "stop": Node.itself,
    "thresholds": lambda node: node.text("a TOML file"),
    "band": Node.texts,
    "propagation": Node.switch,
    "validation": Node.switch,
    "injections": Node.itself,
    "detectors": Node.itself,
}
_REQUIRED = tuple(_NEEDED)
# What there is to draw from; the files of `injections` take its place.
_DRAWING = ("faults", "sites", "epochs", "steps", "durations", "replicas")
_OF_FILES = ("workload", "golden", "seed", "horizon", "injections")
