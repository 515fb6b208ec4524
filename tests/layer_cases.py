# SPDX-License-Identifier: Apache-2.0
"""The table of layers under test: a new layer joins all layer tests by one line."""

import dataclasses
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from tests.decoder_cases import LookedUp, WithKeys, WithValues
from tpufi.layers import (
    GELU,
    AttentionContext,
    AttentionScores,
    AveragePooling,
    BatchNorm,
    Bias,
    CausalSoftmax,
    ChannelProduct,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    GlobalAveragePooling,
    Layer,
    LayerNorm,
    MaxPooling,
    PositionEmbedding,
    ReLU,
    Run,
    Scale,
    Sigmoid,
    SkipGain,
    SoftmaxLoss,
    StandardisedConv2D,
    Swish,
    Weight,
    ZeroPadding,
    initializers,
)
from tpufi.layers.pooling import Windowed
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class LabelledLoss:
    """The loss with fixed labels, which makes it look like a layer."""

    loss: SoftmaxLoss
    labels: tuple[int, ...] | tuple[tuple[int, ...], ...]
    global_batch: int

    @property
    def count(self) -> int:
        """Labels of the global batch."""
        return self.global_batch * np.size(self.labels[0])

    def parameters(self, shape: tuple) -> tuple:
        return ()

    def statistics(self, shape: tuple) -> tuple:
        return ()

    def sites(self, shape: tuple, batch: int, dtype: str) -> tuple[Site, ...]:
        return self.loss.sites(shape, batch, dtype)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        labels = tf.constant(self.labels, tf.int32)
        if not run.training:
            return tf.reduce_sum(self.loss.infer(x, labels)) / self.count
        return self.loss(x, labels, self.global_batch, run)


