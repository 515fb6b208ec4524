# SPDX-License-Identifier: Apache-2.0
"""The manifest of a subject on the present machine and installation."""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tpufi._library import host
from tpufi.campaign.allocation import Allocation
from tpufi.campaign.journal.manifest import Manifest, files_digest, plan_text
from tpufi.campaign.plan import Plan
from tpufi.faults.sampler import FaultSource

_LIBRARIES = ("_tpufi.so", "_tpufi_ops.so")


def present_manifest(
    plan: Plan,
    source: FaultSource,
    golden: str,
    data: str,
    more: Mapping[str, object] | None = None,
    **others: str,
) -> Manifest:
    """Return what the rows of a campaign depend on, as things are now.

    Args:
      plan: the plan.
      source: of its faults.
      golden: digest of the golden run.
      data: digest of the data.
      more: what determines the rows besides the plan's identity.
      others: further fields of the manifest.
    """
    allocation = Allocation.of(plan, source)
    libraries = pathlib.Path(host.__file__).parent
    return Manifest(
        plan=plan_text(plan.identity() | dict(more or {})),
        golden=golden,
        data=data,
        library=files_digest(libraries / name for name in _LIBRARIES),
        tensorflow=tf.__version__,
        numpy=np.__version__,
        allocation=allocation.text() if allocation else "",
        **others,
    )
