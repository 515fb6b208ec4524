#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A campaign of training runs on real images, from the golden run to the report.

    python examples/campaign_with_report.py --experiments 100

The same can be done with tpufi golden and tpufi campaign. Run it again to go on
where it was stopped, or with more experiments to make the campaign longer.
"""

import os
import pathlib
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tpufi
from tpufi import GoldenConfig, make_deterministic, train_golden
from tpufi.campaign.engine.local_pool import LocalPool
from tpufi.campaign.engine.run import Scale, run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_report
from tpufi.campaign.subjects import subject_of
from tpufi.cli import Parser, positive, run

PLAN = """\
workload: resnet18
golden: golden
seed: 2026
experiments: {experiments}
epochs: 0-0
steps: {first}-{last}
replicas: 0-0
horizon: {horizon}
faults: [published]
propagation: yes
"""


def main(argv: Sequence[str] | None) -> int:
    """Train, plan, run, report."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default="runs/campaign_example")
    parser.add_argument("--data", default="fashion-mnist", help="docs/data.md")
    parser.add_argument("--batch", type=positive, default=32, help="images of a step")
    parser.add_argument("--steps", type=positive, default=80, help="of the golden run")
    parser.add_argument("--horizon", type=positive, default=8, help="steps to follow")
    parser.add_argument("--experiments", type=positive, default=100)
    options = parser.parse_args(argv)
    out, horizon = options.out, options.horizon

    config = GoldenConfig(
        "resnet18", options.data, replicas=1, per_replica=options.batch
    )
    half = max(options.steps // 2, 1)
    train_golden(config, out / "golden", options.steps, checkpoint_every=half)

    file = out / "campaign.yaml"
    last = options.steps - horizon
    file.write_text(
        PLAN.format(
            experiments=options.experiments, first=half, last=last, horizon=horizon
        )
    )
    subject = subject_of(file)
    ended = run_campaign(
        subject,
        out / "campaign",
        subject.manifest(),
        subject.session(sys.argv, tpufi.__version__),
        lambda: LocalPool(subject.open, 1, 600, 3600),
        Watcher(),
        Scale(),
    )
    print(f"{out / 'campaign'}: {ended.reason}")
    write_report(out / "campaign", out / "report", Options(by=("direction", "operand")))
    print("open", out / "report" / "report.html")
    return 0


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
