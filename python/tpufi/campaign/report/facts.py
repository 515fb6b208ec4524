# SPDX-License-Identifier: Apache-2.0
"""All that the sections of a report draw on, gathered once."""

import dataclasses
import json
from collections.abc import Mapping

from tpufi.campaign.allocation import Allocation
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report import families
from tpufi.campaign.report.columns import Columns, read_columns
from tpufi.campaign.report.family import Family
from tpufi.campaign.report.golden_curves import (
    GoldenCurves,
    read_golden,
    recorded_folders,
)
from tpufi.campaign.report.layer_order import LayerOrder
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.rates import Counter, Rate
from tpufi.campaign.report.weights import weights_of
from tpufi.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """A campaign as a report sees it.

    Args:
      folder: of the campaign, as the user named it.
      journal: open for reading.
      options: what the user chose.
      manifest: entries of the journal.
      plan: what determines the experiments, as `CampaignPlan.identity` gives it; empty
        in a journal without.
      allocation: of the experiments to strata; None: all were drawn by the plan.
      sessions: what was noted of each running, and its seconds.
      columns: all experiments.
      counter: counts them.
      order: of the layers.
      families: strata, by key, those that the journal can tell.
      rates: of a visible effect, by the key of the family and by stratum.
      golden: curves of the golden runs; None: they are not at hand.
      without_golden: why; empty if they are.
    """

    folder: str
    journal: Reader
    options: Options
    manifest: Mapping[str, str]
    plan: Mapping[str, object]
    allocation: Allocation | None
    sessions: tuple[tuple[str, float], ...]
    columns: Columns
    counter: Counter
    order: LayerOrder
    families: Mapping[str, Family]
    rates: Mapping[str, list[Rate | None]]
    golden: GoldenCurves | None
    without_golden: str


def gather(folder: str, journal: Reader, options: Options) -> Facts:
    """Read a campaign.

    Raises:
      InputError: it has no experiment that says something about a fault, the golden
        run that the user names is not its own, or its experiments are weighted and the
        user asks for exact intervals.
    """
    manifest, sessions = journal.manifest(), tuple(journal.sessions())
    plan = json.loads(manifest.get("plan", "{}"))
    allocation = Allocation.of_text(manifest.get("allocation", ""))
    if allocation and options.exact:
        raise InputError(
            f"{folder}: its experiments were allotted to strata and are weighted, "
            "which Clopper-Pearson's intervals cannot; leave out --exact"
        )
    golden, without = _golden(options, manifest, sessions)
    columns = read_columns(journal)
    weight = weights_of(columns, allocation) if allocation else None
    counter = Counter.of(columns, options.confidence, options.exact, weight)
    if not counter.total:
        raise InputError(
            f"{folder}: of {len(columns)} experiments none says something about a "
            "fault; run some, or look at tpufi campaign status"
        )
    order = LayerOrder.of(plan.get("workload"))
    found = {f.key: f for f in _families(columns, order, options.by) if len(f)}
    return Facts(
        folder=folder,
        journal=journal,
        options=options,
        manifest=manifest,
        plan=plan,
        allocation=allocation,
        sessions=sessions,
        columns=columns,
        counter=counter,
        order=order,
        families=found,
        rates={k: counter.rates(f, counter.visible) for k, f in found.items()},
        golden=golden,
        without_golden=without,
    )


def _families(columns: Columns, order: LayerOrder, by: tuple[str, ...]) -> list[Family]:
    found = [
        families.by_text(columns, "model", "fault model"),
        families.by_text(columns, "direction", "direction"),
        families.by_text(columns, "operand", "operand"),
        families.by_value_class(columns, order),
        families.by_layer(columns, order),
        families.by_number(columns, "bit", "bit"),
        families.by_number(columns, "epoch", "epoch"),
    ]
    if (depth := families.by_depth(columns, order)) is not None:
        found.append(depth)
    if len(by) > 1:
        found.append(families.by_columns(columns, by))
    return found


def _golden(
    options: Options, manifest: Mapping[str, str], sessions: tuple
) -> tuple[GoldenCurves | None, str]:
    digest = manifest.get("golden", "")
    if options.golden:
        return read_golden(options.golden, digest), ""
    folders = recorded_folders(sessions)
    if not folders:
        return None, "The journal does not name its golden run; name it with --golden."
    try:
        return read_golden(folders, digest), ""
    except InputError as error:
        return None, f"Golden curves are left out: {error}."
