# SPDX-License-Identifier: Apache-2.0
"""Places a tensor function at one site of a workload while its step is traced.

It stands in for `tpufi.layers.context.FaultContext`: a peer runs the very same layers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tpufi.layers.context import with_operands

Change = Callable[[str, tf.Tensor], tf.Tensor]


class PeerContext:
    """Calls `change(site name, tensor)` for tensors of the wanted sites.

    Args:
      wanted: tells by name whether a site is changed.
      change: returns the tensor that takes the place of the given one.
    """

    table = None  # It reports nothing: see `tpufi.layers.context.CLEAN`.
    compiled = False
    hands_on = False

    def __init__(self, wanted: Callable[[str], bool], change: Change):
        self._wanted = wanted
        self._change = change

    def layer(
        self, name: str, so_far: tuple = (), input_read: bool = True
    ) -> "PeerSites":
        """Return the sites of the layer called `name`."""
        del (
            so_far,
            input_read,
        )  # What nothing depends on TensorFlow leaves out by itself.
        return PeerSites(name, self._wanted, self._change)

    def probe(self) -> None:
        """Return what reports faults: nothing."""


class PeerSites:
    """The sites of one layer, with the methods of `tpufi.layers.LayerSites`."""

    def __init__(self, layer: str, wanted: Callable[[str], bool], change: Change):
        self._layer = layer
        self._wanted = wanted
        self._change = change

    def whole_pass(self, compute: Callable[..., Any], *inputs: object) -> Any:
        """Return what a pass of the layer makes of its inputs."""
        return compute(self, *inputs)

    def inject(
        self, x: tf.Tensor, direction: str, operand: str, perm: Sequence[int] = ()
    ) -> tf.Tensor:
        """Return what takes the place of `x`, changed in the layout of the site."""
        name = f"{self._layer}/{direction}/{operand}"
        if not self._wanted(name):
            return x
        if not perm:
            return self._change(name, x)
        back = [list(perm).index(axis) for axis in range(len(perm))]
        return tf.transpose(self._change(name, tf.transpose(x, perm)), back)

    def product(
        self,
        direction: str,
        compute: Callable[..., tf.Tensor],
        operands: Mapping[str, tf.Tensor],
        perms: Mapping[str, Sequence[int]] | None = None,
        *,
        reference: Callable[[Change], tf.Tensor] | None = None,
        perm: Sequence[int] = (),
    ) -> tf.Tensor:
        """Return what an operation makes of its operands.

        Only if an operand is wanted that the library's kernel does not build, the
        result is that of the reference operands.
        """
        again = with_operands(compute, direction, operands, perms)
        names = [f"{self._layer}/{direction}/{operand}" for operand in operands]
        if reference is not None and any(map(self._wanted, names)):
            again = reference
        y = again(self.inject)
        return self.inject(y, direction, "output", perm)

    def records(self) -> tuple:
        """Return what was reported: nothing."""
        return ()

    def if_injected(
        self,
        direction: str,
        operand: str,
        changed: Callable[[], tf.Tensor],
        same: tf.Tensor,
    ) -> tf.Tensor:
        """Return `changed()` if the operand's site is wanted."""
        name = f"{self._layer}/{direction}/{operand}"
        return changed() if self._wanted(name) else same

    def record(self) -> None:
        """Return what was injected: nothing is reported."""
