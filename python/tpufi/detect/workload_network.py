# SPDX-License-Identifier: Apache-2.0
"""What detectors know of a workload."""

import math

from tpufi.detect.signals import Network
from tpufi.detect.value_bounds import has_variances, variance_bounds
from tpufi.layers import BatchNorm, Layer, LayerNorm
from tpufi.layers.layer import Shape
from tpufi.workload import Workload


def network_of(workload: Workload, replicas: int, per_replica: int) -> Network:
    """Return what is known of a workload.

    Args:
      workload: what is trained.
      replicas: of a step.
      per_replica: examples of one replica.
    """
    batch = replicas * per_replica
    logits = workload.model.output_shape(workload.input_shape)
    terms, gains = {}, []
    for layer, shape in workload.layers:
        for weight in layer.parameters(shape):
            terms[weight.name] = batch * _positions(layer, shape, weight.shape)
            if isinstance(layer, BatchNorm | LayerNorm) and "gamma" in weight.name:
                gains.append(weight.name)
    return Network(
        labels=batch * math.prod(logits[:-1]),
        terms=terms,
        gains=tuple(gains),
        weights=tuple(terms),
        replicas=replicas,
        slots=workload.optimizer.slots(),
        variance_bounds=variance_bounds(workload) if has_variances(workload) else None,
    )


def _positions(layer: Layer, shape: Shape, weight: Shape) -> int:
    """Return how many positions of an example meet each element of a weight.

    A weight that is one number meets them all, any other those of its channel.
    """
    result = layer.output_shape(shape)
    return math.prod(result[:-1] if weight else result)
