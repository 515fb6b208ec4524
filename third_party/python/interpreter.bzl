# SPDX-License-Identifier: Apache-2.0
"""Chooses the Python interpreter that both repository rules ask."""

def python_interpreter(ctx):
    """PYTHON_BIN_PATH, else the checkout's own .venv, else python3 on PATH."""

    # Naming the lock file makes the caller run again when the lock changes.
    checkout = ctx.path(Label("//:requirements.lock")).dirname
    venv = ctx.path(str(checkout) + "/.venv/bin/python")
    chosen = ctx.os.environ.get("PYTHON_BIN_PATH", "")
    if chosen:
        return chosen
    if venv.exists:
        return str(venv)
    return "python3"
