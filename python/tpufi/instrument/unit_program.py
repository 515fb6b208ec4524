# SPDX-License-Identifier: Apache-2.0
"""One trace of a program on a machine with a unit that may be broken."""

import functools
import warnings

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.context import REPLICAS
from tpufi.instrument.function_body import Survey
from tpufi.instrument.graph_unit import GraphUnit
from tpufi.instrument.products import product_of
from tpufi.instrument.spliced_program import SplicedProgram
from tpufi.instrument.traced_program import TracedProgram
from tpufi.instrument.unit_ops import UnitOps
from tpufi.instrument.unit_row import operands_of, row_of
from tpufi.layers.unit_context import bits_of
from tpufi.units import ProcessingElement, UnitFault

_TOLD = 3  # Products that a warning names.


class UnitProgram(SplicedProgram):
    """The program of one call signature, as a function of a broken unit too.

    Args:
      program: the trace.
      survey: its operations.
      unit: how the array is built, and which register is broken.
      jit_compile: whether XLA compiles it; None leaves that to the program.

    Attributes:
      unit: as given, at the first place of its kind.
      products: the sites of the results of the products that the unit computes.
      dtypes: types of their elements.
      skipped: products that it has no part in, as (name, reason).

    Raises:
      InputError: it has a part in no product.
    """

    in_graph = GraphUnit

    def __init__(
        self,
        program: TracedProgram,
        survey: Survey,
        unit: ProcessingElement,
        jit_compile: bool | None,
    ):
        found, sites = {}, []
        skipped = list(survey.no_products)
        for operation, site in survey.products:
            try:
                found[site.id] = product_of(operation)
            except InputError as error:
                skipped.append((site.name.rpartition(":")[0], str(error)))
            else:
                sites.append(site)
        self.unit, self.products, self.skipped = unit, tuple(sites), tuple(skipped)
        if not found:
            raise InputError(
                "unit: a processing element has a part in no operation of this "
                f"program: {self._told_skipped() or 'it multiplies no matrices'}; "
                "inject into sites instead"
            )
        if skipped:
            warnings.warn(
                f"the broken unit has a part in {len(found)} products of this program, "
                f"and not in {self._told_skipped()}",
                stacklevel=2,
            )
        self.dtypes = frozenset(product.dtype for product in found.values())
        super().__init__(program, survey.body, UnitOps(unit, found), jit_compile)
        self._given = tf.function(self._drawn, autograph=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the products' sites."""
        return tuple(site.name for site in self.products)

    @property
    def kind(self) -> tuple[str | int, ...]:
        """The kind of faults that it is traced for."""
        return self.unit.key

    @functools.cached_property
    def no_faults(self) -> GraphUnit:
        """What a graph is told while nothing is injected: the unit is whole."""
        return GraphUnit(UnitFault(self.unit).whole, self.names)

    def fitted(self, fault: UnitFault) -> UnitFault:
        """Return a fault of such a unit, once its bits fit all products.

        Raises:
          InputError: numbers of a product have fewer bits.
        """
        for dtype in sorted(self.dtypes):
            bits_of(fault, dtype)
        return fault

    def operands(
        self, fault: UnitFault, step: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the context, the faults and the words of a call on replica 0.

        Args:
          fault: the unit, of the kind that this is traced for.
          step: number of the call.
        """
        row, words = row_of(self.fitted(fault), step)
        return tf.zeros([], tf.int64), tf.constant(row), tf.constant(words)

    def __call__(
        self,
        args: tuple,
        kwargs: dict,
        context: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[object, tf.Tensor]:
        """Run the program with a broken unit; see `operands`.

        Returns:
          What the program returns, and the record int64 [products, 2].
        """
        faults = self._given(context, faults, words)
        return super().__call__(args, kwargs, context, faults, words)

    def _drawn(
        self, context: tf.Tensor, faults: tf.Tensor, words: tf.Tensor
    ) -> tf.Tensor:
        """Return the place of the unit, and in which products it is broken."""
        operands = operands_of(self.unit.key, faults, words)
        sites = tf.constant([site.id for site in self.products], tf.int64)
        broken = operands.injected(context % REPLICAS, sites)
        return tf.concat([operands.place, tf.cast(broken, tf.int64)], 0)[tf.newaxis]

    def _told_skipped(self) -> str:
        told = [f"{name} ({reason})" for name, reason in self.skipped[:_TOLD]]
        if len(self.skipped) > _TOLD:
            told.append(f"and {len(self.skipped) - _TOLD} more, see `skipped`")
        return ", ".join(told)
