# SPDX-License-Identifier: Apache-2.0
"""What each replica of a step computes, virtual or on a device of its own.

Of the clean step, which has the bits of an armed one without a fault.
"""

import numpy as np
import tensorflow as tf

from tests.one_replica import NO_RATE
from tpufi.data.batches import Batch
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.state import State
from tpufi.training.step import TrainingStep
from tpufi.training.step_values import ReplicaResult, StepInputs
from tpufi.workload import Workload


class Replicas:
    """The replicas of a step of a workload, without the sum over them.

    Args:
      workload: what is trained.
      strategy: the devices, one a replica.
      per_replica: images of one replica.
    """

    def __init__(
        self, workload: Workload, strategy: tf.distribute.Strategy, per_replica: int
    ):
        self.workload, self.strategy = workload, strategy
        self.replicas = strategy.num_replicas_in_sync
        self._step = TrainingStep(workload, self.replicas, per_replica)
        self._virtual = tf.function(self._traced_virtual, autograph=False)
        self._mirrored = tf.function(self._traced_mirrored, autograph=False)

    def __call__(
        self, how: str, state: State, batch: Batch, keys: np.ndarray
    ) -> ReplicaResult:
        """Return a result whose arrays have the replicas as their first axis."""
        given = (
            state,
            tf.constant(batch.images.astype(self.workload.input_dtype)),
            tf.constant(batch.labels),
            tf.constant(keys, tf.uint32),
        )
        with exact_arithmetic():
            if how == "virtual":
                return _arrays(self._virtual(*given))
            each = self._mirrored(*given)
        results = tf.nest.map_structure(self._stacked, each)
        return _arrays(results)

    def _one(self, replica, state, images, labels, seeds):
        mine = images[replica], labels[replica], seeds[replica]
        inputs = StepInputs(*mine, NO_RATE)
        return self._step.passes(state, inputs, self._step.context(replica, None))

    def _traced_virtual(self, *given) -> ReplicaResult:
        """Go through the replicas in a loop, as `Program` does."""
        like = tf.nest.map_structure(
            lambda x: tf.zeros_like(x)[None], self._one(tf.zeros([], tf.int64), *given)
        )

        def body(replica, results):
            own = self._one(replica, *given)
            added = tf.nest.map_structure(
                lambda all_, x: tf.concat([all_, x[None]], 0), results, own
            )
            return replica + 1, added

        shapes = tf.nest.map_structure(
            lambda x: tf.TensorShape([None, *x.shape[1:]]), like
        )
        _, results = tf.while_loop(
            lambda replica, _: replica < self.replicas,
            body,
            (tf.zeros([], tf.int64), like),
            (tf.TensorShape([]), shapes),
            parallel_iterations=1,
        )
        return tf.nest.map_structure(lambda x: x[1:], results)

    def _traced_mirrored(self, *given):
        def replica_step():
            context = tf.distribute.get_replica_context()
            replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
            return self._one(replica, *given)

        return self.strategy.run(replica_step)

    def _stacked(self, value) -> tf.Tensor:
        return tf.stack(self.strategy.experimental_local_results(value))


def _arrays(results: ReplicaResult) -> ReplicaResult:
    return tf.nest.map_structure(lambda x: x.numpy(), results)
