# SPDX-License-Identifier: Apache-2.0
"""Random programs: run by TensorFlow, and each operation again by numpy.

A program is a list of operations, loops, branches and maps over rows. It returns the
tensor behind each operation, of each iteration, so that numpy can compute each from the
tensors that came out before it: what differs is a fault, and there is no other place to
hide.
"""

import dataclasses
import random
from collections.abc import Iterator

import ml_dtypes
import numpy as np
import tensorflow as tf

ROWS, COLUMNS = 2, 3
_DEEPEST = 3
# Operations that TensorFlow has for the types, both by their one correct result.
_INTEGERS = ("AddV2", "Sub", "Mul", "BitwiseXor", "BitwiseAnd", "Invert")
_FLOATS = ("AddV2", "Sub", "Neg", "Abs")
DTYPES = {
    **dict.fromkeys(
        ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        _INTEGERS,
    ),
    **dict.fromkeys(("float32", "float64", "float16", "bfloat16"), _FLOATS),
    **dict.fromkeys(("float8_e5m2", "float8_e4m3fn"), ("Identity",)),
    "bool": ("LogicalAnd", "LogicalOr", "LogicalNot"),
}
_UNARY = ("Invert", "Neg", "Abs", "Identity", "LogicalNot")


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation; `number` is in its name, and constant `number` its operand."""

    number: int
    op: str


@dataclasses.dataclass(frozen=True)
class Loop:
    """A while loop of so many iterations."""

    count: int
    body: "tuple[Step, ...]"


@dataclasses.dataclass(frozen=True)
class Branch:
    """A branch by truth value `number` of the program's arguments."""

    number: int
    bodies: "tuple[tuple[Step, ...], tuple[Step, ...]]"


@dataclasses.dataclass(frozen=True)
class Rows:
    """A map over the rows of a matrix; a loop, too."""

    body: "tuple[Step, ...]"


Step = Op | Loop | Branch | Rows


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an operation is: iterations of the loops around it, and branches.

    A map over rows has 0 iterations here: as many as there are rows.
    """

    op: Op
    loops: tuple[int, ...]
    branches: tuple[tuple[int, int], ...]
    in_rows: bool

    def is_executed(self, taken: np.ndarray) -> bool:
        """Return whether the branches around it are taken."""
        return all(bool(taken[number]) == (side == 0) for number, side in self.branches)


class RandomProgram:
    """A program of a seed.

    Args:
      rng: draws it.
      dtype: element type of all of its tensors.
      most: steps that it has at most, >= 1, those within steps apart.

    Attributes:
      constants: one operand for each operation, [operations, COLUMNS].
      places: of its operations, by number.
      branches: how many truth values it takes.
    """

    def __init__(self, rng: random.Random, dtype: str, most: int = 4):
        self._rng, self.dtype = rng, dtype
        self._ops, self.branches = 0, 0
        self.steps = self._body(0, False, most)
        self.constants = random_array(rng, dtype, (self._ops, COLUMNS))
        self.places = {
            place.op.number: place for place in _places(self.steps, (), (), False)
        }

    def _body(self, depth: int, in_rows: bool, most: int) -> tuple[Step, ...]:
        return tuple(
            self._step(depth, in_rows) for _ in range(self._rng.randint(1, most))
        )

    def _step(self, depth: int, in_rows: bool) -> Step:
        kind = self._rng.choice(("op", "op", "loop", "branch", "rows"))
        if kind == "loop" and depth < _DEEPEST:
            return Loop(self._rng.randint(1, 3), self._body(depth + 1, in_rows, 2))
        if kind == "rows" and depth < _DEEPEST and not in_rows:
            return Rows(self._body(depth + 1, True, 2))
        if kind == "branch" and self.branches < 4:
            self.branches += 1
            number = self.branches - 1
            bodies = tuple(self._body(depth, in_rows, 2) for _ in range(2))
            return Branch(number, bodies)
        self._ops += 1
        return Op(self._ops - 1, self._rng.choice(DTYPES[self.dtype]))

    def __call__(self, x, constants, taken, skip: int = 0):
        """Return the tensor behind each operation, each [iterations..., shape].

        Args:
          x: [rows, COLUMNS].
          constants: [operations, COLUMNS].
          taken: bool [branches or more].
          skip: so many steps are left out: another trace.
        """
        seen: dict[int, tf.Tensor] = {}
        self._run(self.steps[skip:], 0, x, constants, taken, seen)
        return [x, *(seen[number] for number in sorted(seen))]

    def numbers(self, skip: int = 0) -> list[int]:
        """Return the numbers of the operations, in the order of what is returned."""
        found = (place.op.number for place in _places(self.steps[skip:], (), (), False))
        return sorted(found)

    def _run(self, steps, depth, x, constants, taken, seen):
        for step in steps:
            match step:
                case Op(number, op):
                    x = _tensor(op, f"n{number}_op", x, constants[number])
                    seen[number] = x
                case Loop():
                    x = self._loop(step, depth, x, constants, taken, seen)
                case Branch():
                    x = self._branch(step, depth, x, constants, taken, seen)
                case Rows(body):
                    inner = _numbers(body)

                    def row(one, body=body, inner=inner):
                        own: dict[int, tf.Tensor] = {}
                        last = self._run(body, depth + 1, one, constants, taken, own)
                        return (last, *(own[n] for n in inner))

                    types = (x.dtype,) * (1 + len(inner))
                    x, *found = tf.map_fn(row, x, fn_output_signature=types)
                    seen.update(zip(inner, found, strict=True))
        return x

    def _loop(self, loop, depth, x, constants, taken, seen):
        count, body = loop.count, loop.body
        inner = _numbers(body)
        shapes = [self._shape(n, depth + 1, x) for n in inner]
        arrays = [tf.TensorArray(x.dtype, count, element_shape=s) for s in shapes]

        def again(i, x, arrays):
            own: dict[int, tf.Tensor] = {}
            x = self._run(body, depth + 1, x, constants, taken, own)
            return (
                i + 1,
                x,
                [a.write(i, own[n]) for a, n in zip(arrays, inner, strict=True)],
            )

        _, x, arrays = tf.while_loop(
            lambda i, *_: i < count, again, (0, x, arrays), maximum_iterations=count
        )
        seen.update({n: a.stack() for n, a in zip(inner, arrays, strict=True)})
        return x

    def _branch(self, branch, depth, x, constants, taken, seen):
        number, bodies = branch.number, branch.bodies
        inner = [_numbers(body) for body in bodies]
        every = [*inner[0], *inner[1]]

        def side(which: int):
            def run():
                own: dict[int, tf.Tensor] = {}
                last = self._run(bodies[which], depth, x, constants, taken, own)
                # What the other branch would have made is nothing.
                rest = {n: tf.zeros(self._shape(n, depth, x), x.dtype) for n in every}
                return (last, *((rest | own)[n] for n in every))

            return run

        x, *found = tf.cond(taken[number], side(0), side(1))
        seen.update(zip(every, found, strict=True))
        return x

    def _shape(self, number: int, depth: int, x: tf.Tensor) -> list[int]:
        """Return the shape of an operation's tensors within so many loops."""
        place = self.places[number]
        own = x.shape.as_list()
        loops = [count or own[0] for count in place.loops[depth:]]
        in_rows = place.in_rows and len(own) == 2
        return [*loops, *(own[1:] if in_rows else own)]


