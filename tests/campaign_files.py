# SPDX-License-Identifier: Apache-2.0
"""A campaign file and a golden run as far as a plan looks at it."""

import pathlib

from tpufi.golden import GoldenConfig, GoldenFolder

PLAN = """\
workload: resnet18
golden: golden
seed: 7
experiments: 2000
faults:
  RBFLIP: 3
  INPUT_16: 1/2
sites:
  patterns: ["basicblock_2_*", re:conv1/.*]
  directions: [forward, grad_in]
  weights: sites
epochs: 0-1
steps: 1-3
replicas: 0-1
horizon: 4
stop:
  hours: 1.5
  width: 0.1
  strata: [model, direction]
  confidence: 0.99
"""


def write_golden(folder: pathlib.Path, steps: int = 12, **changes) -> None:
    """Write what a golden run of some steps leaves, but for its checkpoints."""
    config = {"replicas": 2, "per_replica": 4, **changes}
    golden = GoldenFolder(folder)
    golden.write_manifest(
        GoldenConfig(**{"workload": "resnet18", "data": "synthetic", **config}),
        {"data_digest": "d"},
        5,
    )
    golden.keep_lines("steps.jsonl", "number", 0)
    for number in range(steps):
        golden.append("steps.jsonl", {"number": number, "state": f"{number:04x}"})
    (folder / "epochs.jsonl").write_text("")


def write_plan(folder: pathlib.Path, text: str = PLAN) -> pathlib.Path:
    """Write a campaign file and the golden run it names."""
    write_golden(folder / "golden")
    file = folder / "campaign.yaml"
    file.write_text(text)
    return file
