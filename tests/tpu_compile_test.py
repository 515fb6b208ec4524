# SPDX-License-Identifier: Apache-2.0
"""A small step compiled by the TPU compiler, where it is installed."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from tests.tiny_workload import TINY
from tpufi.errors import InputError
from tpufi.layers.lowering import LEAN
from tpufi.models import WORKLOADS
from tpufi.tpu.comparison import compare
from tpufi.tpu.compiler import compile_for, interpreter, versions
from tpufi.tpu.exported_step import StepVariant, export_step, site_kinds
from tpufi.tpu.page import add_result, first_sites, has_result
from tpufi.tpu.request import Request, described
from tpufi.training.grouped import GROUPED

PER_REPLICA = 8
RESULTS = pathlib.Path("docs/results")


def _compiler() -> None:
    """Skip the test if there is no compiler."""
    try:
        interpreter()
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_step_with_all_sites_compiles_for_a_tpu_without_host_traffic(tmp_path):
    _compiler()
    request = Request(TINY, "v5e:2x2", PER_REPLICA, LEAN)
    result = compare(request, save=tmp_path)
    assert result["compiles"]
    assert result["host_transfers"] == 0
    assert result["sites"] == len(TINY.sites())
    clean, armed = (result["programs"][name] for name in ("clean", "armed"))
    assert armed["cycles"] > clean["cycles"] > 0
    assert armed["conditionals"] == clean["conditionals"]
    # What is left of a site is fused: fewer kernels more than there are sites.
    assert armed["fusions"] - clean["fusions"] < result["sites"]
    text = (tmp_path / "tiny_armed.txt").read_text()
    assert text.startswith("HloModule")
    add_result(result, tmp_path)
    page = (tmp_path / "tpu.md").read_text()
    assert f"{result['ratio']:.3f}" in page
    assert result["versions"]["libtpu"] in page


@pytest.mark.slow
def test_a_step_with_branches_costs_no_more_than_a_clean_one_without_a_fault(tmp_path):
    _compiler()
    request = Request(TINY, "v5e:2x2", PER_REPLICA, GROUPED, groups=2)
    result = compare(request)
    assert [branch["sites"] for branch in result["branches"]][0] == 0
    assert sum(branch["sites"] for branch in result["branches"]) == result["sites"]
    assert result["host_transfers"] == 0
    assert result["programs"]["armed"]["conditionals"] == 1
    assert result["disarmed_ratio"] == result["branches"][0]["ratio"] < 1.05
    assert result["ratio"] > result["mean_ratio"] > result["disarmed_ratio"]
    assert not has_result(result, tmp_path)
    add_result(result, tmp_path)
    assert has_result(described(request) | {"versions": versions()}, tmp_path)
    page = (tmp_path / "tpu.md").read_text()
    assert f"{result['branches'][1]['cycles']:,}" in page


@pytest.mark.slow
def test_branches_compiled_apart_cost_what_they_cost_in_one_program(tmp_path):
    _compiler()
    whole = compare(Request(TINY, "v5e:2x2", PER_REPLICA, GROUPED, groups=[0, 60]))
    apart = Request(
        TINY, "v5e:2x2", PER_REPLICA, GROUPED, groups=[0, 60], apart=tmp_path / "apart"
    )
    result = compare(apart, save=tmp_path / "text")
    assert len(list((tmp_path / "text").glob("tiny_armed_*-*.txt"))) == 2
    assert result["host_transfers"] == 0
    assert result["disarmed_ratio"] is None
    # What is compared is compiled in the same way.
    programs = result["programs"].values()
    assert [program["code_bytes"] for program in programs] == [None, None]
    assert result["first_sites"] == [0, 60]
    for one, other in zip(result["branches"], whole["branches"][1:], strict=True):
        assert one["sites"] == other["sites"]
        assert abs(one["cycles"] / other["cycles"] - 1) < 0.05
    add_result(result, tmp_path)
    assert " 2 apart |" in (tmp_path / "tpu.md").read_text()
    cut = compare(dataclasses.replace(apart, at_most=result["ratio"] - 1e-3))
    assert len(cut["branches"]) > 2
    assert cut["ratio"] < result["ratio"]
    assert sum(branch["sites"] for branch in cut["branches"]) == cut["sites"]


@pytest.mark.slow
def test_the_step_of_eight_chips_sums_over_all_of_them():
    _compiler()
    module = export_step(TINY, PER_REPLICA, StepVariant("armed"), replicas=8)
    compiled = compile_for(module, "v5e:2x4", 8)
    assert "all-reduce" in compiled.text
    assert "replica_groups={{0,1,2,3,4,5,6,7}}" in compiled.text.replace(" ", "")
    assert compiled.cost.host_transfers == ()


@pytest.mark.slow
def test_an_unknown_topology_is_one_line():
    _compiler()
    module = export_step(TINY, 1, StepVariant("clean", None))
    with pytest.raises(InputError, match="refuses topology 'v99:2x2'") as refused:
        compile_for(module, "v99:2x2")
    assert "\n" not in str(refused.value)


def test_a_missing_compiler_names_the_command_that_installs_it(tmp_path):
    with pytest.raises(InputError, match=r"`\./dev tpu` makes that environment"):
        compile_for(b"", "v5e:2x2", environment=tmp_path)


def test_a_compiler_that_is_killed_says_that_memory_may_lack(tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nkill -9 $$\n")
    python.chmod(0o755)
    with pytest.raises(InputError, match="signal 9; the system may lack memory"):
        compile_for(b"", "v5e:2x2", environment=tmp_path)


def test_every_kind_of_site_is_counted():
    kinds = site_kinds(TINY)
    assert sum(kinds.values()) == len(TINY.sites())
    assert kinds["grad_in/weight"] == 5


def test_a_foreign_store_of_results_is_refused(tmp_path):
    (tmp_path / "tpu.json").write_text(json.dumps({"not": "results"}))
    with pytest.raises(InputError, match="remove it to start anew"):
        add_result({name: "" for name in ("model", "groups")}, tmp_path)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_page_has_every_workload_as_it_is_now_within_the_bounds(name):
    """A change of its sites asks for new figures."""
    rows = json.loads((RESULTS / "tpu.json").read_text())
    grouped = [r for r in rows if (r["model"], r["lowering"]) == (name, GROUPED)]
    assert grouped
    for row in grouped:
        assert row["sites"] == len(WORKLOADS[name].sites(row["per_replica"]))
        assert row["host_transfers"] == 0
        assert row["ratio"] <= 1.06
        groups = first_sites(row, row["sites"], RESULTS)
        sites = [branch["sites"] for branch in row["branches"] if branch["sites"]]
        assert groups == [sum(sites[:i]) for i in range(len(sites))]


def test_groups_of_a_step_with_other_sites_or_of_an_unknown_step_are_not_taken():
    (row, *_) = json.loads((RESULTS / "tpu.json").read_text())
    assert first_sites(row, row["sites"] + 1, RESULTS) is None
    assert first_sites(row | {"topology": "v9:2x2"}, row["sites"], RESULTS) is None


@pytest.mark.parametrize(
    "options, says",
    [
        (["--model", "resnet19"], "resnet19"),
        (["--model", "decoder", "--at-most", "1.03"], "give --apart and a folder"),
        (["--model", "decoder", "--at-most", "0"], "--at-most"),
        (["--model", "decoder", "--groups", "0,x"], "'x' is not an integer"),
        (
            ["--model", "decoder", "--apart", "a", "--lowering", "lean"],
            "only grouped has branches",
        ),
    ],
)
def test_bad_options_are_refused_before_anything_is_compiled(options, says):
    run = subprocess.run(
        [sys.executable, "tools/tpu_compile.py", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert len(run.stderr.strip().splitlines()) == 1
    assert says in run.stderr
