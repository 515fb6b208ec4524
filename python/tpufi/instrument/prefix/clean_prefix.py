# SPDX-License-Identifier: Apache-2.0
"""Strikes one call of a program again and again, from the struck operation on."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented, Run
from tpufi.instrument.prefix.cut_program import WHOLE, CutProgram
from tpufi.instrument.site_fault import SiteFault, operands
from tpufi.instrument.strike import strikes_of, told_of_sizes
from tpufi.instrument.unstruck import warn_of_unstruck


class CleanPrefix:
    """Keeps what faults of a call cannot change, for the cut that was used last.

    Runs are those of `fi.strike`, bit for bit: whenever a prefix is computed, the
    golden run from there on is compared with that of the whole program. The variables
    of the program have to keep their values.

    Args:
      fi: the program.
      cuts: cuts of its armed program for such a call.
      args: positional arguments of the call.
      kwargs: keyword arguments of the call.

    Attributes:
      golden: the outputs without a fault.
    """

    def __init__(
        self,
        fi: Instrumented,
        cuts: CutProgram,
        args: tuple,
        kwargs: Mapping | None = None,
    ):
        self._fi, self._cuts = fi, cuts
        self._flat = cuts.armed.program.flat(args, dict(kwargs or {}))
        self._clean = operands(())
        *self._golden, _ = self._whole(self._clean)
        self.golden = cuts.armed.program.pack(self._golden)
        self._number = WHOLE
        self._crossing: list[tf.Tensor] = []

    def strike(self, faults: Sequence[SiteFault]) -> Run:
        """Run the call once with these faults, as `fi.strike` does.

        Raises:
          InputError: a fault does not fit, or a part of the program rounds in another
            way than the whole.
        """
        armed = self._cuts.armed
        rows = self._fi.rows(armed, faults)
        number = self._cuts.number(fault.site for fault in faults)
        with told_of_sizes():
            *outputs, record = self._from(number)(operands(rows))
        strikes = strikes_of(rows, armed.by_id, record.numpy())
        warn_of_unstruck(faults, strikes, lambda i: armed.by_id[i].name, stacklevel=2)
        return Run(armed.program.pack(outputs), strikes)

    def check(self) -> None:
        """Raise InputError if a part of the program rounds in another way."""
        for number in range(WHOLE, len(self._cuts.firsts) + 1):
            self._from(number)

    def _from(self, number: int):
        """Return what runs the program from a cut on."""
        if number == WHOLE:
            return self._whole
        before, after = self._cuts.halves(number)
        if number != self._number:
            self._crossing = before([*self._flat, *self._clean])
            self._number = number
            *outputs, _ = after([*self._flat, *self._clean, *self._crossing])
            self._check(number, outputs)
        return lambda given: after([*self._flat, *given, *self._crossing])

    def _whole(self, given: tuple) -> list[tf.Tensor]:
        return self._cuts.armed.run(self._flat, given)

    def _check(self, number: int, outputs: list[tf.Tensor]) -> None:
        for whole, part in zip(self._golden, outputs, strict=True):
            if whole.numpy().tobytes() != part.numpy().tobytes():
                self._number = WHOLE
                raise InputError(
                    f"from cut {number} on the program rounds in another way than as a "
                    "whole; arm more of its operations, or do without a clean prefix"
                )
