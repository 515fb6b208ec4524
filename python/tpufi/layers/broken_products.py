# SPDX-License-Identifier: Apache-2.0
"""A product with a broken element, in a program that is most often whole.

What the element does is inside conditionals: a step or a call in which it is whole
computes nothing of it.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tpufi.layers.element_faults import Counts, ElementFault, Written
from tpufi.layers.matrix_view import MatrixView, Size
from tpufi.layers.rarely import rarely

View = Callable[[], MatrixView]


class Tally(NamedTuple):
    """How a program reports what a unit did.

    Fields:
      of: makes a report of counts.
      nothing: makes that of a unit that did nothing.
    """

    of: Callable[[Counts], tf.Tensor]
    nothing: Callable[[], tf.Tensor]


def held(
    element: ElementFault,
    view: View,
    weight: tf.Tensor,
    broken: tf.Tensor,
    tally: Tally,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the weight operand as an element holds it, and the report.

    Args:
      element: one whose `is_held` is true.
      view: makes the view of the product as matrices.
      weight: the operand.
      broken: bool scalar, whether the element is broken now.
      tally: how to report.
    """

    def faulty() -> tuple[tf.Tensor, tf.Tensor]:
        matrices = view()
        written = tf.cond(
            element.touches(matrices),
            lambda: element.held(matrices, weight),
            lambda: unwritten(weight, element.number(matrices)),
        )
        return written.into(weight), tally.of(written.counts)

    return rarely_altered(weight, broken, faulty, tally)


def left_by(
    element: ElementFault,
    view: View,
    result: tf.Tensor,
    broken: tf.Tensor,
    tally: Tally,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a product as an element leaves it, and the report.

    Args:
      element: one whose `is_held` is false.
      view: makes the view of the product as matrices.
      result: the product without the fault.
      broken: bool scalar, whether the element is broken now.
      tally: how to report.
    """
    make = _moved if element.moves else _written
    return make(element, view, result, broken, tally)


def _moved(
    element: ElementFault,
    view: View,
    result: tf.Tensor,
    broken: tf.Tensor,
    tally: Tally,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a result with what moves along a row of the array."""

    def faulty() -> tuple[tf.Tensor, tf.Tensor]:
        matrices = view()
        y, counts = tf.cond(
            element.touches(matrices),
            lambda: element.moved(matrices, result),
            lambda: (tf.identity(result), Counts.none()),
        )
        return y, tally.of(counts)

    return rarely_altered(result, broken, faulty, tally)


def _written(
    element: ElementFault,
    view: View,
    result: tf.Tensor,
    broken: tf.Tensor,
    tally: Tally,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a result with the elements that the unit leaves otherwise.

    They are written behind the conditional, where nothing else holds the tensor, so
    that it is not copied.
    """
    # Only its sizes are used: a program has nothing of what the view is made of.
    number = element.number(view())

    def faulty() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        matrices = view()
        found = tf.cond(
            element.touches(matrices),
            lambda: element.written(matrices, result),
            lambda: unwritten(result, number),
        )
        return found.index, found.values, tally.of(found.counts)

    def usual() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found = unwritten(result, number)
        return found.index, found.values, tally.nothing()

    index, values, report = rarely(broken, faulty, usual)
    return Written(index, values, Counts.none()).into(result), report


def rarely_altered(
    x: tf.Tensor,
    broken: tf.Tensor,
    faulty: Callable[[], tuple[tf.Tensor, tf.Tensor]],
    tally: Tally,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a tensor as a unit leaves it that may be broken, and the report.

    Args:
      x: the tensor as it is if the unit is whole.
      broken: bool scalar, whether the unit is broken now.
      faulty: makes the tensor and the report if it is.
      tally: how to report.
    """
    y, report = rarely(broken, faulty, lambda: (tf.identity(x), tally.nothing()))
    y.set_shape(x.shape)
    return y, report


def unwritten(x: tf.Tensor, number: Size) -> Written:
    """Return elements as they are: the first one, some times."""
    first = tf.reshape(tf.slice(x, [0] * x.shape.rank, [1] * x.shape.rank), [])
    index = tf.zeros([number], tf.int64)
    return Written(index, tf.fill([number], first), Counts.none())
