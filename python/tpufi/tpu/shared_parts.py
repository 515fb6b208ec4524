# SPDX-License-Identifier: Apache-2.0
"""Equal parts of an HLO module made one.

TensorFlow gives every reduction a separate computation, and every site of an armed
program computes again what all of them ask of the fault. What reads the module takes
memory for each: it is smaller by half where equal parts are one.
"""

from collections.abc import Callable

from tensorflow.compiler.xla.service import hlo_pb2

Computation = hlo_pb2.HloComputationProto
Instruction = hlo_pb2.HloInstructionProto
# Two of these are never one, however equal.
_APART = {"parameter", "rng", "rng-bit-generator", "all-reduce", "infeed", "outfeed"}


def share_parts(module: bytes) -> bytes:
    """Return a module of which equal computations, and instructions in one, are one.

    Names of instructions do not count, and the operations they come from are forgotten.

    Args:
      module: a serialised HloModuleProto.
    """
    proto = hlo_pb2.HloModuleProto.FromString(module)
    kept: list[Computation] = []
    first: dict[bytes, int] = {}
    shared: dict[int, int] = {}
    # A computation stands behind those that it calls.
    for computation in proto.computations:
        for instruction in computation.instructions:
            instruction.ClearField("metadata")
            called = [shared[c] for c in instruction.called_computation_ids]
            instruction.called_computation_ids[:] = called
        _share_instructions(computation)
        content = _content(computation)
        if computation.id == proto.entry_computation_id or content not in first:
            first[content] = computation.id
            kept.append(computation)
        shared[computation.id] = first[content]
    del proto.computations[:]
    proto.computations.extend(kept)
    return proto.SerializeToString(deterministic=True)


def _share_instructions(computation: Computation) -> None:
    """Keep one of equal instructions of a computation."""
    first: dict[bytes, int] = {}
    shared: dict[int, int] = {}
    kept = []
    for instruction in computation.instructions:
        operands = [shared[i] for i in instruction.operand_ids]
        instruction.operand_ids[:] = operands
        controls = [shared[i] for i in instruction.control_predecessor_ids]
        instruction.control_predecessor_ids[:] = controls
        content = _anonymous(instruction, lambda i: i)
        if instruction.opcode in _APART or content not in first:
            first[content] = instruction.id
            kept.append(instruction)
        shared[instruction.id] = first[content]
    computation.root_id = shared[computation.root_id]
    left = [Instruction.FromString(i.SerializeToString()) for i in kept]
    del computation.instructions[:]
    computation.instructions.extend(left)


def _content(computation: Computation) -> bytes:
    """Return what a computation does, without names and with numbers from 0 on."""
    numbers = {i.id: number for number, i in enumerate(computation.instructions)}
    parts = [_anonymous(i, numbers.__getitem__) for i in computation.instructions]
    return b"\0".join([str(numbers[computation.root_id]).encode(), *parts])


def _anonymous(instruction: Instruction, number_of: Callable[[int], int]) -> bytes:
    """Return an instruction without its name, its operands by their numbers."""
    same = Instruction()
    same.CopyFrom(instruction)
    same.ClearField("id")
    same.ClearField("name")
    same.operand_ids[:] = map(number_of, instruction.operand_ids)
    controls = map(number_of, instruction.control_predecessor_ids)
    same.control_predecessor_ids[:] = controls
    return same.SerializeToString(deterministic=True)
