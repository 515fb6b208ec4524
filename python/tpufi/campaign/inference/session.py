# SPDX-License-Identifier: Apache-2.0
"""What is noted of one running of an inference campaign."""

import json
import platform
import sqlite3
import time
from collections.abc import Sequence

from tpufi.campaign.inference.survey import Survey


def session_text(command: Sequence[str], tpufi_version: str, found: Survey) -> str:
    """Return the note as JSON.

    Args:
      command: the command line.
      tpufi_version: `tpufi.__version__`.
      found: of the plan's subject.
    """
    entries = {
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": list(command),
        "tpufi": tpufi_version,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "program": found.plan.program,
        "inputs": str(found.plan.inputs),
        "inputs given": found.given,
    }
    return json.dumps(entries)
