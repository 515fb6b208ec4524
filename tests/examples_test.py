# SPDX-License-Identifier: Apache-2.0
"""The examples run, in a small setting, and make what they promise."""

import os
import pathlib
import subprocess
import sys

import pytest
from matplotlib import image

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.slow


def run_example(name: str, folder: pathlib.Path, *options: str) -> str:
    run = subprocess.run(
        [sys.executable, EXAMPLES / name, *options],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def test_a_single_flip_spreads_and_is_drawn(tmp_path):
    out = run_example("single_flip.py", tmp_path, "--steps", "20", "--out", "flip.png")
    shares = {
        line.split()[0]: float(line.split()[1].rstrip("%"))
        for line in out.splitlines() if " of elements changed" in line
    }  # fmt: skip
    # One of 16 x 16 x 16 elements behind the faulty convolution; all of the scores.
    assert shares["conv1a"] == pytest.approx(100 / 4096, abs=5e-4)
    assert shares["scores"] > 50 and 0 < shares["add1"] < shares["add3"]
    pixels = image.imread(tmp_path / "flip.png")
    assert pixels.shape[1] == 1100 and pixels[..., :3].std() > 0.05


def test_a_campaign_ends_in_a_report(tmp_path):
    options = "--batch 4 --steps 8 --horizon 2 --experiments 6 --out here".split()
    out = run_example("campaign_with_report.py", tmp_path, *options)
    assert "6 experiments" in out
    report = tmp_path / "here" / "report"
    assert "6 experiments" in (report / "report.html").read_text()
    rows = (report / "tables" / "by_model.csv").read_text()
    # Again: nothing is left to do; only the list of sessions is longer.
    run_example("campaign_with_report.py", tmp_path, *options)
    assert (report / "tables" / "by_model.csv").read_text() == rows


def test_a_keras_application_is_instrumented(tmp_path):
    options = "--steps 4 --images 4 --runs 2 --out trials.csv".split()
    out = run_example("keras_application.py", tmp_path, *options)
    assert out.startswith("53 sites")
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 1 + 4 * 2


def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    # The kernel has to find what this process finds.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    notebook = nbformat.read(EXAMPLES / "ten_minutes.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3",
        resources={"metadata": {"path": EXAMPLES}},
    )  # fmt: skip
    client.execute()
    pictures = [
        output
        for cell in notebook.cells if cell.cell_type == "code"
        for output in cell.outputs if "image/png" in output.get("data", {})
    ]  # fmt: skip
    assert len(pictures) >= 2
