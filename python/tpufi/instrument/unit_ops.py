# SPDX-License-Identifier: Apache-2.0
"""Calls behind the products of a program that make of them what a broken element does.

A weight that stays in the element is changed in front of its product instead. Products
of the same operation, shapes and attributes call the same function.
"""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2, op_def_pb2

from tpufi.instrument.added_values import FAULTS, WORDS
from tpufi.instrument.function_body import Place
from tpufi.instrument.nodes import add_node, constant, type_attr
from tpufi.instrument.products import Product
from tpufi.instrument.splice import Added, PlaceOps
from tpufi.layers.broken_products import Tally, held, left_by
from tpufi.layers.element_faults import Counts, ElementFault
from tpufi.units import ProcessingElement

# In a program: row and column of the element, then whether it is broken in a product.
PLACE = 2
_STRAIGHT = "Tpufi>BrokenUnit"
_TALLY = Tally(tf.stack, lambda: tf.zeros([len(Counts._fields)], tf.int64))


@tf.RegisterGradient(_STRAIGHT)
def _straight_through(
    op: tf.Operation, dy: tf.Tensor, _: tf.Tensor
) -> list[tf.Tensor | None]:
    """Pass the gradient to the tensor that the unit has a part in, unchanged."""
    value = len(op.inputs) - 4  # Behind it: the operands of the unit.
    return [dy if place == value else None for place in range(len(op.inputs))]


class UnitOps(PlaceOps):
    """Calls that a broken element takes part in products with.

    Args:
      unit: the element; its place is an operand.
      products: by the site of their result.
    """

    def __init__(self, unit: ProcessingElement, products: Mapping[int, Product]):
        self.chosen = products.keys()
        self._unit, self._products = unit, products
        self._numbers = {site: number for number, site in enumerate(products)}
        self._made: dict[tuple, op_def_pb2.OpDef] = {}
        self._library: dict[str, function_pb2.FunctionDef] = {}
        self._held = unit.holds_weight

    @property
    def library(self) -> Mapping[str, function_pb2.FunctionDef]:
        return self._library

    def place(self, place: Place) -> Place:
        if not self._held:
            return place
        weight = self._products[place.site.id].inputs[1]
        return dataclasses.replace(place, reader=weight)

    def add(
        self,
        definition: function_pb2.FunctionDef,
        node: node_def_pb2.NodeDef,
        place: Place,
    ) -> Added:
        product = self._products[place.site.id]
        operands = [node.input[number] for number in product.inputs]
        result = [] if self._held else [place.tensor]
        name = f"{place.node}/tpufi_unit"
        number = constant(definition, f"{name}/number", self._numbers[place.site.id])
        inputs = *operands, *result, FAULTS, WORDS, number
        function = self._function(product)
        # Not through PartitionedCall, whose gradient is always that of its function.
        call = add_node(definition, name, function.name, inputs)
        call.attr["_gradient_op_type"].s = _STRAIGHT.encode()
        value, record = (f"{name}:{arg.name}:0" for arg in function.output_arg)
        return Added(value, [record], call)

    def no_record(self, definition: function_pb2.FunctionDef, name: str) -> str:
        node = add_node(definition, name, "Const", (), dtype=type_attr("int64"))
        zeros = tf.make_tensor_proto(0, "int64", self._record)
        node.attr["value"].tensor.CopyFrom(zeros)
        return f"{name}:output:0"

    @property
    def _record(self) -> tuple[int, int]:
        return len(self._products), len(Counts._fields)

    def _function(self, product: Product) -> op_def_pb2.OpDef:
        """Return the signature of the function that products of a kind call."""
        if product.kind not in self._made:
            with tf.init_scope():
                concrete = self._traced(product)
            definition = concrete.function_def
            self._made[product.kind] = definition.signature
            self._library[definition.signature.name] = definition
            for called in concrete.graph.as_graph_def().library.function:
                self._library[called.signature.name] = called
        return self._made[product.kind]

    def _traced(self, product: Product) -> tf.types.experimental.ConcreteFunction:
        def tpufi_broken_unit(*given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            left, right, *result, faults, words, number = given
            row, column = tf.unstack(faults[0, :PLACE])
            element = ElementFault(self._unit, row, column, words[0])
            broken = tf.not_equal(faults[0, PLACE + number], 0)

            def view():
                return product.view(left, right)

            if self._held:
                y, counts = held(element, view, right, broken, _TALLY)
            else:
                y, counts = left_by(element, view, result[0], broken, _TALLY)
            place = tf.reshape(number, [1, 1])
            return y, tf.scatter_nd(place, counts[tf.newaxis], self._record)

        tensors = [product.left, product.right]
        tensors += [] if self._held else [product.result]
        return tf.function(tpufi_broken_unit, autograph=False).get_concrete_function(
            *tensors,
            tf.TensorSpec([1, PLACE + len(self._products)], tf.int64),
            tf.TensorSpec([1, 2], tf.uint64),
            tf.TensorSpec([], tf.int64),
        )
