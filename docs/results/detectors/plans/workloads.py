# SPDX-License-Identifier: Apache-2.0
"""The workloads of the bench: small, so that thousands of trainings are possible."""

import dataclasses

from tpufi import Workload
from tpufi.layers import (
    BatchNorm,
    Bias,
    Conv2D,
    Dense,
    GlobalAveragePooling,
    ReLU,
    Sequence,
    Swish,
)
from tpufi.models import decoder, workload
from tpufi.models.effnet import mbconv
from tpufi.models.resnet18 import basic_block, convolution
from tpufi.optimizers import SGD, Adam, LinearDecay

RESNET = Workload(
    name="resnet",
    model=Sequence(
        (
            convolution("conv1", 8, 3, 4),
            BatchNorm("bn1"),
            ReLU("relu1"),
            basic_block("block", 16, 2, dropout=0.15),
            GlobalAveragePooling("pool"),
            Dense("fc", 10),
        )
    ),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.002,
)
RESNET_SGD = dataclasses.replace(
    RESNET,
    name="resnet_sgd",
    optimizer=SGD(),
    schedule=LinearDecay(final=0.001, steps=5000),
    learning_rate=0.05,
)
EFFNET = Workload(
    name="effnet",
    model=Sequence(
        (
            Conv2D("conv1", 8, 3, 4),
            BatchNorm("bn1"),
            Swish("swish1"),
            mbconv("mbconv", 8, 8, 4, 3, 1, reference=True),
            GlobalAveragePooling("pool"),
            Dense("fc", 10),
            Bias("fc_bias"),
        )
    ),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0005, steps=5000),
    learning_rate=0.002,
)
DECODER = dataclasses.replace(
    workload("decoder"),
    name="small_decoder",
    model=decoder.architecture(blocks=1, width=16, heads=2),
    input_shape=(decoder.CONTEXT,),
    learning_rate=0.002,
)
