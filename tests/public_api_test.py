# SPDX-License-Identifier: Apache-2.0
"""The public surface changes only when its golden list does."""

import difflib
import pathlib
import re
import subprocess
import sys

import tpufi
from tests.public_api import COMMAND, GOLDEN, surface

# Nothing of these is needed to import tpufi: what a command needs it imports itself.
HEAVY = (
    "IPython", "hypothesis", "jax", "matplotlib", "pandas", "plotly", "pyarrow",
    "pytest", "ray", "rich", "scipy", "shtab", "statsmodels", "tensorboard",
)  # fmt: skip


def test_the_surface_is_the_golden_list():
    difference = difflib.unified_diff(
        GOLDEN.read_text().splitlines(), surface(), "golden", "now", "", "", 0, ""
    )
    lines = list(difference)[2:]
    assert not lines, "\n".join(
        [f"the public surface has changed; if that is meant, run: {COMMAND}", *lines]
    )


def test_a_changed_default_is_a_change_of_the_surface(monkeypatch):
    def replay(injection, golden, *, name="x"):
        """Replay with another default."""

    monkeypatch.setattr(tpufi, "replay", replay)
    assert "tpufi.replay(injection, golden, *, name='x')" in surface()


def test_the_package_tells_type_checkers_that_it_has_types():
    assert pathlib.Path(tpufi.__file__).with_name("py.typed").exists()


def test_importing_tpufi_imports_no_heavy_optional_package():
    # What TensorFlow itself imports is not ours to judge.
    code = "import sys, tensorflow; before = set(sys.modules); import tpufi; "
    code += "print(*sorted(set(sys.modules) - before))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "tpufi" in loaded
    assert not loaded & set(HEAVY)


def test_the_import_takes_a_fraction_of_a_second_beyond_tensorflow():
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import tensorflow, tpufi"],
        capture_output=True,
        text=True,
        check=True,
    )
    took = {
        name: int(total)
        for total, name in re.findall(r"\| +(\d+) \| (\w+)$", run.stderr, re.MULTILINE)
    }
    # Not judged against a clock, which a busy machine slows: docs/performance.md does.
    print(f"import tpufi: {took['tpufi'] / 1e6:.3f} s beyond TensorFlow's")
    assert took["tpufi"] < took["tensorflow"] / 4


def test_campaigns_are_run_and_read_without_what_only_a_report_needs():
    missing = "dict.fromkeys(('jinja2', 'matplotlib', 'pandas'))"
    code = f"import sys; sys.modules |= {missing}; import tpufi.commands.campaign"
    subprocess.run([sys.executable, "-c", code], check=True)
    code += "; import tpufi.campaign.report"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stderr.strip().endswith(
        "InputError: a report needs jinja2, which is not installed; run: pip install "
        "'tpufi[report]'"
    )
