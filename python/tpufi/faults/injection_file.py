# SPDX-License-Identifier: Apache-2.0
"""What an injection file holds: one fault of one workload, whatever its dialect."""

import abc
import dataclasses
import math

import numpy as np

from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.catalogue import any_fault_model, is_file
from tpufi.messages import nearest_first, quote
from tpufi.models import NAMES as WORKLOADS
from tpufi.site_table import Site, SiteTable
from tpufi.user_file import named_parts

# In place of a workload: a program of the user, whose sites `tpufi.instrument` finds.
PROGRAM = "program"
# The fault model of a fault that was written by hand.
GIVEN = "given"


class FieldError(InputError):
    """One field of an injection is wrong; `field` tells which, for a line number."""

    def __init__(self, field: str, text: str):
        super().__init__(f"{field}: {text}")
        self.field = field


class InjectionFile(abc.ABC):
    """One fault of a workload and the training run it belongs to.

    Attributes:
      model: workload, one of `WORKLOADS`.
      fmodel: name of the fault model.
      learning_rate: initial learning rate of the schedule; None for a program.
      target_worker: replica.
      target_layer: the layer, as the file names it.
      target_epoch: epoch of the fault, from 0.
      target_step: step in the epoch, from 0.
      site_name: name of the site, `layer/direction/operand`.
    """

    model: str
    fmodel: str
    learning_rate: float | None
    target_worker: int
    target_layer: str
    target_epoch: int
    target_step: int
    site_name: str

    @abc.abstractmethod
    def resolve(self, table: SiteTable) -> Site:
        """Return the site of the fault.

        Args:
          table: the sites of this injection's workload.

        Raises:
          InputError: there is no such site, or the fault does not fit it.
        """

    @abc.abstractmethod
    def fault(self, table: SiteTable) -> Fault:
        """Return the fault.

        Args:
          table: the sites of this injection's workload.

        Raises:
          InputError: there is no such site, or the fault does not fit it.
        """

    @abc.abstractmethod
    def flat_positions(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the flat indices of the elements in the file's order.

        Args:
          shape: shape of the site.

        Returns:
          int64 array (positions,).

        Raises:
          InputError: a position lies outside `shape` or has another rank.
        """


@dataclasses.dataclass(frozen=True)
class DrawnInjection(InjectionFile):
    """A fault that was drawn, of any fault model, as an injection file.

    Args:
      model: workload, one of `WORKLOADS` or `file.py:NAME`, or `PROGRAM`.
      drawn: the fault.
      learning_rate: initial learning rate of the schedule, positive; None for a
        program of the user.

    Raises:
      InputError: the workload or the fault model is unknown, or the rate is not a
        finite number above 0.
    """

    model: str
    drawn: Fault
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if not named_parts(self.model)[1]:
            check_name("model", self.model, (*WORKLOADS, PROGRAM))
        try:
            # The file of an error model need not be here: nothing is drawn from it.
            if self.drawn.model != GIVEN and not is_file(self.drawn.model):
                any_fault_model(self.drawn.model)
        except InputError as error:
            raise FieldError("fmodel", str(error)) from None
        if self.model != PROGRAM or self.learning_rate is not None:
            check_learning_rate(self.learning_rate)

    @property
    def fmodel(self) -> str:
        return self.drawn.model

    @property
    def site_name(self) -> str:
        return self.drawn.site

    @property
    def target_worker(self) -> int:
        return self.drawn.replica

    @property
    def target_layer(self) -> str:
        return self.drawn.site

    @property
    def target_epoch(self) -> int:
        return self.drawn.epoch

    @property
    def target_step(self) -> int:
        return self.drawn.step

    def resolve(self, table: SiteTable) -> Site:
        try:
            site = table[table.id_of(self.site_name)]
            self.drawn.check(site)
        except InputError as error:
            raise FieldError("site", str(error)) from None
        return site

    def fault(self, table: SiteTable) -> Fault:
        self.resolve(table)
        return self.drawn

    def flat_positions(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.drawn.elements.indices()


def check_name(field: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not among the known ones."""
    if name not in known:
        raise FieldError(
            field,
            f"unknown {field} {quote(name)}; expected one of: "
            f"{nearest_first(name, known)}; write one of these",
        )


def check_learning_rate(rate: float | None) -> None:
    """Refuse a learning rate that is not a finite number above zero."""
    if rate is None or not (math.isfinite(rate) and rate > 0):
        raise FieldError(
            "learning_rate",
            f"{rate} is not a learning rate; expected a finite number above 0; write "
            "the initial rate of the schedule, e.g. learning_rate,0.001",
        )
