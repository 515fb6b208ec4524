# SPDX-License-Identifier: Apache-2.0
"""A measured error model: classes of errors with their weights, as one fault model."""

import collections
import dataclasses
import functools
import itertools
import math
from fractions import Fraction

from tpufi.element import Element
from tpufi.errors import InputError
from tpufi.fault import Elements
from tpufi.faults.affected_outputs import Operation
from tpufi.faults.draws import Draws
from tpufi.faults.elements import Extent
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.values import Value, ValueRule
from tpufi.messages import quote
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class ErrorClass:
    """One class of errors.

    Args:
      name: of the class.
      weight: relative to those of the other classes, > 0.
      extent: which elements of the tensor.
      rule: what is written.
    """

    name: str
    weight: Fraction
    extent: Extent
    rule: ValueRule


@dataclasses.dataclass(frozen=True)
class ErrorModel:
    """A table of error classes; `fault_model` draws from it.

    Which class a fault is of depends on seed and number alone, not on the site: at all
    sites that the model fits, the classes have the shares of the table.

    Args:
      name: of the fault model.
      title: what was measured.
      source: where the numbers are from.
      caveats: what is not known, and what was assumed instead.
      target: operand that faults are injected into; see `FaultModel`.
      classes: at least one, of different names.
      text: the file that says all this.

    Raises:
      InputError: no classes, two of one name, or parts that do not go together.
    """

    name: str
    title: str
    source: str
    caveats: tuple[str, ...]
    target: str
    classes: tuple[ErrorClass, ...]
    text: str = ""

    def __post_init__(self) -> None:
        if not self.classes:
            raise InputError("no classes; add at least one")
        names = collections.Counter(one.name for one in self.classes)
        for one in self.classes:
            if names[one.name] > 1:
                raise InputError(f"class {quote(one.name)} twice; rename one of them")
            if one.weight <= 0:
                raise InputError(
                    f"class {quote(one.name)}: weight {float(one.weight):g}; expected "
                    "more than 0; leave the class out instead"
                )
            # The parts of each class go together as those of any fault model do.
            name = f"class {quote(one.name)}"
            FaultModel(name, self.target, one.extent, one.rule)
        if self._running[-1] >= 1 << 64:
            raise InputError(
                "the weights have too many digits to add up exactly; write them as "
                "numbers of at most 6 digits"
            )

    @property
    def fault_model(self) -> FaultModel:
        """The fault model whose faults are of these classes."""
        return FaultModel(self.name, self.target, _ClassExtent(self), _ClassRule(self))

    @property
    def shares(self) -> dict[str, Fraction]:
        """The exact probability of each class, by name."""
        total = sum(one.weight for one in self.classes)
        return {one.name: one.weight / total for one in self.classes}

    def drawn(self, draws: Draws) -> ErrorClass:
        """Return the class of an experiment."""
        return self.classes[draws.choose(self._running, "error class")]

    @functools.cached_property
    def _running(self) -> list[int]:
        """Running sums of the weights, as integers in the same proportions."""
        scale = math.lcm(*(one.weight.denominator for one in self.classes))
        weights = (int(one.weight * scale) for one in self.classes)
        return list(itertools.accumulate(weights))


def error_model_of(model: FaultModel) -> ErrorModel | None:
    """Return the error model that a fault model draws from, or None."""
    return model.rule.model if isinstance(model.rule, _ClassRule) else None


def error_model_text(model: FaultModel) -> str:
    """Return the file that a fault model was read from; empty for any other model."""
    found = error_model_of(model)
    return found.text if found is not None else ""


# Both draw the class from the same stream, so they agree on it.
@dataclasses.dataclass(frozen=True)
class _ClassExtent(Extent):
    model: ErrorModel

    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        for one in self.model.classes:
            if reason := one.extent.misfit(site, operation):
                return f"class {quote(one.name)}: {reason}"
        return None

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        return self.model.drawn(draws).extent.draw(draws, site, operation)


@dataclasses.dataclass(frozen=True)
class _ClassRule(ValueRule):
    model: ErrorModel
    most = None  # That of each class was checked with its extent.

    def misfit(self, element: Element) -> str | None:
        for one in self.model.classes:
            if reason := one.rule.misfit(element):
                return f"class {quote(one.name)}: {reason}"
        return None

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        return self.model.drawn(draws).rule.draw(draws, element, positions, size)
