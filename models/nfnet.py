# SPDX-License-Identifier: Apache-2.0
"""NF-ResNet, a network without normalisation, for 32x32 images, trained with Adam.

| part         | output     | layers                                           |
|--------------|------------|--------------------------------------------------|
| stem         | 16x16x64   | 3x3/2 convolution                                |
| blocks 0, 1  | 16x16x256  | bottlenecks of width 64                          |
| blocks 2, 3  | 8x8x512    | bottlenecks of width 128, the first with stride 2|
| blocks 4, 5  | 4x4x1024   | bottlenecks of width 256, the first with stride 2|
| blocks 6, 7  | 2x2x2048   | bottlenecks of width 512, the first with stride 2|
| head         | 10         | ReLU, global average pooling, fully connected    |

All convolutions standardise their kernels and have a bias. A bottleneck: ReLU, 1x1,
ReLU, 3x3 (with the stride), ReLU, 1x1 convolution, skip gain; its shortcut is the
input, or a 1x1 convolution of what the first ReLU made of it. Each ReLU is scaled to
give normal values variance 1; the first of a block allows for its input's variance.

As in the ISCA'23 artefact: alpha = 1, no stochastic depth, no squeeze-excite.

Source: Brock et al. 2021.
"""

import math

from tpufi.layers import (
    Bias,
    Dense,
    GlobalAveragePooling,
    Node,
    ReLU,
    Residual,
    Scale,
    Sequence,
    SkipGain,
    StandardisedConv2D,
)
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

# (output channels, stride of the first block) of each stage.
STAGES = ((256, 1), (512, 2), (1024, 2), (2048, 2))
BLOCKS = 2
# Width of a bottleneck as a share of its output channels.
WIDTH = 0.25
# About 1 / deviation of the ReLU of a standard normal variable; the published digits.
RELU_GAIN = 1.7139588594436646


def convolution(name: str, filters: int, kernel: int, stride: int = 1) -> Sequence:
    """Return a convolution with standardised kernel and bias."""
    return Sequence(
        (StandardisedConv2D(name, filters, kernel, stride), Bias(f"{name}_bias"))
    )


def activation(name: str, index: str = "", beta: float = 1.0) -> tuple[Node, ...]:
    """Return a ReLU that makes an input of deviation 1 / beta one of deviation 1."""
    # One factor, not two: TensorFlow would fold them, unless a fault site is between.
    return ReLU(f"{name}_relu{index}"), Scale(f"{name}_scale{index}", RELU_GAIN * beta)


def block(name: str, filters: int, stride: int, beta: float, transition: bool) -> Node:
    """Return a bottleneck.

    Args:
      name: prefix of its layers.
      filters: output channels.
      stride: stride of the 3x3 convolution.
      beta: 1 / expected deviation of the input.
      transition: whether the shortcut is a convolution.
    """
    width = int(filters * WIDTH)
    first = activation(name, "0", beta)
    main = (
        convolution(f"{name}_conv0", width, 1),
        *activation(name, "1"),
        convolution(f"{name}_conv1", width, 3, stride),
        *activation(name, "2"),
        convolution(f"{name}_conv2", filters, 1),
        SkipGain(f"{name}_skip_gain"),
    )
    if not transition:
        return Residual(Sequence((*first, *main)))
    shortcut = convolution(f"{name}_conv_shortcut", filters, 1, stride)
    return Sequence((*first, Residual(Sequence(main), shortcut)))


def architecture(
    classes: int = 10, stages: tuple[tuple[int, int], ...] = STAGES
) -> Sequence:
    """Return the model.

    Args:
      classes: outputs.
      stages: (output channels, stride of the first block) of each stage.
    """
    name = "NF_ResNet"
    parts: list[Node] = [convolution(f"{name}_init_conv", 64, 3, 2)]
    variance = 1.0
    for filters, stride in stages:
        for i in range(BLOCKS):
            parts.append(
                block(
                    f"{name}_block_{len(parts) - 1}",
                    filters,
                    stride if i == 0 else 1,
                    1 / math.sqrt(variance),
                    transition=i == 0,
                )
            )
            # A block adds variance 1; a convolution as shortcut starts again from 1.
            variance = 2.0 if i == 0 else variance + 1
    head = (GlobalAveragePooling("pool"), Dense("fc", classes), Bias("fc_bias"))
    return Sequence((*parts, *activation(name), *head))


WORKLOAD = Workload(
    name="nfnet",
    model=architecture(),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.01,
)
