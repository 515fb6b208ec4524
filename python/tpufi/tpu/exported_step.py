# SPDX-License-Identifier: Apache-2.0
"""The training step of one replica as a pure function, exported as an HLO module.

It is the step of `tpufi.training.Program` without its loop over virtual replicas:
state, batch, learning rate, number of the replica and descriptor are arguments, the new
state and what the step reports are results. With several replicas the program is what
each chip runs: what a replica contributes is summed over all chips before the update.
"""

import dataclasses

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from tpufi.descriptor import disarmed
from tpufi.layers.hooks import LEAN, Hooks
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.replica import apply_update, replica_gradients
from tpufi.training.state import State, initial_state
from tpufi.workload import Workload

CLEAN = "clean"
_SEED = 0  # Values do not matter, only shapes.


@dataclasses.dataclass(frozen=True)
class StepVariant:
    """Which sites a step has.

    Args:
      name: what reports call it.
      lowering: see `tpufi.layers.hooks.Hooks`; None for a step without sites.
      kinds: `direction/operand` of its sites; None: all.
    """

    name: str
    lowering: str | None = LEAN
    kinds: frozenset[str] | None = None


def site_kinds(workload: Workload) -> dict[str, int]:
    """Return how many sites of each `direction/operand` a workload has."""
    found: dict[str, int] = {}
    for site in workload.sites():
        kind = f"{site.direction}/{site.operand}"
        found[kind] = found.get(kind, 0) + 1
    return found


def export_step(
    workload: Workload, per_replica: int, variant: StepVariant, replicas: int = 1
) -> bytes:
    """Return the step as a serialised HloModuleProto.

    Args:
      workload: what is trained.
      per_replica: examples of the replica, >= 1.
      variant: which sites the step has.
      replicas: how many chips run the program together, >= 1.
    """
    table = workload.sites(per_replica) if variant.lowering else None

    def step(
        state: State,
        examples: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        rate: tf.Tensor,
        replica: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple:
        lowering = variant.lowering or LEAN
        hooks = Hooks(table, replica, faults, words, lowering, variant.kinds)
        result = replica_gradients(
            workload, state, examples, labels, seed, hooks, replicas * per_replica
        )
        if replicas > 1:
            result = tf.nest.map_structure(lambda x: _summed(x, replicas), result)
        new_state, record = apply_update(workload, state, result, replicas, rate, hooks)
        return new_state, result.loss, result.correct, result.record + record

    none = disarmed()
    outputs = workload.model.output_shape(workload.input_shape)[:-1]
    arguments = (
        initial_state(workload, _SEED),
        tf.zeros((per_replica, *workload.input_shape), workload.input_dtype),
        tf.zeros((per_replica, *outputs), tf.int32),
        tf.zeros([2], tf.uint32),
        tf.constant(workload.learning_rate, tf.float32),
        tf.constant(0, tf.int64),
        tf.constant(none.faults),
        tf.constant(none.words),
    )
    compiled = tf.function(step, jit_compile=True, autograph=False)
    with exact_arithmetic():
        return compiled.experimental_get_compiler_ir(*arguments)(stage="hlo_serialized")


def _summed(x: tf.Tensor, replicas: int) -> tf.Tensor:
    """Return the sum over all chips."""
    # A TPU sums no 64-bit integers; no count of a step is that large.
    narrow = tf.cast(x, tf.int32) if x.dtype == tf.int64 else x
    # Not among TensorFlow's public ops; the ones that are need devices to run on.
    total = gen_xla_ops.xla_all_reduce(
        input=narrow,
        group_assignment=[list(range(replicas))],
        reduce_op="Add",
        mode="CrossReplica",
    )
    return tf.cast(total, x.dtype)
