# SPDX-License-Identifier: Apache-2.0
"""What an experiment of a plan costs here, from a few of its experiments."""

import time
from typing import NamedTuple

from tpufi.campaign.subject import Subject


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


def calibrate(subject: Subject, experiments: int) -> Calibration:
    """Run the first experiments of a subject and forget them.

    Args:
      subject: what is injected into.
      experiments: how many, >= 1.

    Raises:
      InputError: the golden run cannot be repeated here.
    """
    begun = time.monotonic()
    runner = subject.open()
    start = time.monotonic() - begun
    spent, walked, steps = 0.0, 0.0, 0
    for number in range(experiments):
        begun = time.monotonic()
        steps += runner.reach(number)
        walked += time.monotonic() - begun
        begun = time.monotonic()
        runner.run(number)
        spent += time.monotonic() - begun
    return Calibration(spent / experiments, walked / max(steps, 1), start)
