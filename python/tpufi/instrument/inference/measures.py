# SPDX-License-Identifier: Apache-2.0
"""Compares the answer to one item with and without a fault.

A measure takes both answers, float64 vectors, and returns a truth value, which becomes
a rate, or a number. Its name says what it is.
"""

from collections.abc import Callable, Mapping

import numpy as np

Measure = Callable[[np.ndarray, np.ndarray], bool | float]


def top(scores: np.ndarray, count: int) -> list[int]:
    """Return the classes of the `count` highest scores; NaN is below all others."""
    ordered = np.where(np.isnan(scores), -np.inf, scores)
    return np.argsort(-ordered, kind="stable")[:count].tolist()


def _class_changed(golden: np.ndarray, faulty: np.ndarray) -> bool:
    undefined = bool(np.isnan(faulty).any())
    return undefined or top(golden, 1) != top(faulty, 1)


def _left_top_5(golden: np.ndarray, faulty: np.ndarray) -> bool:
    return bool(np.isnan(faulty).any()) or top(golden, 1)[0] not in top(faulty, 5)


def _top_5_changed(golden: np.ndarray, faulty: np.ndarray) -> bool:
    return bool(np.isnan(faulty).any()) or set(top(golden, 5)) != set(top(faulty, 5))


def _confidence_change(golden: np.ndarray, faulty: np.ndarray) -> float:
    best = top(golden, 1)[0]
    return float(faulty[best] - golden[best])


def _not_finite(golden: np.ndarray, faulty: np.ndarray) -> bool:
    del golden
    return not np.isfinite(faulty).all()


def _largest_delta(golden: np.ndarray, faulty: np.ndarray) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.abs(faulty - golden).max())


def _relative_delta(golden: np.ndarray, faulty: np.ndarray) -> float:
    norm = float(np.linalg.norm(golden))
    with np.errstate(invalid="ignore", over="ignore"):
        delta = float(np.linalg.norm(faulty - golden))
    return delta / norm if norm else delta


def above(tolerance: float) -> tuple[str, Measure]:
    """Return the name of a failure by tolerance, and what tells it."""

    def is_above(golden: np.ndarray, faulty: np.ndarray) -> bool:
        return not _largest_delta(golden, faulty) <= tolerance

    return f"sdc: largest absolute change above {tolerance:g}, or NaN", is_above


CLASSIFICATION: Mapping[str, Measure] = {
    "sdc_1: top-1 class changed or NaN": _class_changed,
    "sdc_5: golden top-1 class outside faulty top 5, or NaN": _left_top_5,
    "top_5: set of top-5 classes changed, or NaN": _top_5_changed,
    "not_finite: NaN or Inf in the output": _not_finite,
    "confidence: change of the golden top-1 class's score": _confidence_change,
}
REGRESSION: Mapping[str, Measure] = {
    "not_finite: NaN or Inf in the output": _not_finite,
    "delta: largest absolute change": _largest_delta,
    "relative_delta: 2-norm of the change by that of the output": _relative_delta,
}
