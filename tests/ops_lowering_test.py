# SPDX-License-Identifier: Apache-2.0
"""Compiled faults are elementwise: no lookup, no copy and no reshape of the tensor."""

import dataclasses
import functools
import itertools
import math
import re

import pytest
import tensorflow as tf

import tpufi
from tpufi import descriptor
from tpufi.ops import inject_fault

SHAPE = (128, 8, 8, 16)
SIZE = math.prod(SHAPE)
ROWS, CAPACITY = 2, 64
SMALL = 1024  # Elements of the largest table: two periods, or the record of two rows.
HLO_TYPES = {"float32": "f32", "bfloat16": "bf16"}
STAGES = ("hlo", "optimized_hlo")
LOOKUPS = {"custom-call", "gather", "scatter", "dynamic-update-slice", "infeed", "sort"}
MOVES = {
    "reshape", "bitcast", "transpose", "slice", "dynamic-slice", "concatenate", "pad",
    "reverse", "constant",
}  # fmt: skip
# Floating-point instructions that pass bits on unchanged.
CARRIERS = {
    "parameter", "bitcast-convert", "reshape", "fusion", "call", "tuple", "copy",
    "get-tuple-element",
}  # fmt: skip

NUMBER, MASK = tf.constant(0, tf.int64), tf.constant(1, tf.uint64)
SEED, YES = tf.constant([1, 2], tf.uint32), tf.constant(True)
NO_FAULT = descriptor.disarmed(ROWS, CAPACITY)
DESCRIPTOR = (NUMBER, tf.constant(NO_FAULT.faults), tf.constant(NO_FAULT.words))
DESCRIPTOR_TYPES = ("s64[]", f"s64[{ROWS},11]", f"u64[{ROWS},{CAPACITY}]")
# Name -> function of x and its fault operands, the operands, and their HLO types.
OPS = {
    "flip_bits": (
        lambda x, start, count, mask: tpufi.flip_bits(x, start, count, mask),
        (NUMBER, NUMBER, MASK),
        ("s64[]", "s64[]", "u64[]"),
    ),
    "zero_out": (
        lambda x, start, count: tpufi.zero_out(x, start, count),
        (NUMBER, NUMBER),
        ("s64[]", "s64[]"),
    ),
    "inject_random": (
        lambda x, start, count, seed, finite: tpufi.inject_random(
            x, start, count, seed, finite=finite
        ),
        (NUMBER, NUMBER, SEED, YES),
        ("s64[]", "s64[]", "u32[2]", "pred[]"),
    ),
    "inject_fault": (
        lambda x, *operands: inject_fault(x, 3, *operands),
        DESCRIPTOR,
        DESCRIPTOR_TYPES,
    ),
    "inject_fault_perm": (
        lambda x, *operands: inject_fault(x, 3, *operands, perm=(3, 0, 1, 2)),
        DESCRIPTOR,
        DESCRIPTOR_TYPES,
    ),
}
PROGRAMS = list(itertools.product(OPS, HLO_TYPES, STAGES))


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of HLO text: the name, the opcode, the result, and all types in it."""

    name: str
    opcode: str
    result: tuple[str, ...]
    types: tuple[str, ...]
    operands: str


def types_in(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\b[a-z]\w*\[[\d,]*\]", text))


def dims(hlo_type: str) -> tuple[int, ...]:
    return tuple(int(d) for d in re.findall(r"\d+", hlo_type.split("[")[1]))


def elements(hlo_type: str) -> int:
    return math.prod(dims(hlo_type))


def instructions(text: str) -> list[Instruction]:
    found = []
    for line in text.splitlines():
        line = line.split(", metadata=")[0]
        match = re.match(
            r"\s+(?:ROOT )?%(\S+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)", line
        )
        if match:
            name, result, opcode, operands = match.groups()
            types = types_in(result) + types_in(operands)
            found.append(Instruction(name, opcode, types_in(result), types, operands))
    return found


def compile_text(function, arguments, stage: str) -> str:
    compiled = tf.function(function, jit_compile=True, autograph=False)
    return compiled.experimental_get_compiler_ir(*arguments)(stage=stage)


@functools.cache
def program(op: str, dtype: str, stage: str) -> str:
    function, operands, _ = OPS[op]
    return compile_text(function, (tf.zeros(SHAPE, dtype), *operands), stage)


def not_elementwise(text: str, hlo_type: str) -> list[str]:
    """Return what is not elementwise on the big tensor, one line for each finding."""
    findings = []
    for i in instructions(text):
        big = [t for t in i.types if elements(t) > SMALL]
        if i.opcode in LOOKUPS:
            findings.append(f"lookup: {i}")
        if any(dims(t) != SHAPE for t in big):
            findings.append(f"another shape: {i}")
        # TensorFlow wraps arguments and results in reshapes to their own shape.
        if big and i.opcode in MOVES and not (i.opcode == "reshape" and len(big) == 2):
            findings.append(f"moved: {i}")
        of_type = [t for t in i.result if t.startswith(hlo_type + "[") and t in big]
        if of_type and i.opcode not in CARRIERS:
            findings.append(f"floating-point: {i}")
    return findings


@pytest.mark.parametrize(("op", "dtype", "stage"), PROGRAMS)
def test_a_fault_is_a_select_on_integer_bits_in_the_shape_of_the_tensor(
    op, dtype, stage
):
    text = program(op, dtype, stage)
    assert not not_elementwise(text, HLO_TYPES[dtype])
    word = {"float32": "u32", "bfloat16": "u16"}[dtype]
    wanted = f"{word}[{','.join(map(str, SHAPE))}]"
    selects = [i for i in instructions(text) if i.opcode == "select"]
    assert any(i.result == (wanted,) for i in selects)


@pytest.mark.parametrize(("op", "dtype", "stage"), PROGRAMS)
def test_the_fault_is_an_operand_of_the_program_and_not_a_constant(op, dtype, stage):
    text = program(op, dtype, stage)
    layout = re.search(r"entry_computation_layout=\{\((.*?)\)->", text).group(1)
    x = f"{HLO_TYPES[dtype]}[{','.join(map(str, SHAPE))}]"
    assert types_in(layout) == (x, *OPS[op][2])
    entry = instructions(text[text.index("\nENTRY") :])
    parameters = [i for i in entry if i.opcode == "parameter"]
    assert len(parameters) == 1 + len(OPS[op][1])
    for parameter in parameters:
        used = re.compile(rf"%{re.escape(parameter.name)}\b(?!\.)")
        assert any(used.search(i.operands) for i in entry), parameter


def scatter(x, index):
    return tf.tensor_scatter_nd_update(x, [[index, 1, 2, 3]], [0.0])


def flatten(x, index):
    return tf.reshape(
        tf.where(tf.range(SIZE) == index, 0.0, tf.reshape(x, [-1])), SHAPE
    )


def update(x, index):
    images = tf.TensorArray(x.dtype, SHAPE[0], element_shape=SHAPE[1:]).unstack(x)
    return images.write(index, tf.zeros(SHAPE[1:])).stack()


def constant_coordinates(x, index):
    coordinates = tf.reshape(tf.range(SIZE), SHAPE)
    return tf.where(coordinates == index, 0.0, x)


def arithmetic(x, index):
    return x * tf.cast(index, tf.float32)


@pytest.mark.parametrize(
    ("naive", "finding"),
    [
        (scatter, "lookup"),
        (flatten, "another shape"),
        (update, "lookup"),
        (constant_coordinates, "moved"),
        (arithmetic, "floating-point"),
    ],
)
def test_the_check_finds_what_the_ops_avoid(naive, finding):
    text = compile_text(naive, (tf.zeros(SHAPE), tf.constant(5)), "hlo")
    assert any(line.startswith(finding) for line in not_elementwise(text, "f32"))
