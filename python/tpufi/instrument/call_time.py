# SPDX-License-Identifier: Apache-2.0
"""Values that a graph is told whenever Python calls it, in the thread that calls it.

With `traced_program.py` the only module that uses parts of TensorFlow without a public
name. `FuncGraph.capture_call_time_value` does the same, but not for a function that is
called in a branch or a loop.
"""

from collections.abc import Callable, Hashable

import tensorflow as tf
from tensorflow.core.function import trace_type
from tensorflow.python.ops import resource_variable_ops

Values = tuple[tf.Tensor, ...]


def told_at_call(
    tell: Callable[[], Values], specs: tuple[tf.TensorSpec, ...], key: Hashable
) -> Values:
    """Return tensors of the graph that is being built, given again for each call of it.

    Args:
      tell: called without arguments, eagerly, before each call from Python.
      specs: types and shapes of what it tells.
      key: the same key in the same graph gives the same tensors.
    """
    graph = tf.compat.v1.get_default_graph()
    # Branches and loops are told by the function that they are in.
    while getattr(graph, "is_control_flow_graph", False):
        graph = graph.outer_graph
    captures = graph._function_captures  # noqa: SLF001
    if key not in captures.by_ref_internal:
        kind = trace_type.from_value(specs, trace_type.InternalTracingContext(True))

        def outside() -> list[tf.Tensor]:
            if tf.executing_eagerly():
                return list(tell())
            return list(told_at_call(tell, specs, key))

        outside.output_spec = kind
        captures.add_or_replace(
            key=key,
            external=outside,
            internal=kind.placeholder_value(
                trace_type.InternalPlaceholderContext(graph)
            ),
            tracetype=kind,
            is_by_ref=True,
        )
    return captures.by_ref_internal[key]


def plain_variable(value: tf.Tensor) -> tf.Variable:
    """Return a variable that no strategy mirrors and no program tracks."""
    with tf.init_scope():
        return resource_variable_ops.ResourceVariable(value, trainable=False)
