# SPDX-License-Identifier: Apache-2.0
"""Whether a golden run can serve a plan."""

from tpufi.campaign.plan import CampaignPlan
from tpufi.errors import InputError
from tpufi.experiment.judge import other_points
from tpufi.golden import GoldenConfig, GoldenFolder


def check_golden(plan: CampaignPlan) -> GoldenConfig:
    """Return the configuration of the golden run, if every experiment can fork from it.

    Raises:
      InputError: there is no golden run, it is of another workload or has too few
        replicas, or it ends before the last experiment would.
    """
    folder = GoldenFolder(plan.golden)
    config, manifest = folder.read_manifest()
    place = f"{plan.golden}: golden run"
    if config.workload != plan.workload:
        raise InputError(
            f"{place} of {config.workload}, the plan says {plan.workload}; name "
            "another folder or workload"
        )
    last_replica = max(plan.sampling.replicas)
    if last_replica >= config.replicas:
        raise InputError(
            f"{place} with {config.replicas} replicas, the plan strikes replica "
            f"{last_replica}; expected at most {config.replicas - 1}"
        )
    per_epoch = manifest["steps_per_epoch"]
    if plan.sampling.steps[1] >= per_epoch:
        raise InputError(
            f"{place} with {per_epoch} steps an epoch, the plan strikes step "
            f"{plan.sampling.steps[1]}; expected at most {per_epoch - 1}"
        )
    first = plan.sampling.epochs[0] * per_epoch + plan.sampling.steps[0]
    if first < config.first_step:
        raise InputError(
            f"{place} begins at step {config.first_step}, the plan strikes step "
            f"{first}, counted over epochs; begin epochs or steps later"
        )
    last = plan.sampling.epochs[1] * per_epoch + plan.sampling.steps[1]
    end, trained = last + plan.horizon, max(folder.curve(), default=-1) + 1
    if end > trained:
        raise InputError(
            f"{place} has {trained} steps, the last experiment needs {end} (struck at "
            f"{last}, followed for {plan.horizon}); train it longer with "
            f"tpufi golden --steps {end}, or choose earlier epochs or a shorter "
            "horizon"
        )
    stale = [m.name for m, _ in plan.sampling.models if m.rule.stale]
    if stale and first == config.first_step:
        raise InputError(
            f"{place} begins at step {first}, which the plan strikes; {stale[0]} needs "
            "the step before; begin epochs or steps later, or leave that model out"
        )
    if plan.band:
        other_points(plan.band, plan.workload, range(first, end))
    return config
