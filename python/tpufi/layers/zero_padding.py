# SPDX-License-Identifier: Apache-2.0
"""Zero padding around an image."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape


@dataclasses.dataclass(frozen=True)
class ZeroPadding(Layer):
    """Put zeros on all four sides of NHWC images.

    A fault in the result may hit a zero of the frame. One in the frame of the incoming
    gradient changes nothing: the frame is cut off.

    Args:
      name: layer name.
      width: rows and columns of zeros on each side, >= 1.
    """

    name: str
    width: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"padding width {self.width} is not positive")

    def output_shape(self, shape: Shape) -> Shape:
        *image, channels = shape
        return *(n + 2 * self.width for n in image), channels

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        y = tf.pad(faulty_x, self._frame)
        return sites.inject(y, "forward", "output"), (x.shape,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (shape,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        dx = tf.slice(dy, [0, self.width, self.width, 0], shape)
        return (sites.inject(dx, "grad_in", "output"),)

    @property
    def _frame(self) -> tuple[tuple[int, int], ...]:
        side = (self.width, self.width)
        return (0, 0), side, side, (0, 0)
