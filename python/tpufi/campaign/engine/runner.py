# SPDX-License-Identifier: Apache-2.0
"""Makes what a worker runs experiments with: golden run, program, and the gate."""

import dataclasses
from collections.abc import Callable

from tpufi.campaign.engine.experiment import Experimenter
from tpufi.campaign.engine.gate import check_deterministic
from tpufi.campaign.plan import CampaignPlan
from tpufi.golden import GoldenFolder, open_golden


@dataclasses.dataclass(frozen=True)
class RunnerOf:
    """Makes the runner of a plan; picklable, for the process of a worker.

    The armed program has the sites that the plan draws from, and no others.

    TensorFlow has to be deterministic there (`tpufi.training.make_deterministic`).

    Args:
      plan: the plan.
      verify: whether the set-up has to repeat the golden run, bitwise.
    """

    plan: CampaignPlan
    verify: bool = True

    def __call__(self, alive: Callable[[], None] = lambda: None) -> Experimenter:
        """Return the runner, with its program compiled and the gate passed.

        Raises:
          InputError: the golden run cannot be repeated here.
        """
        config, _ = GoldenFolder(self.plan.golden).read_manifest()
        sites = self.plan.sampler(config.per_replica).sites()
        _, session = open_golden(self.plan.golden, sites=sites)
        experimenter = Experimenter(self.plan, session, self.verify, alive)
        if self.verify:
            check_deterministic(experimenter)
        return experimenter
