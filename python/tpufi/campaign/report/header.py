# SPDX-License-Identifier: Apache-2.0
"""The lines under the title: on what was run what, where and when."""

from tpufi.campaign.inference import KIND
from tpufi.campaign.report.cells import count_text, printable
from tpufi.campaign.report.facts import Facts
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig
from tpufi.models import workload


def header(facts: Facts) -> dict[str, str]:
    """Return the lines by their names; what the journal does not tell is left out."""
    config = facts.golden.config if facts.golden else None
    noted = facts.sessions[-1][0] if facts.sessions else {}
    found = {
        "data": _data(facts, config) if config else noted.get("inputs"),
        "model": facts.plan.get("workload", noted.get("program")),
        "optimiser": _optimiser(facts, config),
        "device": _device(facts),
        "date": _date(facts),
        "size": _size(facts),
    }
    return {name: printable(text) for name, text in found.items() if text}


def _data(facts: Facts, config: GoldenConfig) -> str:
    digest = facts.manifest.get("data", "")[:12]
    return (
        f"{config.data}, digest {digest}; {config.replicas} x {config.per_replica} "
        "examples in a step"
    )


def _optimiser(facts: Facts, config: GoldenConfig | None) -> str:
    try:
        optimizer = workload(str(facts.plan.get("workload"))).optimizer
    except InputError:
        return ""
    rate = f", initial learning rate {config.learning_rate:g}" if config else ""
    return f"{type(optimizer).__name__}{rate}"


def _device(facts: Facts) -> str:
    versions = f"TensorFlow {facts.manifest.get('tensorflow', 'of unknown version')}"
    if not (device := facts.manifest.get("device")):
        return versions
    compiled = facts.manifest.get("compiled") == "yes"
    return f"{device}, {'compiled by XLA' if compiled else 'not compiled'}; {versions}"


def _date(facts: Facts) -> str:
    begun = [str(noted["begun"]) for noted, _ in facts.sessions if noted.get("begun")]
    return " to ".join(dict.fromkeys((begun[0], begun[-1]))) if begun else ""


def _size(facts: Facts) -> str:
    seconds = sum(took for _, took in facts.sessions)
    took = f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{seconds:.3g} s"
    inferences = facts.plan.get("kind") == KIND
    what = "inputs" if inferences else "steps of the golden run"
    return (
        f"{count_text(len(facts.experiments))} experiments at {facts.steps} {what}, "
        f"{took}"
    )