def random_array(rng: random.Random, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return small whole numbers, of which floating-point types have all."""
    numbers = np.array([rng.randrange(8) for _ in range(int(np.prod(shape)))])
    kind = np.bool_ if dtype == "bool" else np.dtype(getattr(ml_dtypes, dtype, dtype))
    return (numbers % 2 if dtype == "bool" else numbers).reshape(shape).astype(kind)


def expected(op: str, x: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return what numpy makes of an operation."""
    functions = {
        "AddV2": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "BitwiseXor": np.bitwise_xor,
        "BitwiseAnd": np.bitwise_and,
        "LogicalAnd": np.logical_and,
        "LogicalOr": np.logical_or,
    }
    one = {
        "Invert": np.invert,
        "Neg": np.negative,
        "Abs": np.abs,
        "Identity": np.copy,
        "LogicalNot": np.logical_not,
    }
    with np.errstate(all="ignore"):
        return one[op](x) if op in one else functions[op](x, constant)


def _tensor(op: str, name: str, x: tf.Tensor, constant: tf.Tensor) -> tf.Tensor:
    make = getattr(tf.raw_ops, op)
    if op == "Identity":
        return make(input=x, name=name)
    if op in _UNARY:
        return make(x=x, name=name)
    return make(x=x, y=constant, name=name)


def _places(steps, loops, branches, in_rows) -> Iterator[Place]:
    for step in steps:
        match step:
            case Op():
                yield Place(step, loops, branches, in_rows)
            case Loop(count, body):
                yield from _places(body, (*loops, count), branches, in_rows)
            case Rows(body):
                yield from _places(body, (*loops, 0), branches, True)
            case Branch(number, bodies):
                for side, body in enumerate(bodies):
                    inside = (*branches, (number, side))
                    yield from _places(body, loops, inside, in_rows)


def _numbers(steps) -> list[int]:
    return [place.op.number for place in _places(steps, (), (), False)]
