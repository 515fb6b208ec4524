# SPDX-License-Identifier: Apache-2.0
"""The rooms of the package: what may import what, no circles, no file too long."""

import ast
import pathlib
from collections.abc import Sequence

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "tpufi"
LONGEST = 500

# What needs no fault: errors, files, text, numbers, and the compiled libraries.
GROUND = frozenset(
    "_library _toml element errors extras file_name integers io messages "
    "own_process progress random statistics text_table untrusted user_file "
    "value_ranges when when_text yaml_reader".split()
)
# Sites, faults in the device's form, and the ops that inject them.
DEVICE = GROUND | {
    *(
        "descriptor",
        "fault",
        "faulty_bits",
        "gate",
        "gradients",
        "ops",
        "site_table",
        "units",
    ),
    "stale",
}
# What computes: layers with their sites, optimisers, and models made of them.
COMPUTED = DEVICE | {"layers", "optimizers", "workload", "models"}
DRAWN = COMPUTED | {"data", "faults", "outcomes"}
TRAINED = DRAWN | {"training"}
GOLDEN = TRAINED | {"golden"}
FOLLOWED = GOLDEN | {"experiment"}
MAY_IMPORT = {
    **dict.fromkeys(GROUND, GROUND),
    **dict.fromkeys(DEVICE - GROUND, DEVICE),
    **dict.fromkeys(COMPUTED - DEVICE, COMPUTED),
    **dict.fromkeys(DRAWN - COMPUTED, DRAWN),
    "training": TRAINED,
    "golden": GOLDEN,
    "detect": GOLDEN,
    "experiment": FOLLOWED | {"detect"},
    # Any program of TensorFlow; it knows nothing of workloads and their training.
    "instrument": DEVICE | {"layers", "faults", "outcomes", "training"},
    "tpu": FOLLOWED | {"detect"},
    "campaign": FOLLOWED | {"detect", "instrument"},
    "show": FOLLOWED | {"campaign"},
    "selftest": FOLLOWED,
    # What only users of one other tool need; the core imports none of it.
    "contrib.isca23": FOLLOWED | {"campaign"},
    "contrib.tensorfi": FOLLOWED | {"instrument"},
    "contrib.__init__": frozenset(),
}
TOP = {"cli", "__init__", "__main__"}  # These may import everything.
NAMES_CONTRIB = {
    "instrument/__init__.py",  # Tells what reads a configuration of TensorFI.
    "cli/compare_gradients.py", "cli/convert_config.py", "cli/import_checkpoint.py",
    "cli/reproduce.py",
}  # fmt: skip


def modules() -> list[pathlib.Path]:
    """Return the sources of the package and of contrib, which is a link in it."""
    found = {*PACKAGE.rglob("*.py"), *(PACKAGE / "contrib").rglob("*.py")}
    return sorted(p for p in found if p.relative_to(PACKAGE).parts[0] != "models")


def room(path: pathlib.Path) -> str:
    return _room(path.relative_to(PACKAGE).with_suffix("").parts)


def _room(parts: Sequence[str]) -> str:
    return ".".join(parts[: 2 if parts[0] == "contrib" else 1])


def imported(path: pathlib.Path) -> set[str]:
    """Return the rooms that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "tpufi":
                names = [f"tpufi.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "tpufi" and rest:
                found.add(_room(rest.split(".")))
    return found - {room(path), "__version__"}


@pytest.mark.parametrize("name", sorted({room(p) for p in modules()} - TOP))
def test_a_room_imports_only_what_lies_below_it(name):
    assert name in MAY_IMPORT, f"say in MAY_IMPORT what {name} may import"
    for path in modules():
        if room(path) == name:
            wrong = imported(path) - MAY_IMPORT[name]
            assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_the_rooms_have_no_circle():
    edges = {name: set() for name in {room(p) for p in modules()} - TOP}
    for path in modules():
        if room(path) in edges:
            edges[room(path)] |= imported(path) & edges.keys()
    order: list[str] = []
    while free := sorted(n for n in edges if n not in order and edges[n] <= {*order}):
        order += free
    assert sorted(order) == sorted(edges), f"circle: {sorted(edges.keys() - {*order})}"


def test_only_commands_name_contrib():
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if "tpufi.contrib" in path.read_text() and not room(path).startswith("contrib.")
    }
    assert naming == NAMES_CONTRIB


def test_no_circle_is_hidden_from_the_interpreter():
    for path in modules():
        assert "TYPE_CHECKING" not in path.read_text(), path


def test_no_file_is_longer_than_a_concept():
    sources = [*modules(), *ROOT.glob("tools/**/*.py"), *ROOT.glob("models/*.py")]
    sources += [*ROOT.glob("cc/**/*.cc"), *ROOT.glob("cc/**/*.h")]
    long = {p.name: len(p.read_text().splitlines()) for p in sources}
    assert {name: lines for name, lines in long.items() if lines > LONGEST} == {}
