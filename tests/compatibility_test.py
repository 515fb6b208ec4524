# SPDX-License-Identifier: Apache-2.0
"""docs/compatibility.md, CITATION.cff and the templates agree with the sources."""

import datetime
import pathlib
import re

import pytest
import yaml

import tpufi
from tpufi.extras import TENSORFLOW

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| (\w+) \| ([^|]+) \| ([\d.]+) \| `([\w.-]+)` \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "compatibility.md").read_text())
DISTRIBUTION = {"TensorFlow": "tensorflow_cpu", "Keras": "keras"}


def read(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_table_names_what_matters():
    assert {"Python", "TensorFlow", "Keras", "jax", "libtpu"} <= {r[0] for r in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_pinned_version_is_that_of_its_file(row):
    what, works_with, tested, file = row
    if file.endswith(".lock"):
        name = DISTRIBUTION.get(what, what)
        assert f"\n{name}=={tested}\n" in read(file)
    named = re.findall(r"\d[\d.]*", works_with)
    assert not named or any(f"{tested}.".startswith(f"{n}.") for n in named)


def test_python_versions_are_those_of_the_package_and_its_wheels():
    (works_with,) = [r[1] for r in ROWS if r[0] == "Python"]
    versions = works_with.split(", ")
    minors = [int(version.partition(".")[2]) for version in versions]
    project = read("pyproject.toml")
    assert f'requires-python = ">=3.{minors[0]},<3.{minors[-1] + 1}"' in project
    assert re.findall(r"Python :: (3\.\d+)", project) == versions
    built = re.search(
        r"_WHEEL_MINORS = (\[.*\])", read("third_party/python/python_headers.bzl")
    )
    assert yaml.safe_load(built[1]) == [str(minor) for minor in minors]


def test_tensorflow_versions_are_those_that_build_and_import_take():
    (works_with,) = [r[1] for r in ROWS if r[0] == "TensorFlow"]
    assert tuple(works_with.split(", ")) == TENSORFLOW
    accepted = ", ".join(f'"{minor}."' for minor in TENSORFLOW)
    assert f"({accepted})" in read("third_party/tensorflow/tensorflow_pip.bzl")
    extras = re.findall(
        r'= \["tensorflow[^"]*==([\d.]+)\.\*"\]', read("pyproject.toml")
    )
    assert len(extras) == 4
    assert set(extras) == {TENSORFLOW[0]}


def test_the_citation_has_what_the_format_requires():
    # Citation File Format 1.2.0: required keys, and the types of those we use.
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == tpufi.__version__
    assert citation["license"] == "Apache-2.0"
    for key in ("message", "title"):
        assert isinstance(citation[key], str) and citation[key]
    assert all(author["name"] for author in citation["authors"])
    assert isinstance(
        citation.get("date-released", datetime.date.today()), datetime.date
    )
    known = {"cff-version", "message", "title", "type", "version", "license", "authors"}
    assert citation.keys() <= known | {"keywords", "abstract", "date-released"}


@pytest.mark.parametrize("name", ["defect", "proposal"])
def test_an_issue_form_has_what_a_form_requires(name):
    form = yaml.safe_load(read(f".github/ISSUE_TEMPLATE/{name}.yml"))
    assert {"name", "description", "body"} <= form.keys()
    ids = [entry["id"] for entry in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(entry["type"] == "textarea" for entry in form["body"])
    assert all(entry["attributes"]["label"] for entry in form["body"])
