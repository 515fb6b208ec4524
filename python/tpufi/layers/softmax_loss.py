# SPDX-License-Identifier: Apache-2.0
"""Softmax cross-entropy from logits."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers.layer import Run, Shape
from tpufi.layers.layer_sites import LayerSites
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
        """Return the loss of each label, without faults."""
        return self._losses(logits, labels)

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
        probe = () if run.probe is None else (run.probe,)

        hands_on = run.hooks.prepared is not None  # See Layer.

        @tf.custom_gradient
        def differentiable(logits: tf.Tensor, *so_far: tf.Tensor) -> tuple:
            ahead = run.hooks.layer(self.name, so_far if hands_on else ())
            loss, saved = self.forward(ahead, logits, labels, global_batch)

            def gradient(dloss: tf.Tensor, *so_far: tf.Tensor) -> tuple:
                back = run.hooks.layer(self.name, so_far)
                dlogits = self.backward(back, saved, dloss)
                if hands_on:
                    return dlogits, *back.records()
                return dlogits, *map(tf.add, ahead.records(), back.records())

            return (loss, *(ahead.records() if hands_on else ())), gradient

        loss, *records = differentiable(logits, *probe)
        if records:
            (run.probe,) = records
        return loss

    def forward(
        self, sites: LayerSites, logits: tf.Tensor, labels: tf.Tensor, global_batch: int
    ) -> tuple[tf.Tensor, tuple]:
        """Return the loss and what the backward pass needs."""
        logits = sites.strike(logits, "forward", "input")
        losses = sites.strike(self._losses(logits, labels), "forward", "output")
        count = global_batch * math.prod(labels.shape[1:])
        return tf.reduce_sum(losses) / count, (logits, labels, count)

    def backward(self, sites: LayerSites, saved: tuple, dloss: tf.Tensor) -> tf.Tensor:
        """Return the gradient of the logits: softmax minus one-hot, scaled."""
        logits, labels, count = saved
        target = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        dlogits = (self._softmax(logits) - target) * (dloss / count)
        return sites.strike(dlogits, "grad_in", "output")

    def _softmax(self, logits: tf.Tensor) -> tf.Tensor:
        """Of Inf or NaN the CPU kernel makes zeros and one NaN; this, a row of NaN."""
        powers = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
        return powers / tf.reduce_sum(powers, -1, keepdims=True)

    def _losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """log(sum(exp(logits))) - logits[label]; NaN and Inf go through."""
        target = tf.one_hot(labels, logits.shape[-1], True, False, dtype=tf.bool)
        picked = tf.reduce_sum(tf.where(target, logits, tf.zeros_like(logits)), -1)
        return tf.reduce_logsumexp(logits, -1) - picked
