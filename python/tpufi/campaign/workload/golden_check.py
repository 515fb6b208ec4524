# SPDX-License-Identifier: Apache-2.0
"""Whether a golden run can serve a plan."""

from tpufi.campaign.plan import CampaignPlan
from tpufi.errors import InputError
from tpufi.experiment.inject import check_fits
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
    per_epoch = manifest["steps_per_epoch"]
    moments = plan.moments(per_epoch)
    last_replica = max(moments.replicas)
    if last_replica >= config.replicas:
        raise InputError(
            f"{place} with {config.replicas} replicas, the plan injects into replica "
            f"{last_replica}; expected at most {config.replicas - 1}"
        )
    if moments.step >= per_epoch:
        raise InputError(
            f"{place} with {per_epoch} steps an epoch, the plan injects into step "
            f"{moments.step}; expected at most {per_epoch - 1}"
        )
    first, last = moments.first, moments.last
    if first < config.first_step:
        raise InputError(
            f"{place} begins at step {config.first_step}, the plan injects into step "
            f"{first}, counted over epochs; begin epochs or steps later"
        )
    end, trained = last + plan.horizon, max(folder.curve(), default=-1) + 1
    if end > trained:
        raise InputError(
            f"{place} has {trained} steps, the last experiment needs {end} (injected "
            f"at {last}, followed for {plan.horizon}); train it longer with "
            f"tpufi golden --steps {end}, or choose earlier epochs or a shorter "
            "horizon"
        )
    if moments.stale and first == config.first_step:
        raise InputError(
            f"{place} begins at step {first}, which the plan injects into; "
            f"{moments.stale[0]} needs the step before; begin epochs or steps later, "
            "or leave that model out"
        )
    for name, injection in plan.injections:
        try:
            check_fits(injection, config)
        except InputError as error:
            raise InputError(f"injections: {name}: {error}") from None
    if plan.band:
        other_points(plan.band, plan.workload, range(first, end))
    return config
