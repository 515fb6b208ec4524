# SPDX-License-Identifier: Apache-2.0
"""Parts of a benchmark in a process of their own: its memory, its log, its settings."""

import json
import os
import pathlib
import subprocess
import sys

_TOOLS = pathlib.Path(__file__).resolve().parents[1]


def run_child(module: str, *arguments: object, **settings: str) -> tuple[dict, str]:
    """Run a module of `tools/` and return what it printed last, as JSON, and its log.

    Args:
      module: such as `measure.step_memory`.
      arguments: its arguments.
      settings: environment variables on top of this process's.

    Raises:
      RuntimeError: it failed; its last line is in the message.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    paths = [str(_TOOLS), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | settings
    run = subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        last = run.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{module} {arguments} failed: {last[0]}")
    return json.loads(run.stdout.strip().splitlines()[-1]), run.stderr
