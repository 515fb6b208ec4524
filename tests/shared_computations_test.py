# SPDX-License-Identifier: Apache-2.0
"""Equal computations of an exported module are one; others stay what they are."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from tpufi.tpu.shared_computations import share_computations

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def _parsed(module: bytes) -> hlo_pb2.HloModuleProto:
    return hlo_pb2.HloModuleProto.FromString(module)


def _exported(function, *arguments) -> bytes:
    """Return a function as XLA gets it, each reduction with its own computation."""
    compiled = tf.function(function, jit_compile=True)
    return compiled.experimental_get_compiler_ir(*arguments)("hlo_serialized")


def _reductions(proto: hlo_pb2.HloModuleProto) -> list[tuple]:
    """Return opcodes of the computation that each reduction calls."""
    opcodes = {c.id: [i.opcode for i in c.instructions] for c in proto.computations}
    return [
        tuple(opcodes[instruction.called_computation_ids[0]])
        for computation in proto.computations
        for instruction in computation.instructions
        if instruction.opcode == "reduce"
    ]


def test_reductions_of_a_kind_share_one_computation_and_others_keep_theirs():
    def sums_and_maxima(x):
        rows = [tf.reduce_sum(x, 0), tf.reduce_sum(x, 1)]
        return [*rows, tf.reduce_max(x, 0), tf.reduce_max(x, 1)]

    before = _exported(sums_and_maxima, tf.constant(X))
    after = _parsed(share_computations(before))
    assert len(_parsed(before).computations) == 5
    assert len(after.computations) == 3
    kinds = [opcodes[-1] for opcodes in _reductions(after)]
    assert kinds == ["add", "add", "maximum", "maximum"]
    assert _reductions(after) == _reductions(_parsed(before))


def test_the_branches_of_a_conditional_stay_when_they_call_others():
    def chosen(x):
        branches = [lambda: tf.reduce_sum(x, 0), lambda: tf.reduce_sum(x, 0)]
        return tf.switch_case(tf.cast(x[0, 0], tf.int32), branches)

    before = _parsed(_exported(chosen, tf.constant(X)))
    after = _parsed(share_computations(before.SerializeToString()))
    callers = [c.name for c in before.computations if _called(c)]
    assert [c.name for c in after.computations if _called(c)] == callers
    known = {c.id for c in after.computations}
    assert all(set(_called(c)) <= known for c in after.computations)


@pytest.mark.parametrize("field", ["literal", "opcode", "shape", "order"])
def test_a_difference_in_what_is_computed_keeps_two(field):
    before = _parsed(
        _exported(lambda x: (tf.reduce_sum(x, 0), tf.reduce_sum(x, 1)), tf.constant(X))
    )
    other = next(c for c in before.computations if not _called(c))
    root = other.instructions[-1]
    if field == "literal":
        root.literal.f32s.append(1.0)
    elif field == "opcode":
        root.opcode = "multiply"
    elif field == "shape":
        root.shape.element_type = 12  # F64 in place of F32.
    else:
        root.operand_ids[:] = root.operand_ids[::-1]
    after = _parsed(share_computations(before.SerializeToString()))
    assert len(after.computations) == len(before.computations)


def test_sharing_again_changes_nothing():
    module = _exported(
        lambda x: (tf.reduce_sum(x, 0), tf.reduce_sum(x, 1)), tf.constant(X)
    )
    once = share_computations(module)
    assert once != module
    assert share_computations(once) == once


def _called(computation: hlo_pb2.HloComputationProto) -> list[int]:
    return [c for i in computation.instructions for c in i.called_computation_ids]
