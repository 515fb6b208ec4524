# SPDX-License-Identifier: Apache-2.0
"""The report on all cases as a Markdown page.

What people wrote about single results is kept beside the page, not in it.
"""

import dataclasses
import math
import pathlib

from tpufi._toml import tomllib
from tpufi.contrib.isca23.reproduction.plan import Case, Plan
from tpufi.contrib.isca23.reproduction.results import Measured
from tpufi.errors import InputError
from tpufi.messages import one_line, show_path
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.text_table import markdown_records


@dataclasses.dataclass(frozen=True)
class Report:
    """All that the page shows.

    Args:
      plans: the scale by workload.
      data: what the data set is, in words.
      limits: thresholds.
      cases: the cases, in the order of the page.
      measured: measurements by label of the case; cases without are not done yet.
      explanations: text by label.
      pictures: file name of the picture, by workload.
    """

    plans: dict[str, Plan]
    data: str
    limits: Thresholds
    cases: tuple[Case, ...]
    measured: dict[str, Measured]
    explanations: dict[str, str]
    pictures: dict[str, str]

    def page(self) -> str:
        """Return the page."""
        done = [c for c in self.cases if c.label in self.measured]
        agree = [c for c in done if c.agrees(self._outcome(c))]
        parts = [
            "# The published injections, replayed",
            "Written by `tpufi reproduce`; texts under *Single results* come from "
            "the TOML file of the same name. How outcomes are decided: "
            "[outcomes](../outcomes.md).",
            f"{len(agree)} of {len(done)} outcomes agree with the names of the files."
            + (
                f" {len(self.cases) - len(done)} of {len(self.cases)} files have not "
                "been replayed so."
                if len(done) < len(self.cases)
                else ""
            ),
            "## Set-up",
            self._setup(),
            "## Outcomes",
            self._outcomes(done),
            *(f"![{name}]({file})" for name, file in self.pictures.items()),
            "The black line is the golden run, the band spans all golden runs of a "
            "case. A loss over five times golden's is outside its panel.",
            *self._narrow(done),
            "## What the fault left in the state",
            "Right after the faulty step, compared with the golden state after the "
            "same step: largest absolute finite values, the largest difference and its "
            "tensor, elements whose bits differ, and elements that are not finite.",
            self._evidence(done),
            "## Single results",
            *self._texts(done),
        ]
        return "\n\n".join(parts) + "\n"

    def _outcome(self, case: Case) -> str:
        return self.measured[case.label].outcome(self.limits)

    def _setup(self) -> str:
        plan = next(iter(self.plans.values()))
        found = next(iter(self.measured.values()), None)
        versions = found.made_of["environment"] if found else {}
        rows = {
            "data": self.data,
            "approach": f"steps of 1 x {plan.approach_images} images with the "
            "workload's own initial learning rate: "
            f"{self._by_workload('approach_steps')}",
            "golden run": f"{plan.replicas} x {plan.per_replica} images, learning rate "
            "of the injection file; starts from the approach's state, which counts as "
            "the one this many steps before the published step: "
            f"{self._by_workload('warm')}",
            "horizon": "steps followed, the faulty one included: "
            f"{self._by_workload('horizon')}",
            "steps of an epoch": f"{plan.steps_per_epoch}, as published",
            "seeds": f"{plan.seed}; the other golden runs of the band, from the faulty "
            f"step on: {', '.join(map(str, plan.other_seeds))}",
            "thresholds": self.limits,
        }
        for key in ("tensorflow", "numpy", "cores", "data_digest"):
            if key in versions:
                rows[key] = versions[key]
        table = markdown_records([{"what": w, "value": v} for w, v in rows.items()])
        return (
            f"{table}\n\n"
            "What differs from the paper: it trained on all of CIFAR-10 on a TPU "
            "v2-8, at the published size from the first step on, and followed runs "
            "to epoch 80. Here the networks have learned less when the fault "
            "is injected, and an outcome is the one within the steps that were "
            "followed. Site, values, replica, number of the step, learning rate "
            "at that step and batch are the published ones."
        )

    def _by_workload(self, field: str) -> str:
        """Return the values of a field of the plans, each with its workloads."""
        names: dict[int, list[str]] = {}
        for name, plan in self.plans.items():
            names.setdefault(getattr(plan, field), []).append(name)
        return "; ".join(f"{n} ({', '.join(where)})" for n, where in names.items())

    def _outcomes(self, done: list[Case]) -> str:
        rows = []
        for case in done:
            m = self.measured[case.label]
            outcome = self._outcome(case)
            last = len(m.faulty) - 1
            rows.append(
                {
                    "file": case.label,
                    "name says": case.expected,
                    "outcome": outcome,
                    "agrees": "yes" if case.agrees(outcome) else "**no**",
                    "loss at the injection": _pair(m, 0, "loss", 4),
                    "next step": _pair(m, 1, "loss", 4),
                    "last step": _pair(m, last, "loss", 4),
                    "accuracy there": _pair(m, last, "accuracy", 3),
                    "test accuracy": _validations(m),
                    "steps": len(m.faulty),
                    "golden runs": 1 + len(m.others),
                }
            )
        return f"Pairs are golden / with the fault.\n\n{markdown_records(rows)}"

    def _narrow(self, done: list[Case]) -> list[str]:
        """Say so if golden runs are missing that should have made the band wider."""
        finite = [c for c in done if not self.measured[c.label].ended_early]
        planned = len(next(iter(self.plans.values())).other_seeds)
        narrow = [c for c in finite if len(self.measured[c.label].others) < planned]
        if not narrow:
            return []
        return [
            f"{len(narrow)} of {len(finite)} cases that stayed finite have not been "
            f"compared with all {1 + planned} golden runs yet; the same command makes "
            "the others. With one golden run the band has no width."
        ]

    def _evidence(self, done: list[Case]) -> str:
        return markdown_records(
            [
                {
                    "file": case.label,
                    "kind": kind,
                    "largest, golden / faulty": f"{q.golden:.3g} / {q.faulty:.3g}",
                    "largest difference": f"{q.difference:.3g}",
                    "in": q.tensor,
                    "changed": q.changed,
                    "not finite": q.not_finite,
                }
                for case in done
                for kind, q in self.measured[case.label].state.items()
            ]
        )

    def _texts(self, done: list[Case]) -> list[str]:
        parts = []
        for case in done:
            text = self.explanations.get(case.label)
            if text is None and not case.agrees(self._outcome(case)):
                text = "It disagrees and has not been explained yet."
            if text is not None:
                parts.append(f"### {case.label}\n\n{text}")
        return parts or ["All outcomes agree with the names; nothing to explain."]


