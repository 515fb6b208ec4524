# SPDX-License-Identifier: Apache-2.0
"""Reads the file of a campaign, strictly: every mistake is one line with its place."""

import pathlib
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar

from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.yaml_file import Node, read_yaml
from tpufi.errors import InputError
from tpufi.faults.catalogue import FAULT_MODELS, NAMES, FaultModel, any_fault_model
from tpufi.faults.flip_flop_shares import flip_flop_weights
from tpufi.faults.plan import SITE_WEIGHTS, SamplingPlan
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds

_REQUIRED = (
    *("workload", "golden", "seed", "experiments"),
    *("epochs", "steps", "replicas", "horizon"),
)
_OPTIONAL = (
    *("faults", "sites", "durations", "stop", "thresholds"),
    *("band", "propagation", "validation"),
)
_KEYS = (*_REQUIRED, *_OPTIONAL)
_SITES = ("patterns", "lists", "directions", "weights")
_STOP = ("hours", "width", "strata", "confidence", "pilot")
_LISTS = {"forward": "fwrd_inject", "backward": "bkwd_inject"}
_GROUPS = {"published": tuple(FAULT_MODELS), "all": NAMES}
_FLIP_FLOPS = "flip_flops"

_T = TypeVar("_T")
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
    root = read_yaml(path)
    fields = root.fields(_KEYS, _REQUIRED)
    thresholds = DEFAULT_FILE
    if "thresholds" in fields:
        thresholds = path.parent / fields["thresholds"].text("a TOML file")
    stop = _stop(fields)
    sampling = _sampling(root, fields)
    seed, horizon = fields["seed"].whole(), fields["horizon"].whole()
    name = fields["workload"].text("name of a workload")
    golden = path.parent / fields["golden"].text("folder of a golden run")
    folders = _texts(fields.get("band"))
    band = tuple(path.parent / folder for folder in folders)
    limits = _placed(
        fields.get("thresholds", root), lambda: read_thresholds(thresholds)
    )
    return _placed(
        root,
        lambda: CampaignPlan(
            name,
            golden,
            seed,
            sampling,
            horizon,
            limits,
            stop,
            band,
            "propagation" in fields and fields["propagation"].switch(),
            "validation" in fields and fields["validation"].switch(),
        ),
    )


def _sampling(root: Node, fields: dict[str, Node]) -> SamplingPlan:
    sites = fields["sites"].fields(_SITES) if "sites" in fields else {}
    weights = "elements"
    if "weights" in sites:
        weights = sites["weights"].one_of((*SITE_WEIGHTS, _FLIP_FLOPS))
    models = _models(fields.get("faults"), weights == _FLIP_FLOPS)
    durations = _range(fields["durations"]) if "durations" in fields else (1, 1)
    first, last = _range(fields["replicas"])
    if last - first >= 1 << 20:
        raise fields["replicas"].wrong("at most 2**20 replicas")
    lists = _stages(sites.get("lists"))
    return _placed(
        fields.get("sites", root),
        lambda: SamplingPlan(
            models=models,
            site_weights="macs" if weights == _FLIP_FLOPS else weights,
            patterns=_texts(sites.get("patterns")),
            directions=_texts(sites.get("directions")),
            stages=lists,
            epochs=_range(fields["epochs"]),
            steps=_range(fields["steps"]),
            durations=durations,
            replicas=tuple(range(first, last + 1)),
        ),
    )


def _models(node: Node | None, by_flip_flops: bool) -> _Weighted:
    """Fault models of a list of names, or of a mapping of names to weights."""
    if node is None:
        pairs = [(name, Fraction(1)) for name in FAULT_MODELS]
    elif isinstance(node.value, dict) and node.value:
        if by_flip_flops:
            raise node.wrong(
                "a list of names: site weights flip_flops give the models theirs"
            )
        pairs = [
            (name, entry.positive() / len(_GROUPS.get(group, (group,))))
            for group, entry in node.value.items()
            for name in _GROUPS.get(group, (group,))
        ]
    else:
        names = [item.text() for item in node.items("names or names with weights")]
        # A group weighs as much as one model, as in tpufi draw.
        groups = [_GROUPS.get(name, (name,)) for name in names]
        pairs = [(name, Fraction(1, len(g))) for g in groups for name in g]
    return _placed(node, lambda: _weighted(pairs, by_flip_flops))


def _weighted(pairs: list[tuple[str, Fraction]], by_flip_flops: bool) -> _Weighted:
    models = [(any_fault_model(name), weight) for name, weight in pairs]
    if by_flip_flops:
        return flip_flop_weights([model for model, _ in models])
    return tuple(models)


def _stop(fields: dict[str, Node]) -> StopRule:
    experiments = fields["experiments"].whole()
    plain = _placed(fields["experiments"], lambda: StopRule(experiments))
    if "stop" not in fields:
        return plain
    given = fields["stop"].fields(_STOP)
    numbers = {
        key: float(given[key].positive())
        for key in ("hours", "width", "confidence")
        if key in given
    }
    if "strata" in given and not given.keys() & {"width", "pilot"}:
        raise given["strata"].wrong("a width or a pilot beside it; add stop.width")
    strata = _texts(given.get("strata"))
    pilot = given["pilot"].whole() if "pilot" in given else None
    return _placed(
        fields["stop"],
        lambda: StopRule(experiments, strata=strata, pilot=pilot, **numbers),
    )


def _placed(node: Node | None, make: Callable[[], _T]) -> _T:
    """Return what `make` returns; its errors begin with the place of the node."""
    try:
        return make()
    except InputError as error:
        if node is None or str(error).startswith(node.where.rsplit(":", 1)[0]):
            raise
        key = f"{node.key}: " if node.key else ""
        raise InputError(f"{node.where}: {key}{error}") from None


def _stages(node: Node | None) -> tuple[str, ...]:
    items = [] if node is None else node.items()
    return tuple(_LISTS[item.one_of(_LISTS)] for item in items)


def _texts(node: Node | None) -> tuple[str, ...]:
    return () if node is None else node.texts()


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
