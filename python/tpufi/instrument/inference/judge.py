# SPDX-License-Identifier: Apache-2.0
"""Names what became of an answer: masked, or the most severe of the plan's failures."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tpufi.errors import InputError
from tpufi.instrument.inference.measures import (
    CLASSIFICATION,
    REGRESSION,
    Measure,
    above,
)
from tpufi.messages import nearest_first, one_line, quote
from tpufi.outcomes.outcome import MASKED, MASKED_IDENTICAL

NAMED = ("classification", "regression")


@dataclasses.dataclass(frozen=True)
class Judge:
    """Measures an answer and gives it a class.

    Args:
      measures: compare golden and faulty answers, by name.
      failures: truth values among them that are failures, from mild to grave.
    """

    measures: Mapping[str, Measure]
    failures: tuple[str, ...]

    def values(self, golden: np.ndarray, faulty: np.ndarray) -> dict[str, bool | float]:
        """Return what each measure makes of the answers to one item."""
        return measured(self.measures, golden, faulty)

    def outcome(
        self, golden: np.ndarray, faulty: np.ndarray, values: Mapping[str, bool | float]
    ) -> str:
        """Return the class of an answer: its name is the definition."""
        if golden.tobytes() == faulty.tobytes():
            return MASKED_IDENTICAL
        found = [name for name in self.failures if values[name]]
        return found[-1] if found else MASKED


def measured(
    measures: Mapping[str, Measure], golden: np.ndarray, faulty: np.ndarray
) -> dict[str, bool | float]:
    """Return what each measure makes of the answers to one item."""
    before, after = (a.astype(np.float64).reshape(-1) for a in (golden, faulty))
    return {name: measure(before, after) for name, measure in measures.items()}


def named_judge(name: str, tolerance: float | None) -> Judge:
    """Return the judge called `classification` or `regression`.

    Args:
      name: of the judge.
      tolerance: of `regression`: the largest change that is no failure.

    Raises:
      InputError: there is no such judge.
    """
    known = {"classification": _classification, "regression": _regression}
    if name not in known:
        raise InputError(
            f"measures: {quote(name)}; known: {nearest_first(name, known)}, or "
            "file.py:NAME"
        )
    return known[name](tolerance)


def own_judge(measures: Mapping[str, Measure], golden: np.ndarray) -> Judge:
    """Return the judge of the user's measures; truth values are failures.

    Args:
      measures: by name, failures from mild to grave.
      golden: an answer that all of them are tried on.

    Raises:
      InputError: a measure raises, or does not return a truth value or a number.
    """
    failures = []
    for name, measure in measures.items():
        try:
            (value,) = measured({name: measure}, golden, golden).values()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code.
            raise InputError(
                f"measure {quote(str(name))}: {type(error).__name__}: {one_line(error)}"
            ) from error
        if not isinstance(value, bool | float | int):
            raise InputError(
                f"measure {quote(str(name))} returns {type(value).__name__}; expected "
                "True, False or a number, e.g. by bool(...) or float(...)"
            )
        if isinstance(value, bool):
            failures.append(name)
    if not failures:
        raise InputError("no measure returns True or False; one has to say what fails")
    return Judge(dict(measures), tuple(failures))


def _classification(tolerance: float | None) -> Judge:
    del tolerance
    wanted = ("sdc_1", "sdc_5", "not_finite")
    names = {name.split(":")[0]: name for name in CLASSIFICATION}
    return Judge(CLASSIFICATION, tuple(names[short] for short in wanted))


def _regression(tolerance: float | None) -> Judge:
    name, measure = above(tolerance or 0.0)
    not_finite = next(n for n in REGRESSION if n.startswith("not_finite"))
    return Judge({name: measure, **REGRESSION}, (name, not_finite))
