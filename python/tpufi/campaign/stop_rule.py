# SPDX-License-Identifier: Apache-2.0
"""When a campaign has enough experiments."""

import dataclasses
import math

from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.yaml_reader import Node

# What a stratum can be made of: what the plan alone tells about an experiment.
STRATUM_KEYS = ("model", "layer", "direction", "operand", "op")


@dataclasses.dataclass(frozen=True)
class StopRule:
    """Ends a campaign at whichever comes first.

    Looking at the width again and again makes the promised confidence a little too
    high; with at least some hundred experiments a stratum the difference is small.

    Args:
      experiments: number of experiments, >= 1.
      hours: running time over all sessions, > 0; None: no bound.
      width: of the widest interval of any outcome in any stratum, above 0, below 1;
        None: no bound.
      strata: what makes a stratum, among `STRATUM_KEYS`; empty: all is one stratum.
      confidence: of the intervals, above 0, below 1.
      pilot: experiments after which Neyman's allocation over the strata decides which
        ones are run, >= 1 and below `experiments`; None: all are run.

    Raises:
      InputError: a field is out of range.
    """

    experiments: int
    hours: float | None = None
    width: float | None = None
    strata: tuple[str, ...] = ()
    confidence: float = 0.95
    pilot: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.experiments < 1 << 63:
            raise _wrong("experiments", self.experiments, "1 up to 2**63 - 1")
        if self.hours is not None and not 0 < self.hours < math.inf:
            raise _wrong("hours", self.hours, "a number above 0")
        if self.width is not None and not 0 < self.width < 1:
            raise _wrong("width", self.width, "above 0 and below 1, e.g. 0.02")
        if not 0 < self.confidence < 1:
            raise _wrong("confidence", self.confidence, "above 0 and below 1")
        for key in self.strata:
            if key not in STRATUM_KEYS or self.strata.count(key) > 1:
                known = f"different names among {', '.join(STRATUM_KEYS)}"
                raise _wrong("strata", quote(key), known)
        if self.pilot is not None:
            if not 1 <= self.pilot < self.experiments:
                expected = f"1 up to {self.experiments - 1}, below experiments"
                raise _wrong("pilot", self.pilot, expected)
            if not self.strata:
                raise _wrong("pilot", self.pilot, "strata beside it to allot to")

    def reached(self, done: int, seconds: float, widest: float) -> str | None:
        """Return why the campaign ends now, or None if it goes on.

        Args:
          done: experiments in the journal.
          seconds: running time over all sessions.
          widest: width of the widest interval, 0 to 1.
        """
        if done >= self.experiments:
            return f"all {self.experiments} experiments are done"
        if self.hours is not None and seconds >= self.hours * 3600:
            return f"{self.hours:g} hours have passed"
        if self.width is not None and widest <= self.width:
            return f"the widest interval is {widest:.4g}, {self.width:g} was wanted"
        return None


def read_stop_rule(
    experiments: Node, given: Node | None, allots: bool = True
) -> StopRule:
    """Return the stop rule that the keys `experiments` and `stop` of a file say.

    Args:
      experiments: value of that key.
      given: value of the key `stop`; None: it is not there.
      allots: whether the campaign can allot experiments to strata after a pilot.

    Raises:
      InputError: a key or a value is wrong; the message begins with `file:line`.
    """
    number = experiments.whole()
    plain = experiments.placed(lambda: StopRule(number))
    if given is None:
        return plain
    types = _TYPES if allots else {k: t for k, t in _TYPES.items() if k != "pilot"}
    values = given.read(types)
    if "strata" in values and not values.keys() & {"width", "pilot"}:
        remedy = "a width or a pilot beside it" if allots else "a width beside it"
        raise given.value["strata"].wrong(f"{remedy}; add stop.width")
    return given.placed(lambda: StopRule(number, **values))


def _number(node: Node) -> float:
    return float(node.number(above_0=True))


_TYPES = {
    "hours": _number,
    "width": _number,
    "strata": Node.texts,
    "confidence": _number,
    "pilot": Node.whole,
}


def _wrong(field: str, value: object, expected: str) -> InputError:
    return InputError(f"stop rule: {field}: {value}; expected {expected}; correct it")
