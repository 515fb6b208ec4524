# SPDX-License-Identifier: Apache-2.0
"""Monitors: what could notice a fault while a training runs."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping

from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.user_file import named_parts, python_object

Metrics = Mapping[str, float]

_ABOVE = re.compile(r"(\w+) above ([-+0-9.e]{1,30})", re.IGNORECASE)
_NOT_FINITE = "not finite"


@dataclasses.dataclass(frozen=True)
class Monitor:
    """Looks at the numbers of each step and raises an alarm, or does not.

    Args:
      name: what it notices; stands in the journal and the report.
      alarm: takes the numbers that the step returns by name, `loss` among them, and
        returns whether they are suspicious.
    """

    name: str
    alarm: Callable[[Metrics], bool]


def above(metric: str, bound: float) -> Monitor:
    """Return the monitor of a number that the step returns.

    Args:
      metric: its name, e.g. `loss` or `gradient_norm`.
      bound: an alarm is raised above it, and by NaN.
    """
    return Monitor(
        f"{metric} above {bound:g}", lambda metrics: not metrics[metric] <= bound
    )


def loss_above(bound: float) -> Monitor:
    """Return the monitor of a loss above a bound, or NaN."""
    return above("loss", bound)


def gradient_norm_above(bound: float) -> Monitor:
    """Return the monitor of a `gradient_norm`, which the step has to return."""
    return above("gradient_norm", bound)


def not_finite() -> Monitor:
    """Return the monitor of any number that is not finite."""
    return Monitor(
        _NOT_FINITE, lambda metrics: not all(map(math.isfinite, metrics.values()))
    )


def monitor_of(given: "Monitor | str | Callable[[Metrics], bool]") -> Monitor:
    """Return a monitor from text, from a function, or as it is.

    Args:
      given: `loss above 10`, `gradient_norm above 1e3`, `not finite`, `file.py:NAME`; a
        function of the step's numbers, whose name it gets; or a monitor.

    Raises:
      InputError: the text is none of these, or the file has no such function.
    """
    if isinstance(given, str):
        return _of_text(given)
    if isinstance(given, Monitor):
        return given
    if callable(given):
        return Monitor(getattr(given, "__name__", "own monitor"), given)
    raise InputError(
        f"monitor {given!r:.80}: expected a function of the step's numbers"
    )


def monitors_of(given: Iterable) -> tuple[Monitor, ...]:
    """Return monitors, each with a different name.

    Raises:
      InputError: one is none, or two have one name.
    """
    found = tuple(map(monitor_of, given))
    names = [monitor.name for monitor in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"monitors: {quote(name)} stands twice; name it once")
    return found


def alarm(monitor: Monitor, metrics: Metrics) -> bool:
    """Return whether a monitor raises an alarm.

    Raises:
      InputError: it cannot tell, e.g. because the step does not return its number.
    """
    try:
        return bool(monitor.alarm(metrics))
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises.
        raise InputError(
            f"monitor {quote(monitor.name)}: {type(error).__name__}: {error}; the step "
            f"returns {', '.join(metrics)}"
        ) from error


def _of_text(text: str) -> Monitor:
    if named_parts(text)[1]:
        return monitor_of_object(text, python_object(text))
    if text == _NOT_FINITE:
        return not_finite()
    if match := _ABOVE.fullmatch(text):
        try:
            return above(match[1], float(match[2]))
        except ValueError:
            pass
    raise InputError(
        f"monitors: {quote(text)}; expected loss above 10, gradient_norm above 1e3, "
        f"{_NOT_FINITE}, or file.py:NAME"
    )


def monitor_of_object(where: str, found: object) -> Monitor:
    """Return the monitor that a file holds.

    Raises:
      InputError: it is not a function.
    """
    if not isinstance(found, Monitor) and not callable(found):
        raise InputError(f"{where}: {type(found).__name__}; expected a function")
    return monitor_of(found)
