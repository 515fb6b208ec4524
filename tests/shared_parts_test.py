# SPDX-License-Identifier: Apache-2.0
"""Equal parts of an exported module are one; others stay what they are."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.xla.service import hlo_pb2

from tpufi.tpu.shared_parts import share_parts

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
    after = _parsed(share_parts(before))
    assert len(_parsed(before).computations) == 5
    assert len(after.computations) == 3
    kinds = [opcodes[-1] for opcodes in _reductions(after)]
    assert kinds == ["add", "add", "maximum", "maximum"]
    assert _reductions(after) == _reductions(_parsed(before))


@pytest.mark.parametrize("axes", [(0, 0), (0, 1)])
def test_equal_branches_of_a_conditional_are_one_and_others_two(axes):
    def chosen(x):
        square = x[:, :3]
        branches = [lambda a=axis: tf.reduce_sum(square, a) for axis in axes]
        return tf.switch_case(tf.cast(x[0, 0], tf.int32), branches)

    before = _parsed(_exported(chosen, tf.constant(X)))
    after = _parsed(share_parts(before.SerializeToString()))
    known = {c.id for c in after.computations}
    assert all(set(_called(c)) <= known for c in after.computations)
    (branches,) = (
        set(i.called_computation_ids)
        for c in after.computations
        for i in c.instructions
        if i.opcode == "conditional"
    )
    assert len(branches) == len(set(axes))


def test_equal_instructions_are_one_and_random_ones_are_not():
    def twice(x):
        drawn = [tf.random.uniform([4]) for _ in range(2)]
        return tf.exp(x) + tf.exp(x), drawn[0] - drawn[1]

    after = _parsed(share_parts(_exported(twice, tf.constant(X))))
    entry = next(c for c in after.computations if c.id == after.entry_computation_id)
    opcodes = [i.opcode for i in entry.instructions]
    assert opcodes.count("exponential") == 1
    assert opcodes.count("rng") == 2
    assert not any(i.HasField("metadata") for i in entry.instructions)


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
    after = _parsed(share_parts(before.SerializeToString()))
    assert len(after.computations) == len(before.computations)


def test_sharing_again_changes_nothing():
    module = _exported(
        lambda x: (tf.reduce_sum(x, 0), tf.reduce_sum(x, 1)), tf.constant(X)
    )
    once = share_parts(module)
    assert once != module
    assert share_parts(once) == once


def _called(computation: hlo_pb2.HloComputationProto) -> list[int]:
    return [c for i in computation.instructions for c in i.called_computation_ids]