def _pair(m: Measured, i: int, key: str, digits: int) -> str:
    if i >= min(len(m.golden), len(m.faulty)):
        return ""
    return " / ".join(
        _number(getattr(run[i], key), digits) for run in (m.golden, m.faulty)
    )


def _validations(m: Measured) -> str:
    if m.validation is None:
        return ""
    return " / ".join(
        _number(v, 3) for v in (m.validation.golden[0], m.validation.faulty)
    )


def _number(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.3g}"


def read_explanations(path: pathlib.Path, labels: tuple[str, ...]) -> dict[str, str]:
    """Return the text about each case that has one.

    Args:
      path: TOML file, `"workload/file" = "text"`; it may be absent.
      labels: all cases.

    Raises:
      InputError: the file is damaged, or names no case, or a text is empty.
    """
    if not path.exists():
        return {}
    shown = show_path(path)
    try:
        entries = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{shown}: cannot read explanations: {one_line(error)}; expected lines "
            '"workload/file" = "text"'
        ) from None
    for label, text in entries.items():
        if label not in labels:
            raise InputError(
                f"{shown}: {label!r} is no published injection; known: "
                f"{', '.join(labels)}"
            )
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{shown}: {label} has no text; write one or remove it")
    return {label: text.strip() for label, text in entries.items()}
