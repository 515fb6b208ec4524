# SPDX-License-Identifier: Apache-2.0
"""What an experiment of a plan costs here, from a few of its own."""

import time
from typing import NamedTuple

from tpufi.campaign.engine.runner import RunnerOf
from tpufi.campaign.plan import CampaignPlan


class Calibration(NamedTuple):
    """Measured costs.

    Args:
      seconds: of one experiment, the walk of the golden run not included.
      walk: of one step of the golden run.
      start: until the first experiment could begin: loading, compiling, the gate.
    """

    seconds: float
    walk: float
    start: float

    def hours(self, experiments: int, golden_steps: int, workers: int) -> float:
        """Return the hours of a campaign whose workers share the work well.

        Args:
          experiments: of the campaign.
          golden_steps: steps that the plan injects into; each window walks them once.
          workers: that run at the same time.
        """
        work = experiments * self.seconds / workers + golden_steps * self.walk
        return (self.start + work) / 3600


def calibrate(plan: CampaignPlan, experiments: int) -> Calibration:
    """Run the first experiments of a plan and forget them.

    Args:
      plan: the plan, checked against its golden run.
      experiments: how many, >= 1.

    Raises:
      InputError: the golden run cannot be repeated here.
    """
    begun = time.monotonic()
    runner = RunnerOf(plan)()
    start = time.monotonic() - begun
    spent, walked, steps = 0.0, 0.0, 0
    for number in range(experiments):
        fault = runner.fault(number)
        before = runner.walk.steps
        begun = time.monotonic()
        runner.reach(fault)
        walked += time.monotonic() - begun
        steps += runner.walk.steps - before
        begun = time.monotonic()
        runner.run(number)
        spent += time.monotonic() - begun
    return Calibration(spent / experiments, walked / max(steps, 1), start)
