# SPDX-License-Identifier: Apache-2.0
"""A program's graph as TensorFlow traced it, and functions made from changed graphs.

With `call_time.py` the only module that uses parts of TensorFlow without a public name:
how a call's arguments become the flat inputs of a graph, and how a library of functions
is loaded.
Both are what `tf.saved_model` does when it loads a program.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, op_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_object_graph_pb2
from tensorflow.python.framework import function_def_to_graph
from tensorflow.python.ops import handle_data_util
from tensorflow.python.saved_model import (
    function_deserialization,
    nested_structure_coder,
)

from tpufi.instrument.signature import signature_text

_RESOURCE = types_pb2.DT_RESOURCE
_SAME_RESOURCES = (
    ""  # Suffix of shared names: the functions share the program's tables.
)


class TracedProgram:
    """One trace of a program.

    Args:
      concrete: takes the tuple and the dictionary of a call's arguments.
    """

    def __init__(self, concrete: tf.types.experimental.ConcreteFunction):
        self._concrete = concrete
        self.graph = self._concrete.graph
        self.definition = function_pb2.FunctionDef()
        self.definition.CopyFrom(self._concrete.function_def)
        library = self.graph.as_graph_def().library
        self.library = {f.signature.name: f for f in library.function}
        self._gradients = library.registered_gradients
        _note_variables(self.definition, self.graph)
        for name, definition in self.library.items():
            if any(a.type == _RESOURCE for a in definition.signature.input_arg):
                _note_variables(definition, self.body(name))

    @property
    def signature(self) -> str:
        """The arguments of the calls that it serves, as text."""
        (given, _) = self._concrete.structured_input_signature
        return signature_text(*given)

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """The variables that the program reads or writes, in the order of first use."""
        captured = [id(value) for value in self._concrete.captured_inputs]
        order = {handle: number for number, handle in enumerate(captured)}
        last = len(order)
        # TensorFlow keeps them in a set; draws of a campaign need an order.
        return sorted(self.graph.variables, key=lambda v: order.get(id(v.handle), last))

    def flat(self, args: tuple, kwargs: Mapping) -> list[tf.Tensor]:
        """Return the inputs of the graph for a call: arguments, then captures."""
        kind = self._concrete.function_type
        bound = kind.bind_with_defaults((args, dict(kwargs)), {}, {})
        return [*kind.unpack_inputs(bound), *self._concrete.captured_inputs]

    def pack(self, outputs: Sequence[tf.Tensor]):
        """Return flat outputs of the graph in the structure the program returns."""
        return self._concrete.function_type.pack_output(outputs)

    def body(self, name: str) -> tf.Graph:
        """Return the graph of a function of the library, with its inferred shapes."""
        function = self.graph._get_function(name)  # noqa: SLF001
        if function is not None:
            operations = {op.name for op in function.graph.get_operations()}
            if all(n.name in operations for n in self.library[name].node_def):
                return function.graph
        # Not known, or its operations were renamed when it was stored.
        with self.graph.as_default():
            return function_def_to_graph.function_def_to_graph(self.library[name])

    def flat_names(self, definition: function_pb2.FunctionDef) -> dict[str, str]:
        """Return for each tensor `node:i` of the graph its name in `definition`."""
        with self.graph.as_default():  # Where the functions that it calls are known.
            _, names = function_def_to_graph.function_def_to_graph_def(definition)
        return {flat: nested for nested, flat in names.items()}


def _note_variables(definition: function_pb2.FunctionDef, graph: tf.Graph) -> None:
    """Note what the variables are that a function takes.

    A function that is loaded without these notes has no gradient for a variable that a
    loop in it reads, and nobody is told.
    """
    # A tape lets the graph of a loop take more, behind what it took.
    for argument, tensor in zip(
        definition.signature.input_arg, graph.inputs, strict=False
    ):
        if argument.type == _RESOURCE and not argument.handle_data:
            known = handle_data_util.get_resource_handle_data(tensor)
            if known.is_set and len(known.shape_and_type) == 1:
                (what,) = known.shape_and_type
                argument.handle_data.add(dtype=what.dtype, shape=what.shape)


def load(
    functions: Sequence[function_pb2.FunctionDef], top: str, library: TracedProgram
) -> "LoadedFunction":
    """Return the function called `top` of a library of flat tensors.

    Args:
      functions: all functions that `top` needs.
      top: name of one of them.
      library: the program they were made from; its custom gradients stay known.
    """
    definitions = function_pb2.FunctionDefLibrary(function=functions)
    definitions.registered_gradients.extend(library._gradients)  # noqa: SLF001
    (signature,) = (f.signature for f in functions if f.signature.name == top)
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)  # Custom gradients of this process need no saving.
    try:
        loaded = function_deserialization.load_function_def_library(
            definitions,
            saved_object_graph=_flat_signature(signature),
            load_shared_name_suffix=_SAME_RESOURCES,
        )[top]
    finally:
        logger.setLevel(before)

    loaded.set_variables(library.variables)  # Tapes watch the variables of a call.

    return LoadedFunction(loaded)


class LoadedFunction:
    """A function that takes all inputs of its graph and returns all outputs, flat."""

    def __init__(self, concrete: tf.types.experimental.ConcreteFunction):
        self._concrete = concrete

    @property
    def graph(self) -> tf.Graph:
        """Its operations."""
        return self._concrete.graph

    def __call__(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Run it."""
        outputs = self._concrete._call_flat(list(inputs), [])  # noqa: SLF001
        return list(tf.nest.flatten(outputs))


def _flat_signature(
    signature: op_def_pb2.OpDef,
) -> saved_object_graph_pb2.SavedObjectGraph:
    """Return the proto that says what a function takes and returns: flat tensors."""
    inputs, outputs = (
        tuple(tf.TensorSpec(None, tf.as_dtype(arg.type)) for arg in args)
        for args in (signature.input_arg, signature.output_arg)
    )
    graph = saved_object_graph_pb2.SavedObjectGraph()
    function = graph.concrete_functions[signature.name]
    encode = nested_structure_coder.encode_structure
    function.canonicalized_input_signature.CopyFrom(encode((inputs, {})))
    function.output_signature.CopyFrom(encode(outputs))
    return graph


def as_tensors(structure):
    """Return arguments with numpy arrays and numbers made tensors: no retracing."""

    def convert(value):
        return (
            tf.constant(value) if isinstance(value, np.ndarray | np.generic) else value
        )

    return tf.nest.map_structure(convert, structure)
