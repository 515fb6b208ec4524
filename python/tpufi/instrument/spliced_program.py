# SPDX-License-Identifier: Apache-2.0
"""A traced program with added operations that make it faulty when they are told to."""

import contextlib
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework import function_pb2

from tpufi.instrument.function_body import Body
from tpufi.instrument.on_gpu import compilation, told_of_missing_kernels
from tpufi.instrument.splice import PlaceOps, Splicer
from tpufi.instrument.traced_program import TracedProgram, load


class SplicedProgram:
    """The program of one call signature, as a function of a descriptor too.

    Args:
      program: the trace.
      body: its function, and all that it calls.
      ops: what is put at its places.
      jit_compile: whether XLA compiles it; None leaves that to the program, but on a
        GPU, where it has to.
    """

    def __init__(
        self,
        program: TracedProgram,
        body: Body,
        ops: PlaceOps,
        jit_compile: bool | None,
    ):
        self.program = program
        splicer = Splicer(ops, program.library)
        splicer.splice(body)
        definition = splicer.functions[0]
        compiled = compilation(jit_compile)
        self._forced = compiled and not jit_compile
        if compiled is not None:
            definition.attr["_XlaMustCompile"].b = compiled
        library = {**program.library, **ops.library}
        library |= {f.signature.name: f for f in splicer.functions}
        name = definition.signature.name
        self._function = load(_needed(name, library), name, program)

    @property
    def graph(self) -> tf.Graph:
        """The graph with the added operations."""
        return self._function.graph

    def __call__(
        self,
        args: tuple,
        kwargs: dict,
        context: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[object, tf.Tensor]:
        """Run the program with the faults of a descriptor.

        Returns:
          What the program returns, and the record, an int64 matrix.
        """
        flat = self.program.flat(args, kwargs)
        with told_of_missing_kernels() if self._forced else contextlib.nullcontext():
            *outputs, record = self._function([*flat, context, faults, words])
        return self.program.pack(outputs), record


def _needed(
    top: str, library: Mapping[str, function_pb2.FunctionDef]
) -> Sequence[function_pb2.FunctionDef]:
    """Return the functions that `top` reaches."""
    found: dict[str, function_pb2.FunctionDef] = {}
    pending = [top]
    while pending:
        name = pending.pop()
        if name in found or name not in library:
            continue
        found[name] = library[name]
        for node in found[name].node_def:
            pending.append(node.op)
            for attribute in node.attr.values():
                if attribute.WhichOneof("value") == "func":
                    pending.append(attribute.func.name)
                pending += [f.name for f in attribute.list.func]
    return list(found.values())
