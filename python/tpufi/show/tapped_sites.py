# SPDX-License-Identifier: Apache-2.0
"""Sites that hand out their tensors while a program is traced."""

import dataclasses
import functools
from collections.abc import Sequence

import tensorflow as tf

from tpufi.layers.context import FaultContext, LayerSites, Product


@dataclasses.dataclass(frozen=True, eq=False)
class TappedContext(FaultContext):
    """Fault operands of a program whose chosen sites can be seen.

    Args:
      seen: names of the chosen sites.
      tensors: filled while the program is traced, by name of the site: the tensor that
        leaves the site, in the layout that positions refer to.
    """

    seen: frozenset[str] = frozenset()
    tensors: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)

    def layer(
        self, name: str, so_far: Sequence[tf.Tensor] = (), input_read: bool = True
    ) -> LayerSites:
        return _TappedSites(self, name, so_far)


class _TappedSites(LayerSites):
    """The sites of one layer; what is chosen of them is kept."""

    def inject(
        self,
        x: tf.Tensor,
        direction: str,
        operand: str,
        perm: Sequence[int] = (),
        **how: bool,
    ) -> tf.Tensor:
        y = super().inject(x, direction, operand, perm, **how)
        self._keep(y, direction, operand, perm)
        return y

    def _with_faults(self, result: tf.Tensor, product: Product) -> tf.Tensor:
        y = super()._with_faults(result, product)
        self._keep(y, product.direction, "output", product.perm)
        names = {self._name(product.direction, operand) for operand in product.operands}
        if names & self._context.seen:
            # What is built inside the conditional cannot leave it: build it once more.
            twin = _TappedSites(self._context, self._layer)
            product.again(functools.partial(twin.inject, confines=True))
        return y

    def _keep(
        self, y: tf.Tensor, direction: str, operand: str, perm: Sequence[int]
    ) -> None:
        name = self._name(direction, operand)
        if name in self._context.seen:
            self._context.tensors[name] = tf.transpose(y, perm) if perm else y
