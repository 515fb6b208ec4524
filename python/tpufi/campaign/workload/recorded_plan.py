# SPDX-License-Identifier: Apache-2.0
"""The plan of a campaign of a workload as its journal recorded it."""

import pathlib
from fractions import Fraction

from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.unit_keys import recorded_unit
from tpufi.errors import InputError
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.csv import parse_injection
from tpufi.faults.error_model_file import parse_error_model
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.plan import SamplingPlan
from tpufi.faults.unit_model import UnitModel
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.user_file import named_parts
from tpufi.when_text import parse_when

_OWN = ("models", "workload", "detectors")


def recorded_plan(
    journal: Reader, golden: pathlib.Path | None = None
) -> tuple[CampaignPlan, str]:
    """Return the plan that the rows of a journal were made by.

    Its stop rule ends with the experiments that are there.

    Args:
      journal: open for reading.
      golden: folder of the golden run, if it is not any more where it was.

    Returns:
      The plan, and `yes` if its set-up had to be deterministic, else `no`.

    Raises:
      InputError: the journal was never begun, or it is of another tpufi.
    """
    manifest, sessions = journal.manifest(), journal.sessions()
    if not manifest or not sessions:
        raise InputError("the journal has no manifest: its campaign was never begun")
    with journal.untrusted():
        plan, session = journal.plan(), journal.noted()[-1][0]
        own = any(plan.get(f"own {what}") for what in _OWN)
        # And whatever a forged one names.
        named = [plan.get("workload"), *(n for n, _ in plan.get("detectors", ()))]
        own |= any(named_parts(str(name))[1] for name in named)
        if "kind" in plan or own:
            raise InputError(
                "Python files of yours belong to the campaign, and a journal runs "
                "none; name its campaign file with --plan"
            )
        return CampaignPlan(
            plan["workload"],
            golden or pathlib.Path(session["golden"]),
            plan["seed"],
            _sampling(plan["sampling"]),
            plan["horizon"],
            Thresholds(**plan["thresholds"]),
            StopRule(max(1, journal.count())),
            tuple(map(pathlib.Path, session["band"])),
            plan["propagation"],
            plan["validation"],
            tuple(
                (f"injection {number}", parse_injection(text, f"injection {number}"))
                for number, text in enumerate(plan.get("injections", ()))
            ),
            tuple(
                (name, tuple((key, float(value)) for key, value in settings))
                for name, settings in plan.get("detectors", ())
            ),
            plan.get("recovery", False),
        ), manifest["deterministic"]


def _sampling(recorded: dict | None) -> SamplingPlan:
    if recorded is None:
        return SamplingPlan()
    entries = dict(recorded)
    texts = entries.pop("error_models", {})

    def model(name: str | dict) -> FaultModel | UnitModel:
        if isinstance(name, dict):
            return recorded_unit(name)
        if name not in texts:
            return any_fault_model(name)
        return parse_error_model(texts[name], name, name).fault_model

    models = [(model(name), Fraction(w)) for name, w in entries.pop("models")]
    if "when" in entries:
        entries["when"] = parse_when(entries["when"])
    ranges = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in entries.items()
    }
    return SamplingPlan(tuple(models), **ranges)
