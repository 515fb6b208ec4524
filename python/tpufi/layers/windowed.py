# SPDX-License-Identifier: Apache-2.0
"""What layers that reduce each channel over moving windows have in common."""

import dataclasses

from tpufi.layers.layer import Layer, Shape

PADDINGS = ("valid", "same")


@dataclasses.dataclass(frozen=True)
class Windowed(Layer):
    """A layer without parameters that makes one number of each window of pixels.

    Its sites are the input and the result of either direction.

    Args:
      name: layer name.
      size: rows and columns of a window, >= 1.
      stride: pixels from one window to the next, >= 1.
      padding: `valid`, windows inside the image only, or `same`, one for every
        `stride` pixels; what lies beyond the edge then counts for nothing.
    """

    name: str
    size: int
    stride: int
    padding: str = "valid"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"window size {self.size} is not positive")
        if self.stride < 1:
            raise ValueError(f"window stride {self.stride} is not positive")
        if self.padding not in PADDINGS:
            raise ValueError(
                f"padding {self.padding!r} is not one of {', '.join(PADDINGS)}"
            )

    def output_shape(self, shape: Shape) -> Shape:
        *image, channels = shape
        if self.padding == "same":
            return *(-(-n // self.stride) for n in image), channels
        if min(image) < self.size:
            raise ValueError(
                f"windows of {self.size}x{self.size} pixels do not fit an image of "
                f"{image[0]}x{image[1]}; take smaller ones or padding 'same'"
            )
        return *((n - self.size) // self.stride + 1 for n in image), channels

    @property
    def _how(self) -> dict:
        """The windows as TensorFlow's pooling ops take them."""
        return {
            "ksize": [1, self.size, self.size, 1],
            "strides": [1, self.stride, self.stride, 1],
            "padding": self.padding.upper(),
        }
