# SPDX-License-Identifier: Apache-2.0
"""The plan of a campaign: all that determines its experiments."""

import dataclasses
import pathlib
from fractions import Fraction

from tpufi.campaign.stop_rule import STRATUM_KEYS, StopRule
from tpufi.errors import InputError
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.sampling.sampler import Sampler
from tpufi.sampling.sampling_plan import SamplingPlan
from tpufi.sampling.site_space import SiteSpace


@dataclasses.dataclass(frozen=True)
class CampaignPlan:
    """What a campaign does. Experiment i is a pure function of the plan and i.

    Args:
      workload: name of the workload.
      golden: folder of the golden run that experiments fork from.
      seed: of the campaign, 0 <= seed < 2**64.
      sampling: what faults are drawn from.
      horizon: steps to follow an experiment, the first struck one included; >= 1.
      thresholds: of the outcome classes.
      stop: when there are enough experiments.
      band: folders of golden runs with other seeds, for the band of the outcome
        classes.
      propagation: record how far faults have spread after 1, 2, 4 and 8 steps.
      validation: compare the accuracy on the test examples at the end of the horizon,
        without which no outcome is "low test accuracy".

    Raises:
      InputError: unknown workload, or a number is out of range.
    """

    workload: str
    golden: pathlib.Path
    seed: int
    sampling: SamplingPlan
    horizon: int
    thresholds: Thresholds
    stop: StopRule
    band: tuple[pathlib.Path, ...] = ()
    propagation: bool = False
    validation: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"seed: {self.seed}; expected 0 up to 2**64 - 1")
        if not 1 <= self.horizon < 1 << 31:
            raise InputError(f"horizon: {self.horizon}; expected 1 up to 2**31 - 1")
        # Here and last: it imports TensorFlow, which the rest of a plan does without.
        from tpufi.models import workload

        workload(self.workload)

    def sampler(self, per_replica: int = 128) -> Sampler:
        """Return the sampler: `draw(plan.seed, i)` is the fault of experiment i.

        Args:
          per_replica: images of one replica, as in the golden run.

        Raises:
          InputError: the plan does not fit the workload.
        """
        from tpufi.models import workload

        return Sampler(
            SiteSpace.of(workload(self.workload), per_replica), self.sampling
        )

    def identity(self) -> dict[str, object]:
        """Return what determines the rows of the journal, as plain JSON values.

        The stop rule is not part of it, but for its allocation: a campaign can be made
        longer later. The golden run is known by its content, not by its folder.
        """
        sampling = {
            field.name: getattr(self.sampling, field.name)
            for field in dataclasses.fields(self.sampling)
        }
        sampling["models"] = [[m.name, str(w)] for m, w in self.sampling.models]
        return {
            "workload": self.workload,
            "seed": self.seed,
            "horizon": self.horizon,
            "propagation": self.propagation,
            "validation": self.validation,
            "sampling": sampling,
            "pilot": self.stop.pilot,
            "strata": self.stop.strata if self.stop.pilot else (),
            "thresholds": dataclasses.asdict(self.thresholds),
        }


def strata(sampler: Sampler, by: tuple[str, ...]) -> dict[tuple[str, ...], Fraction]:
    """Return the strata of a plan with their exact probabilities.

    Args:
      sampler: of the plan.
      by: what makes a stratum, among `stop_rule.STRATUM_KEYS`; empty: one stratum.

    Returns:
      Values of `by` -> probability of an experiment to lie in the stratum, > 0.
    """
    found: dict[tuple[str, ...], Fraction] = {}
    for (model, site), probability in sampler.probabilities().items():
        values = dict(zip(STRATUM_KEYS, (model, *site.rsplit("/", 2)), strict=True))
        stratum = tuple(values[key] for key in by)
        if probability:
            found[stratum] = found.get(stratum, Fraction(0)) + probability
    return found
