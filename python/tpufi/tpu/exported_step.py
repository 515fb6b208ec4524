# SPDX-License-Identifier: Apache-2.0
"""The training step of one replica as a pure function, exported as an HLO module.

It is the step of `tpufi.training.Program` without its loop over virtual replicas:
state, batch, learning rate, number of the replica and descriptor are arguments, the new
state and what the step reports are results. With several replicas the program is what
each chip runs: what a replica contributes is summed over all chips before the update.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from tpufi.descriptor import disarmed
from tpufi.layers.hooks import Hooks, lean_hooks
from tpufi.layers.lowering import LEAN
from tpufi.layers.placement import NO_GROUP, Placed, Placement
from tpufi.site_table import SiteTable
from tpufi.tpu.shared_computations import share_computations
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.grouped import GROUPED, Cut, choose_group, placement
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
      lowering: see `tpufi.training.Program`; None for a step without sites.
      kinds: `direction/operand` of its sites, lowering `lean` only; None: all.
      groups: groups of sites of lowering `grouped`; see `tpufi.training.Program`.
      ids: its sites, lowering `lean` only; None: all of those kinds.
    """

    name: str
    lowering: str | None = LEAN
    kinds: frozenset[str] | None = None
    groups: Cut = None
    ids: Sequence[int] | None = None


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
    table = workload.sites(per_replica)
    operands: tuple = disarmed().faults, disarmed().words
    where = _placement(table, variant)
    if where is not None:
        operands = (where.place(disarmed()),)

    def build(hooks: Hooks, given: tuple) -> tuple:
        state, examples, labels, seed, rate = given
        result = replica_gradients(
            workload,
            state,
            examples,
            labels,
            seed,
            hooks,
            replicas * per_replica,
            compiled=True,
        )
        if replicas > 1:
            result = tf.nest.map_structure(lambda x: _summed(x, replicas), result)
        new_state, record = apply_update(workload, state, result, replicas, rate, hooks)
        return new_state, result.loss, result.correct, result.record + record

    def step(
        state: State,
        examples: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        rate: tf.Tensor,
        replica: tf.Tensor,
        *operands: tf.Tensor | Placed,
    ) -> tuple:
        given = state, examples, labels, seed, rate
        if where is None:
            return build(Hooks(table, replica, *operands, variant.lowering), given)
        (placed,) = operands

        def branch(group: int) -> tuple:
            return build(lean_hooks(where, group, placed, replica), given)

        if variant.lowering == GROUPED:
            return choose_group(len(where.groups), placed, branch)
        return branch(1 if variant.lowering else NO_GROUP)

    outputs = workload.model.output_shape(workload.input_shape)[:-1]
    arguments = (
        initial_state(workload, _SEED),
        tf.zeros((per_replica, *workload.input_shape), workload.input_dtype),
        tf.zeros((per_replica, *outputs), tf.int32),
        tf.zeros([2], tf.uint32),
        tf.constant(workload.learning_rate, tf.float32),
        tf.constant(0, tf.int64),
        *tf.nest.map_structure(tf.constant, operands),
    )
    compiled = tf.function(step, jit_compile=True, autograph=False)
    with exact_arithmetic():
        module = compiled.experimental_get_compiler_ir(*arguments)("hlo_serialized")
    return share_computations(module)


def _placement(table: SiteTable, variant: StepVariant) -> Placement | None:
    """Return the groups of a lean step's sites; one without sites counts as lean."""
    if variant.lowering == GROUPED:
        return placement(table, GROUPED, variant.groups)
    if variant.lowering not in (None, LEAN):
        return None
    ids = [
        i
        for i, site in enumerate(table)
        if variant.kinds is None or f"{site.direction}/{site.operand}" in variant.kinds
        if variant.ids is None or i in variant.ids
    ]
    return Placement(table, [ids])


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
