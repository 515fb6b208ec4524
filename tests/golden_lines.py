# SPDX-License-Identifier: Apache-2.0
"""Golden runs whose curve is another, as one trained on other hardware would have."""

from tpufi.golden import GoldenFolder


def with_other_state(folder: GoldenFolder, number: int) -> None:
    """Give a step of a run another digest of its state."""
    entries = folder.read_lines("steps.jsonl")
    folder.keep_lines("steps.jsonl", "number", 0)
    for entry in entries:
        other = {"state": "0" * 64} if entry["number"] == number else {}
        folder.append("steps.jsonl", {**entry, **other})
