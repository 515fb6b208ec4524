# SPDX-License-Identifier: Apache-2.0
"""The manifest of a plan on the present machine and installation."""

import pathlib

import numpy as np
import tensorflow as tf

from tpufi._library import host
from tpufi.campaign.allocation import Allocation
from tpufi.campaign.journal.manifest import (
    Manifest,
    files_digest,
    golden_digest,
    plan_text,
)
from tpufi.campaign.plan import CampaignPlan
from tpufi.errors import InputError
from tpufi.experiment.control import control_of
from tpufi.golden import GoldenFolder

_LIBRARIES = ("_tpufi.so", "_tpufi_ops.so")


def present_manifest(plan: CampaignPlan, deterministic: bool = True) -> Manifest:
    """Return what the rows of a campaign depend on, as things are now.

    Args:
      plan: the plan; its golden run has to be there.
      deterministic: False if the user allowed a set-up that is not.

    Raises:
      InputError: a file of the golden run is missing or damaged.
    """
    folder = GoldenFolder(plan.golden)
    config, golden = folder.read_manifest()
    data = golden.get("environment", {}).get("data_digest")
    if data is None:
        raise InputError(
            f"{plan.golden}: the golden run has no digest of its data; train it again "
            "with tpufi golden"
        )
    allocation = Allocation.of(plan, plan.sampler(config.per_replica))
    libraries = pathlib.Path(host.__file__).parent
    return Manifest(
        plan=plan_text(plan),
        golden=golden_digest((plan.golden, *plan.band)),
        data=data,
        library=files_digest(libraries / name for name in _LIBRARIES),
        tensorflow=tf.__version__,
        numpy=np.__version__,
        deterministic="yes" if deterministic else "no",
        allocation=allocation.text() if allocation else "",
        device=config.device,
        compiled="yes" if config.compiled else "no",
        control=control_of(config.compiled),
    )
