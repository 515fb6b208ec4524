# SPDX-License-Identifier: Apache-2.0
"""The public surface changes only when its golden list does."""

import ast
import difflib
import importlib
import pathlib
import re
import subprocess
import sys

import pytest
import tensorflow as tf

import tpufi
from tests.public_api import COMMAND, GOLDEN, surface
from tpufi.faults.csv import PUBLISHED

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


def test_the_stub_names_what_the_package_imports_when_it_is_used():
    tree = ast.parse(pathlib.Path(tpufi.__file__).with_suffix(".pyi").read_text())
    stub = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert stub == {
        name: f"{module}.{name}" for name, module in tpufi._MODULE_OF.items()
    }
    assert sorted(stub) == sorted(tpufi.__all__)


def test_every_name_is_there_and_another_is_an_attribute_error():
    for name, module in tpufi._MODULE_OF.items():
        if name != "instrument":  # The package, which can be called.
            there = importlib.import_module(module)
            assert getattr(tpufi, name) is getattr(there, name)
    assert set(tpufi.__all__) <= set(dir(tpufi))
    with pytest.raises(AttributeError, match="'tpufi' has no attribute 'flip_bit'"):
        _ = tpufi.flip_bit


def run_python(code: str, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_instrument_is_a_package_that_can_be_called():
    code = "import tpufi, inspect; from tpufi import instrument as same; "
    code += "from tpufi.instrument import instrument; "
    code += "import tpufi.instrument.inference as inference; "
    code += "assert tpufi.instrument is same and tpufi.flip is tpufi.instrument.flip; "
    code += "assert inspect.signature(same) == inspect.signature(instrument); "
    code += "print(tpufi.instrument(lambda x: x + 1.0)(1.0), "
    code += "tpufi.golden.GoldenConfig.__name__, inference.Trial.__name__)"
    assert run_python(code).split() == ["2.0", "GoldenConfig", "Trial"]


def test_files_are_read_and_faults_drawn_from_bits_without_tensorflow():
    code = "import sys, tpufi; print(tpufi.read_injection(sys.argv[1]).site_name); "
    code += "tpufi.any_fault_model('ZERO'), tpufi.random_patterns, tpufi.load_dataset; "
    code += "print('tensorflow' in sys.modules)"
    assert run_python(code, str(PUBLISHED / "resnet18" / "inj_masked.csv")).split() == [
        "basicblock_4_basic_0_conv2/forward/weight",
        "False",
    ]


def test_a_saved_model_with_fault_ops_loads_once_they_are_registered(tmp_path):
    module = tf.Module()
    module.faulty = tf.function(
        lambda x: tpufi.flip_bits(x, 0, 1, 1 << 31),
        input_signature=[tf.TensorSpec([2], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path))
    use = "print(tf.saved_model.load(sys.argv[1]).faulty([1.0, 1.0]).numpy().tolist())"
    code = f"import sys; import tensorflow as tf, tpufi; {use}"
    assert run_python(code, str(tmp_path)) == "[-1.0, 1.0]\n"
    other = (
        "import sys; import tpufi; import tensorflow as tf\n"
        f"try: {use}\n"
        "except Exception as error: print(\"Op type not registered 'Tpufi>FlipBits'\" "
        "in str(error))\n"
        f"import tpufi.ops; {use}"
    )
    assert run_python(other, str(tmp_path)) == "True\n[-1.0, 1.0]\n"


def test_importing_tpufi_imports_no_heavy_optional_package():
    # What TensorFlow itself imports is not ours to judge.
    code = "import sys, tensorflow; before = set(sys.modules); import tpufi; "
    code += "print(*sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
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
    assert took["tpufi"] < took["tensorflow"] / 8


def test_campaigns_are_run_and_read_without_what_only_a_report_needs():
    missing = "dict.fromkeys(('jinja2', 'matplotlib', 'pandas'))"
    code = f"import sys; sys.modules |= {missing}"
    code += "; import tpufi.cli.campaign, tpufi.campaign.status_table"
    subprocess.run([sys.executable, "-c", code], check=True)
    code += "; import tpufi.campaign.report"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stderr.strip().endswith(
        "InputError: a report needs jinja2, which is not installed; run: pip install "
        "'tpufi[report]'"
    )
