# SPDX-License-Identifier: Apache-2.0
"""Optimisers as pure functions with fault sites, and schedules."""

from tpufi.optimizers.adam import Adam
from tpufi.optimizers.optimizer import Optimizer
from tpufi.optimizers.schedule import LinearDecay
from tpufi.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "LinearDecay", "Optimizer"]
