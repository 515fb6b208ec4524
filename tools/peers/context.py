# SPDX-License-Identifier: Apache-2.0
"""Places a tensor function at one site of a workload while its step is traced.

It stands in for `tpufi.layers.context.FaultContext`: a peer runs the very same layers.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from tpufi.layers.context import FaultContext, LayerSites, Product

Change = Callable[[str, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class PeerContext(FaultContext):
    """Calls `change(site name, tensor)` for tensors of the wanted sites.

    Args:
      wanted: tells by name whether a site is changed.
      change: returns the tensor that takes the place of the given one.
    """

    table: None = None  # Without a table nothing is reported.
    wanted: Callable[[str], bool] = lambda name: False
    change: Change = lambda name, x: x

    def includes(self, name: str) -> bool:
        return self.wanted(name)

    def layer(
        self, name: str, so_far: Sequence = (), input_read: bool = True
    ) -> LayerSites:
        # What nothing depends on TensorFlow leaves out by itself.
        return _PeerSites(self, name)


class _PeerSites(LayerSites):
    """The sites of one layer."""

    def inject(
        self, x: tf.Tensor, direction: str, operand: str, perm: Sequence[int] = ()
    ) -> tf.Tensor:
        if not self._includes(direction, operand):
            return x
        name, change = self._name(direction, operand), self._context.change
        if not perm:
            return change(name, x)
        back = [list(perm).index(axis) for axis in range(len(perm))]
        return tf.transpose(change(name, tf.transpose(x, perm)), back)

    def _product(self, product: Product) -> tf.Tensor:
        # Only if an operand is wanted that the library's kernel does not build, the
        # result is that of the reference operands.
        if not self._names(product.direction, tuple(product.operands)):
            product = product._replace(reference=None)
        y = product.again(self.inject)
        return self.inject(y, product.direction, "output", product.perm)

    def if_injected(
        self,
        direction: str,
        operand: str,
        changed: Callable[[], tf.Tensor],
        same: tf.Tensor,
    ) -> tf.Tensor:
        return changed() if self._includes(direction, operand) else same
