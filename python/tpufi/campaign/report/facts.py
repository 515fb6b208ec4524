# SPDX-License-Identifier: Apache-2.0
"""All that the sections of a report draw on, gathered once."""

import dataclasses
from collections.abc import Mapping

import pandas as pd

from tpufi.campaign.allocation import Allocation
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report.experiments import read_experiments, weights
from tpufi.campaign.report.golden_curves import (
    GoldenCurves,
    read_golden,
    recorded_folders,
)
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.rates import Estimator, Strata
from tpufi.campaign.report.strata import LayerOrder, add_strata
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
      experiments: all of them.
      estimator: of rates, from those that say something about their fault.
      order: of the layers.
      strata: by name of their column, those that have a rate.
      golden: curves of the golden runs; None: they are not at hand.
      without_golden: why; empty if they are.
    """

    folder: str
    journal: Reader
    options: Options
    manifest: Mapping[str, str]
    plan: Mapping[str, object]
    allocation: Allocation | None
    sessions: tuple[tuple[Mapping[str, object], float], ...]
    experiments: pd.DataFrame
    estimator: Estimator
    order: LayerOrder
    strata: Mapping[str, Strata]
    golden: GoldenCurves | None
    without_golden: str

    @property
    def judged(self) -> pd.DataFrame:
        """The experiments that say something about their fault."""
        return self.estimator.judged

    @property
    def steps(self) -> int:
        """Number of different steps that the faults were injected into."""
        return self.experiments["cluster"].nunique()


def gather(folder: str, journal: Reader, options: Options) -> Facts:
    """Read a campaign.

    Raises:
      InputError: it has no experiment that says something about a fault, the golden
        run that the user names is not its own, or its experiments are weighted and the
        user asks for exact intervals.
    """
    manifest = journal.manifest()
    sessions, plan = tuple(journal.noted()), journal.plan()
    allocation = Allocation.of_text(manifest.get("allocation", ""))
    if allocation and options.exact:
        raise InputError(
            f"{folder}: its experiments were allotted to strata and are weighted, "
            "which Clopper-Pearson's intervals cannot; leave out --exact"
        )
    golden, without = _golden(options, manifest, sessions)
    if "kind" in plan:
        without = "Golden curves are left out: the golden run of a program is not kept."
    experiments = read_experiments(journal)
    if not experiments["judged"].any():
        raise InputError(
            f"{folder}: of {len(experiments)} experiments none says something about a "
            "fault; run some, or look at tpufi campaign status"
        )
    if allocation:
        experiments["weight"] = weights(experiments, allocation)
    order = LayerOrder.of(plan)
    titles = add_strata(experiments, order, options.by)
    judged = experiments[experiments["judged"]]
    estimator = Estimator(judged, options.confidence, options.exact)
    strata = {key: Strata(t, estimator.rates(key)) for key, t in titles.items()}
    return Facts(
        folder=folder,
        journal=journal,
        options=options,
        manifest=manifest,
        plan=plan,
        allocation=allocation,
        sessions=sessions,
        experiments=experiments,
        estimator=estimator,
        order=order,
        strata={key: found for key, found in strata.items() if found.rates},
        golden=golden,
        without_golden=without,
    )


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
