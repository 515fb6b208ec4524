# SPDX-License-Identifier: Apache-2.0
"""What layers that work element by element have in common."""

from tpufi.layers.layer import Layer, Shape
from tpufi.site_table import Site


class Elementwise(Layer):
    """A layer without parameters whose output element depends on one input element.

    Its sites are the input and the result of either direction.
    """

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        return tuple(
            Site(self.name, direction, operand, (batch, *shape), dtype)
            for direction in ("forward", "grad_in")
            for operand in ("input", "output")
        )
