# SPDX-License-Identifier: Apache-2.0
"""What the campaign engine adds to the steps of an experiment."""

import pathlib
import tempfile

from measure.paired import interleaved
from measure.step_bench import StepBench
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.plan import SamplingPlan, equally
from tpufi.golden import GoldenConfig, train_golden
from tpufi.outcomes.outcome_thresholds import read_thresholds

_FIRST = 1  # The faulty step.
_TRIES = 20


def experiment_cost(bench: StepBench, steps: int, rounds: int) -> dict:
    """Time one experiment, and its steps one after the other without the engine.

    The golden states of its steps are walked before: a campaign's experiments share
    them. Digests, comparisons with golden, the judgement and the row are the engine's.

    Args:
      bench: its programs run the steps.
      steps: of the experiment, the faulty one included, >= 1.
      rounds: of both, >= 2.

    Returns:
      The number of the experiment, and seconds of both by round.
    """
    golden_steps = _FIRST + steps + 1
    images = bench.images * (golden_steps + 1)  # The epoch is not ended.
    config = GoldenConfig(
        bench.work.name, f"synthetic:{images}", replicas=1, per_replica=bench.images
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        session = config.session(program=bench.ours)
        train_golden(config, folder, golden_steps, golden_steps, session)
        plan = CampaignPlan(
            bench.work.name,
            folder,
            seed=1,
            sampling=SamplingPlan(
                equally([any_fault_model("RBFLIP")]),
                site_weights="sites",
                epochs=(0, 0),
                steps=(_FIRST, _FIRST),
                replicas=(0,),
            ),
            horizon=steps,
            thresholds=read_thresholds(),
            stop=StopRule(_TRIES),
        )
        experimenter = Experimenter(plan, session)
        # One that is followed to its end: not masked at once, and always finite.
        number = next(
            n for n in range(_TRIES) if experimenter.run(n).steps_run == steps
        )
        fault = experimenter.fault(number).descriptor(bench.ours.table)
        begin = experimenter.walk.state(_FIRST)

        def single_steps() -> None:
            state = begin
            for step in range(_FIRST, _FIRST + steps):
                given = fault if step == _FIRST else None
                state = session.step(state, step, given).state

        single_steps()
        variants = {
            "steps": single_steps,
            "experiment": lambda: experimenter.run(number),
        }
        return {"number": number, "seconds": interleaved(variants, rounds)}
