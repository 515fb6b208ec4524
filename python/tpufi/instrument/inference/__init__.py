# SPDX-License-Identifier: Apache-2.0
"""Campaigns of inferences: what faults do to the answers of a model."""

from tpufi.instrument.inference.campaign import InferenceCampaign
from tpufi.instrument.inference.measures import CLASSIFICATION, REGRESSION
from tpufi.instrument.inference.mitigation import Bounds, activation_bounds
from tpufi.instrument.inference.results import InferenceResult, Trial

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Bounds",
    "InferenceCampaign",
    "InferenceResult",
    "Trial",
    "activation_bounds",
]