@dataclasses.dataclass(frozen=True)
class Gated:
    """The product with its gate as a weight, which makes it look like one input."""

    product: ChannelProduct
    batch: int

    def parameters(self, shape: tuple) -> tuple[Weight, ...]:
        gate = self.batch, 1, 1, shape[-1]
        return (Weight(f"{self.product.name}/gate", gate, initializers.ones),)

    def statistics(self, shape: tuple) -> tuple:
        return ()

    def output_shape(self, shape: tuple) -> tuple:
        return self.product.output_shape(shape)

    def sites(self, shape: tuple, batch: int, dtype: str) -> tuple[Site, ...]:
        return self.product.sites(shape, batch, dtype)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        return self.product(x, run, run.parameters[f"{self.product.name}/gate"])


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, its input shape without the batch axis, and the batch."""

    layer: Layer | LabelledLoss | Gated | WithKeys | LookedUp
    shape: tuple[int, ...]
    batch: int

    @property
    def output_shape(self) -> tuple[int, ...]:
        if isinstance(self.layer, LabelledLoss):
            return ()
        return self.batch, *self.layer.output_shape(self.shape)

    def sites(self, dtype: str) -> tuple[Site, ...]:
        return self.layer.sites(self.shape, self.batch, dtype)

    @property
    def kind(self) -> str:
        return type(self.layer).__name__

    def __str__(self) -> str:
        form = "x".join(map(str, (self.batch, *self.shape)))
        if isinstance(self.layer, Conv2D | DepthwiseConv2D | StandardisedConv2D):
            return f"{self.kind}-k{self.layer.kernel}-s{self.layer.stride}-{form}"
        if isinstance(self.layer, Windowed):
            window = f"k{self.layer.size}-s{self.layer.stride}-{self.layer.padding}"
            return f"{self.kind}-{window}-{form}"
        return f"{self.kind}-{form}"


def _convolutions() -> Iterator[Case]:
    # Height, width, channels, filters and batch differ, so that swapped axes show.
    for kernel in (1, 3, 5, 7):
        for stride in (1, 2):
            for height, width in ((6, 4), (5, 7), (4, 1), (1, 1)):
                layer = Conv2D("conv", 5, kernel, stride)
                yield Case(layer, (height, width, 3), 2)


def _depthwise() -> Iterator[Case]:
    for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2)):
        for height, width in ((6, 4), (5, 7), (2, 1), (1, 1)):
            yield Case(DepthwiseConv2D("dw", kernel, stride), (height, width, 3), 2)


CASES = (
    *_convolutions(),
    Case(Conv2D("conv", 4, 3, 3), (5, 8, 2), 3),
    *_depthwise(),
    Case(DepthwiseConv2D("dw", 3, 3), (5, 8, 1), 3),
    Case(StandardisedConv2D("wsconv", 5, 1), (3, 4, 6), 2),
    Case(StandardisedConv2D("wsconv", 4, 3, 2, floor=25.0), (5, 7, 3), 2),
    Case(Scale("scale", 1.7), (3, 4, 2), 2),
    Case(SkipGain("skip"), (3, 4, 2), 2),
    Case(Bias("bias"), (4,), 3),
    Case(Bias("bias"), (3, 2, 4), 2),
    Case(BatchNorm("bn"), (4, 3, 5), 2),
    Case(BatchNorm("bn", momentum=0.6, epsilon=0.1), (1, 1, 3), 4),
    Case(BatchNorm("bn"), (3,), 5),
    Case(ReLU("relu"), (3, 4, 2), 2),
    Case(ReLU("relu"), (7,), 3),
    Case(GlobalAveragePooling("pool"), (3, 4, 5), 2),
    Case(GlobalAveragePooling("pool"), (1, 1, 5), 2),
    Case(GlobalAveragePooling("pool", keepdims=True), (4, 3, 5), 2),
    Case(MaxPooling("pool", 3, 2), (5, 7, 3), 2),
    Case(MaxPooling("pool", 3, 2, "same"), (6, 4, 3), 2),
    Case(MaxPooling("pool", 2, 3, "same"), (4, 7, 2), 3),
    Case(MaxPooling("pool", 2, 2), (5, 4, 2), 2),
    Case(AveragePooling("pool", 2, 2), (4, 7, 3), 2),
    Case(AveragePooling("pool", 3, 2, "same"), (5, 7, 2), 2),
    Case(AveragePooling("pool", 3, 1), (4, 5, 2), 2),
    Case(ZeroPadding("pad", 1), (3, 4, 2), 2),
    Case(ZeroPadding("pad", 2), (1, 1, 3), 2),
    Case(Swish("swish"), (3, 4, 2), 2),
    Case(Swish("swish"), (7,), 3),
    Case(Sigmoid("sigmoid"), (1, 1, 6), 4),
    Case(Sigmoid("sigmoid"), (3, 4, 2), 2),
    Case(Gated(ChannelProduct("gate"), 2), (4, 3, 5), 2),
    Case(Gated(ChannelProduct("gate"), 3), (1, 1, 4), 3),
    Case(Dense("dense", 4), (6,), 3),
    Case(Dense("dense", 1), (2,), 1),
    Case(Dropout("drop", 0.15), (4, 3, 5), 2),
    Case(Dropout("drop", 0.5), (9,), 3),
    Case(LabelledLoss(SoftmaxLoss("loss"), (3, 0, 4), 7), (5,), 3),
    Case(LabelledLoss(SoftmaxLoss("loss"), ((3, 0, 4), (1, 1, 2)), 7), (3, 5), 2),
    Case(Dense("dense", 4), (5, 6), 3),
    Case(LookedUp(Embedding("embed", 4, 5), ((1, 0), (3, 1), (1, 1), (3, 0))), (5,), 4),
    Case(PositionEmbedding("position"), (4, 5), 3),
    Case(LayerNorm("norm"), (4, 5), 3),
    Case(LayerNorm("norm", epsilon=0.1), (3,), 2),
    Case(GELU("gelu"), (4, 5), 3),
    Case(WithKeys(AttentionScores("scores", 2), 3), (4, 10), 3),
    Case(WithKeys(AttentionScores("scores", 1), 2), (5, 3), 2),
    Case(CausalSoftmax("softmax"), (2, 4, 4), 3),
    Case(WithValues(AttentionContext("context", 10), 3), (2, 4, 4), 3),
    Case(WithValues(AttentionContext("context", 3), 2), (1, 5, 5), 2),
)

# One case of each kind of layer, for what does not depend on shapes.
ONE_OF_EACH = tuple({case.kind: case for case in CASES}.values())
SIXTEEN_BITS = ("bfloat16", "float16")

# Compiling a layer with its sites takes seconds: one of each kind, the others slow.
SLOW_IN_XLA = set(CASES) - set(ONE_OF_EACH)
CASES_IN_MODES = [
    pytest.param(
        case,
        mode,
        id=f"{case}-{mode}",
        marks=pytest.mark.slow if mode == "xla" and case in SLOW_IN_XLA else (),
    )
    for case in CASES
    for mode in ("graph", "xla")
]


@dataclasses.dataclass(frozen=True, eq=False)
class Values:
    """What a layer is given: arrays by name, and the gradient of its output."""

    x: np.ndarray
    parameters: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    dy: np.ndarray
    seed: np.ndarray

    @classmethod
    def drawn(cls, case: Case, dtype: str) -> "Values":
        """Draw normal values, the same for every type up to rounding."""
        rng = np.random.default_rng(zlib.crc32(str(case).encode()))

        def normal(shape: tuple) -> np.ndarray:
            return rng.standard_normal(shape).astype(np.float32).astype(dtype)

        return cls(
            normal((case.batch, *case.shape)),
            {w.name: normal(w.shape) for w in case.layer.parameters(case.shape)},
            {w.name: normal(w.shape) ** 2 for w in case.layer.statistics(case.shape)},
            normal(case.output_shape),
            rng.integers(0, 1 << 32, 2, np.uint32),
        )
