# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING's recipes work when they are followed, in a copy of the tree."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pybind11
import pytest
import tensorflow as tf

from tests.docs_blocks import ROOT
from tests.recipes import OPERATION, RECIPES, Recipe
from tpufi._library import host

FOLDERS = ("cc", "contrib", "docs", "injections", "models", "python", "tests", "tools")
pytestmark = pytest.mark.slow


def follow(recipe: Recipe, copy: pathlib.Path) -> None:
    """Copy the tree and change it as a recipe says."""
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, copy)
    for name, text in recipe.new.items():
        assert not (copy / name).exists(), name
        (copy / name).write_text(text)
    for name, edits in {**recipe.edits, **recipe.rows}.items():
        text = (copy / name).read_text()
        for old, new in edits:
            assert text.count(old) == 1, f"{name}: {old!r} is there {text.count(old)} x"
            text = text.replace(old, new)
        (copy / name).write_text(text)


def check(recipe: Recipe, copy: pathlib.Path, libraries: pathlib.Path) -> None:
    """Run the tests that a recipe names, in its copy."""
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*tests, *recipe.checks],
        cwd=copy, capture_output=True, text=True, check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(copy / "python"),
            "TPUFI_LIBRARY": str(libraries),
        },
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert " passed" in run.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_touches_few_places_and_works(name, tmp_path):
    recipe = RECIPES[name]
    assert len(recipe.places) <= recipe.most
    follow(recipe, tmp_path)
    check(recipe, tmp_path, pathlib.Path(host.__file__).parent)


def compile_libraries(root: pathlib.Path, out: pathlib.Path) -> None:
    """Compile both libraries as BUILD does, without optimisation, for it is quicker."""
    flags = ["-O0", "-DNDEBUG", "-fPIC", f"-I{root}", "-DTPUFI_TF_VERSION="
             f'"{host.built_for_tensorflow}"']  # fmt: skip
    python = [f"-I{sysconfig.get_paths()['include']}", f"-I{pybind11.get_include()}"]
    include = [f.replace("-I", "-isystem") for f in tf.sysconfig.get_compile_flags()]
    library = tf.sysconfig.get_lib()
    linked = [f"{library}/libtensorflow_{x}" for x in ("cc.so.2", "framework.so.2")]

    def run(*arguments: str) -> None:
        made = subprocess.run(["g++", *arguments], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr[-3000:]

    def object_of(source: pathlib.Path) -> str:
        name = str(out / f"{source.stem}.o")
        run(*flags, *include, "-c", str(source), "-o", name)
        return name

    bindings = str(root / "cc" / "bindings" / "bindings.cc")
    run(*flags, *python, "-std=c++17", "-fvisibility=hidden", "-shared", bindings,
        "-o", str(out / "_tpufi.so"))  # fmt: skip
    sources = sorted((root / "cc" / "ops").glob("*.cc"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(object_of, sources))
    run("-shared", *objects, *linked, "-o", str(out / "_tpufi_ops.so"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_an_operation_of_the_device_touches_few_places_and_works(tmp_path):
    assert len(OPERATION.places) <= OPERATION.most
    copy, out = tmp_path / "copy", tmp_path / "out"
    copy.mkdir(), out.mkdir()
    follow(OPERATION, copy)
    compile_libraries(copy, out)
    check(OPERATION, copy, out)
