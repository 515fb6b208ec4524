# SPDX-License-Identifier: Apache-2.0
"""The training of a workload as the subject of a campaign."""

import dataclasses
import functools
from collections.abc import Callable

from tpufi.campaign.journal.answers import ALARM
from tpufi.campaign.journal.manifest import Manifest, golden_digest
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.present_manifest import present_manifest
from tpufi.campaign.subject import Subject, no_sign
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.gate import check_deterministic
from tpufi.campaign.workload.golden_scores import GoldenScores, watched_alone
from tpufi.campaign.workload.recovered import MEASURES
from tpufi.errors import InputError
from tpufi.experiment.control import control_of
from tpufi.faults.sampler import FaultSource
from tpufi.golden import GoldenConfig, GoldenFolder, open_golden
from tpufi.own_process import in_own_process


@dataclasses.dataclass(frozen=True)
class WorkloadSubject(Subject):
    """The golden run of a workload and what a plan injects into it.

    The armed program has the sites that the plan draws from, and no others.

    Args:
      plan: the plan, checked against its golden run (`golden_check.check_golden`).
      verify: whether the set-up has to repeat the golden run, bitwise.
      golden: of a plan with detectors: what these made of its golden run.
    """

    plan: CampaignPlan
    verify: bool = True
    golden: GoldenScores | None = None

    @classmethod
    def of(cls, plan: CampaignPlan, verify: bool = True) -> "WorkloadSubject":
        """Return the subject of a plan; detectors watch its golden run first.

        Raises:
          InputError: detectors cannot watch this golden run.
        """
        if not plan.detectors:
            return cls(plan, verify)
        found = in_own_process("watches the golden run", watched_alone, plan)
        return cls(plan, verify, found)

    @property
    def measures(self) -> tuple[tuple[str, bool], ...]:
        alarms = tuple((ALARM + name, False) for name in self.plan.watching())
        return alarms + (MEASURES if self.plan.recovery else ())

    @property
    def golden_scores(self) -> tuple[tuple[float, ...], ...]:
        if self.golden is None:
            return ()
        return tuple(tuple(own.tolist()) for own in self.golden.scores.values())

    @property
    def title(self) -> str:
        return self.plan.workload

    @property
    def origin(self) -> object:
        return self.plan.golden

    @functools.cached_property
    def config(self) -> GoldenConfig:
        """The configuration of the golden run."""
        return GoldenFolder(self.plan.golden).read_manifest()[0]

    @functools.cached_property
    def source(self) -> FaultSource:
        return self.plan.sampler(self.config.per_replica)

    @property
    def golden_steps(self) -> int:
        _, manifest = GoldenFolder(self.plan.golden).read_manifest()
        return self.plan.moments(manifest["steps_per_epoch"]).steps

    def open(self, alive: Callable[[], None] = no_sign) -> Experimenter:
        _, session = open_golden(self.plan.golden, sites=self.source.sites())
        experimenter = Experimenter(self.plan, session, self.verify, alive, self.golden)
        if self.verify:
            check_deterministic(experimenter)
        return experimenter

    def manifest(self) -> Manifest:
        plan = self.plan
        _, golden = GoldenFolder(plan.golden).read_manifest()
        data = golden.get("environment", {}).get("data_digest")
        if data is None:
            raise InputError(
                f"{plan.golden}: the golden run has no digest of its data; train it "
                "again with tpufi golden"
            )
        return present_manifest(
            plan,
            self.source,
            golden_digest((plan.golden, *plan.band)),
            data,
            self._watched(),
            deterministic="yes" if self.verify else "no",
            device=self.config.device,
            compiled="yes" if self.config.compiled else "no",
            control=control_of(self.config.compiled),
        )

    def _watched(self) -> dict[str, object]:
        """Return what of the detectors determines the rows, and what readers ask."""
        if self.golden is None:
            return {}
        detectors = self.plan.watching()
        return {
            "golden alarms": dict(self.golden.alarms),
            "golden scores": [self.golden.first, self.golden.steps],
            "thresholds of detectors": {n: d.threshold for n, d in detectors.items()},
        }

    def noted(self) -> dict[str, object]:
        golden, *band = (
            str(folder.absolute()) for folder in (self.plan.golden, *self.plan.band)
        )
        return {"golden": golden, "band": band}
