# SPDX-License-Identifier: Apache-2.0
"""Layers with handwritten forward and backward passes that carry fault sites."""

from tpufi.layers.batch_norm import BatchNorm
from tpufi.layers.bias import Bias
from tpufi.layers.compose import Residual, Sequence
from tpufi.layers.conv2d import Conv2D
from tpufi.layers.dense import Dense
from tpufi.layers.dropout import Dropout
from tpufi.layers.hooks import Hooks, LayerSites
from tpufi.layers.layer import Layer, Node, Run, Weight
from tpufi.layers.pooling import GlobalAveragePooling
from tpufi.layers.relu import ReLU
from tpufi.layers.softmax_loss import SoftmaxLoss

__all__ = [
    "BatchNorm",
    "Bias",
    "Conv2D",
    "Dense",
    "Dropout",
    "GlobalAveragePooling",
    "Hooks",
    "Layer",
    "LayerSites",
    "Node",
    "ReLU",
    "Residual",
    "Run",
    "Sequence",
    "SoftmaxLoss",
    "Weight",
]
