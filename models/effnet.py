# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-B0 for 32x32 images, trained with Adam.

| part    | output   | layers                                                      |
|---------|----------|-------------------------------------------------------------|
| conv1   | 16x16x32 | 3x3/2 convolution, batch norm, swish                        |
| block 1 | 16x16x16 | 1 MBConv, expansion 1, 3x3                                  |
| block 2 | 8x8x24   | 2 MBConv, expansion 6, 3x3, the first with stride 2         |
| block 3 | 4x4x40   | 2 MBConv, expansion 6, 5x5, the first with stride 2         |
| block 4 | 2x2x80   | 3 MBConv, expansion 6, 3x3, the first with stride 2         |
| block 5 | 2x2x112  | 3 MBConv, expansion 6, 5x5                                  |
| block 6 | 1x1x192  | 4 MBConv, expansion 6, 5x5, the first with stride 2         |
| block 7 | 1x1x320  | 1 MBConv, expansion 6, 3x3                                  |
| conv2   | 1x1x1280 | 1x1 convolution, batch norm, swish                          |
| head    | 10       | global average pooling, fully connected                     |

As in the ISCA'23 artefact: squeeze-excite reduces to a quarter of the expanded width
and stands before the second swish, block 1 has an expansion convolution, and there is
neither dropout nor drop-connect. `effnet_reference` has the published order and widths.

Source: Tan and Le 2019.
"""

from tpufi.layers import (
    BatchNorm,
    Bias,
    ChannelProduct,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Gate,
    GlobalAveragePooling,
    Node,
    Residual,
    Sequence,
    Sigmoid,
    Swish,
)
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

# (filters, blocks, expansion, kernel, stride of the first block) of each stage.
STAGES = (
    (16, 1, 1, 3, 1),
    (24, 2, 6, 3, 2),
    (40, 2, 6, 5, 2),
    (80, 3, 6, 3, 2),
    (112, 3, 6, 5, 1),
    (192, 4, 6, 5, 2),
    (320, 1, 6, 3, 1),
)


def normalised(conv: Node, norm: str, swish: str) -> tuple[Node, ...]:
    """Return a convolution, its batch norm and a swish."""
    return conv, BatchNorm(norm), Swish(swish)


def squeeze_excite(name: str, width: int, reduced: int) -> Gate:
    """Return a gate of `width` channels, computed by way of `reduced` ones."""
    branch = (
        GlobalAveragePooling(f"{name}_pool", keepdims=True),
        Conv2D(f"{name}_reduce_conv", reduced, 1),
        Bias(f"{name}_reduce_conv_bias"),
        Swish(f"{name}_swish"),
        Conv2D(f"{name}_expand_conv", width, 1),
        Bias(f"{name}_expand_conv_bias"),
        Sigmoid(f"{name}_sigmoid"),
    )
    return Gate(Sequence(branch), ChannelProduct(f"{name}_product"))


def mbconv(
    name: str,
    inputs: int,
    filters: int,
    expansion: int,
    kernel: int,
    stride: int,
    reference: bool,
) -> Node:
    """Return an inverted bottleneck; with a shortcut if its shape allows one."""
    width = inputs * expansion
    expand = normalised(
        Conv2D(f"{name}_conv1", width, 1), f"{name}_bn1", f"{name}_swish1"
    )
    depthwise = DepthwiseConv2D(f"{name}_dwconv", kernel, stride)
    excite = squeeze_excite(f"{name}_se", width, (inputs if reference else width) // 4)
    swish = Swish(f"{name}_swish2")
    main = Sequence(
        (
            *(() if reference and expansion == 1 else expand),
            depthwise,
            BatchNorm(f"{name}_bn2"),
            *((swish, excite) if reference else (excite, swish)),
            Conv2D(f"{name}_conv2", filters, 1),
            BatchNorm(f"{name}_bn3"),
        )
    )
    return Residual(main) if stride == 1 and inputs == filters else main


def architecture(
    reference: bool = False, classes: int = 10, *, stages: tuple = STAGES
) -> Sequence:
    """Return the model.

    Args:
      reference: as published, not as in the artefact.
      classes: outputs.
      stages: as `STAGES`.
    """
    parts: list[Node] = [*normalised(Conv2D("conv1", 32, 3, 2), "bn1", "swish1")]
    inputs = 32
    for b, (filters, blocks, expansion, kernel, stride) in enumerate(stages, 1):
        for i in range(blocks):
            shape = inputs, filters, expansion, kernel, stride if i == 0 else 1
            parts.append(mbconv(f"block{b}_mbconv_{i}", *shape, reference))
            inputs = filters
    parts += normalised(Conv2D("conv2", 1280, 1), "bn2", "swish2")
    head = (GlobalAveragePooling("pool"), Dense("fc", classes), Bias("fc_bias"))
    return Sequence((*parts, *head))


WORKLOAD = Workload(
    name="effnet",
    model=architecture(),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0005, steps=2000),
    learning_rate=0.002,
)
