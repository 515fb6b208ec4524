# SPDX-License-Identifier: Apache-2.0
"""Softmax cross-entropy from logits."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Passes, Run, Shape, trained
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class SoftmaxLoss:
    """Sparse cross-entropy of each example, and its handwritten gradient.

    The sum over a replica's examples divided by the global batch is what is
    differentiated, so that gradients of replicas add up. An example may have several
    labels, such as one for each token; it counts as their mean.

    Args:
      name: layer name.
    """

    name: str

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        """Return the fault sites for a shape (..., classes) and a per-replica batch."""
        logits = (batch, *shape)
        shapes = {
            ("forward", "input"): logits,
            ("forward", "output"): logits[:-1],
            ("grad_in", "output"): logits,
        }
        return tuple(Site(self.name, *key, s, dtype) for key, s in shapes.items())

    def infer(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the loss of each label, without faults; NaN and Inf go through."""
        target = tf.one_hot(labels, logits.shape[-1], True, False, dtype=tf.bool)
        picked = tf.reduce_sum(tf.where(target, logits, tf.zeros_like(logits)), -1)
        return tf.reduce_logsumexp(logits, -1) - picked

    def __call__(
        self, logits: tf.Tensor, labels: tf.Tensor, global_batch: int, run: Run
    ) -> tf.Tensor:
        """Return the replica's share of the mean loss.

        Args:
          logits: [batch, ..., classes].
          labels: int32 [batch, ...].
          global_batch: examples of all replicas.
          run: the traced pass.
        """
        count = global_batch * math.prod(labels.shape[1:])
        return trained(LossPasses(self, count), run, logits, labels)


@dataclasses.dataclass(frozen=True)
class LossPasses(Passes):
    """The share of some labels in the mean loss.

    Args:
      loss: the loss.
      count: labels of all replicas.
    """

    loss: SoftmaxLoss
    count: int

    @property
    def name(self) -> str:
        return self.loss.name

    def forward(
        self, sites: LayerSites, run: Run, logits: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        logits = sites.inject(logits, "forward", "input")
        losses = sites.inject(self.loss.infer(logits, labels), "forward", "output")
        return tf.reduce_sum(losses) / self.count, (logits, labels)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, None]:
        """Return the gradient of the logits: softmax minus one-hot, scaled."""
        logits, labels = saved
        target = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        dlogits = (self._softmax(logits) - target) * (dy / self.count)
        return sites.inject(dlogits, "grad_in", "output"), None

    def _softmax(self, logits: tf.Tensor) -> tf.Tensor:
        """Of Inf or NaN the CPU kernel makes zeros and one NaN; this, a row of NaN."""
        powers = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
        return powers / tf.reduce_sum(powers, -1, keepdims=True)
