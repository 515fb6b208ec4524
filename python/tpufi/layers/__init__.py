# SPDX-License-Identifier: Apache-2.0
"""Layers with handwritten forward and backward passes that carry fault sites."""

from tpufi.layers.activations import GELU, ReLU, Sigmoid, Swish
from tpufi.layers.attention import (
    Attention,
    AttentionContext,
    AttentionScores,
    CausalSoftmax,
)
from tpufi.layers.batch_norm import BatchNorm
from tpufi.layers.bias import Bias
from tpufi.layers.compose import Concatenation, Residual, Sequence
from tpufi.layers.context import FaultContext, LayerSites
from tpufi.layers.conv2d import Conv2D
from tpufi.layers.dense import Dense
from tpufi.layers.depthwise_conv2d import DepthwiseConv2D
from tpufi.layers.dropout import Dropout
from tpufi.layers.embedding import Embedding, PositionEmbedding
from tpufi.layers.gate import ChannelProduct, Gate
from tpufi.layers.layer import Layer, Node, Run, Weight
from tpufi.layers.layer_norm import LayerNorm
from tpufi.layers.pooling import AveragePooling, GlobalAveragePooling, MaxPooling
from tpufi.layers.scale import Scale, SkipGain
from tpufi.layers.softmax_loss import SoftmaxLoss
from tpufi.layers.standardised_conv2d import StandardisedConv2D
from tpufi.layers.zero_padding import ZeroPadding

__all__ = [
    "Attention",
    "AttentionContext",
    "AttentionScores",
    "AveragePooling",
    "BatchNorm",
    "Bias",
    "CausalSoftmax",
    "ChannelProduct",
    "Concatenation",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "GELU",
    "Gate",
    "GlobalAveragePooling",
    "FaultContext",
    "Layer",
    "LayerNorm",
    "LayerSites",
    "MaxPooling",
    "Node",
    "PositionEmbedding",
    "ReLU",
    "Residual",
    "Run",
    "Scale",
    "Sequence",
    "Sigmoid",
    "SkipGain",
    "SoftmaxLoss",
    "StandardisedConv2D",
    "Swish",
    "Weight",
    "ZeroPadding",
]
