# SPDX-License-Identifier: Apache-2.0
"""A small step compiled by the TPU compiler, where it is installed."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.tiny_workload import TINY
from tpufi.descriptor import disarmed
from tpufi.detect.catalogue import named_detectors
from tpufi.errors import InputError
from tpufi.faults.catalogue import NAMES
from tpufi.models import WORKLOADS
from tpufi.tpu.comparison import compare, with_detectors, with_unit
from tpufi.tpu.compiler import compile_for, interpreter, versions
from tpufi.tpu.export import export_step, export_watched_step
from tpufi.tpu.page import add_result, detector_prices, page, result_of
from tpufi.tpu.request import Request, described
from tpufi.units import ProcessingElement

PER_REPLICA = 8
RESULTS = pathlib.Path("docs/results")


def _compiler() -> None:
    """Skip the test if there is no compiler."""
    try:
        interpreter()
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_both_programs_compile_for_a_tpu_without_host_traffic(tmp_path):
    _compiler()
    request = Request(TINY, "v5e:2x2", PER_REPLICA)
    result = compare(request, save=tmp_path)
    assert result["host_transfers"] == 0
    assert result["fault_models_accepted"] == len(NAMES) == 46
    assert result["sites"] == result["armed_sites"] == len(TINY.sites())
    clean, armed = (result["programs"][name] for name in ("clean", "armed"))
    assert armed["cycles"] > clean["cycles"] > 0
    assert clean["conditionals"] == 0 < armed["conditionals"]
    ratio = armed["cycles"] / clean["cycles"]
    assert result["experiment_100"] == pytest.approx((99 + 2 * ratio) / 100, abs=1e-4)
    assert result["experiment_1000"] < result["experiment_100"]
    assert (tmp_path / "tiny_armed.txt").read_text().startswith("HloModule")
    assert result_of(result, tmp_path) is None
    add_result(result, tmp_path)
    step = described(request) | {"versions": versions()}
    assert result_of(step, tmp_path) == json.loads(json.dumps(result))
    unit = ProcessingElement(8, 8, "output", "output")
    result = with_unit(result, request, unit)
    broken = result["programs"]["unit pe:8x8/output/output"]
    assert result["host_transfers"] == 0 < broken["conditionals"]
    assert clean["cycles"] < broken["cycles"] < broken["cycles_with_branches"]
    result = with_detectors(result, request, "sentinel", named_detectors("sentinel"))
    watched = result["programs"]["watched sentinel"]
    assert result["host_transfers"] == 0 == watched["conditionals"]
    assert clean["cycles"] < watched["cycles"]
    add_result(result, tmp_path)
    (prices,) = detector_prices(tmp_path).values()
    assert prices == {"sentinel": watched["cycles"] / clean["cycles"]}
    text = (tmp_path / "tpu.md").read_text()
    assert f"| sentinel | {prices['sentinel']:.4f} |" in text
    assert f"{armed['cycles']:,}" in text
    assert f"{broken['cycles_with_branches']:,}" in text
    assert result["versions"]["libtpu"] in text


@pytest.mark.slow
def test_the_step_of_eight_chips_sums_over_all_of_them():
    _compiler()
    module = export_step(TINY, PER_REPLICA, 8, fault=disarmed())
    compiled = compile_for(module, "v5e:2x4", 8)
    assert "all-reduce" in compiled.text
    assert "replica_groups={{0,1,2,3,4,5,6,7}}" in compiled.text.replace(" ", "")
    assert compiled.cost.host_transfers == ()


@pytest.mark.slow
def test_detectors_that_compare_replicas_sum_over_eight_chips():
    _compiler()
    module = export_watched_step(TINY, PER_REPLICA, 8, detectors=named_detectors("all"))
    compiled = compile_for(module, "v5e:2x4", 8)
    assert "all-reduce" in compiled.text
    assert compiled.cost.host_transfers == ()


@pytest.mark.slow
def test_an_unknown_topology_is_one_line():
    _compiler()
    module = export_step(TINY, 1, fault=None)
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


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_of_many_sites_is_armed_at_those_of_the_published_lists(name):
    request = Request(WORKLOADS[name], "v5e:2x2", 128)
    table = WORKLOADS[name].sites(128)
    if len(table) <= 1500:
        assert request.sites is None
        return
    assert len(request.sites) == len(set(request.sites)) < 1500
    assert all(site in table for site in request.sites)


def test_a_foreign_store_of_results_is_refused(tmp_path):
    (tmp_path / "tpu.json").write_text(json.dumps({"not": "results"}))
    with pytest.raises(InputError, match="remove it to begin again"):
        add_result({"model": ""}, tmp_path)


def _results() -> list[dict]:
    return json.loads((RESULTS / "tpu.json").read_text())


def test_a_result_in_place_of_another_keeps_programs_of_the_same_clean_step(tmp_path):
    decoder, *_ = (r for r in _results() if len(r["programs"]) > 2)
    both = {name: decoder["programs"][name] for name in ("clean", "armed")}
    add_result(decoder, tmp_path)
    add_result(decoder | {"ratio": 9.5, "programs": both}, tmp_path)
    (stored,) = json.loads((tmp_path / "tpu.json").read_text())
    assert stored == decoder | {"ratio": 9.5}
    assert list(stored["programs"]) == list(decoder["programs"])
    slower = both["clean"] | {"cycles": both["clean"]["cycles"] + 1}
    add_result(decoder | {"programs": both | {"clean": slower}}, tmp_path)
    (stored,) = json.loads((tmp_path / "tpu.json").read_text())
    assert stored["programs"] == both | {"clean": slower}


def test_the_page_shows_workloads_as_they_are_now():
    """A change of its sites asks for new figures."""
    for row in _results():
        assert row["sites"] == len(WORKLOADS[row["model"]].sites(row["per_replica"]))
        assert row["host_transfers"] == 0
        assert row["fault_models_accepted"] == len(NAMES)
    shown = (RESULTS / "tpu.md").read_text().split("\nVersions:")[0]
    assert shown == page(_results()).split("\nVersions:")[0]


def test_the_page_has_every_workload_and_two_on_each_chip():
    rows = {(r["model"], r["topology"], r["dtype"], r["replicas"]) for r in _results()}
    assert {(name, "v5e:2x2", "float32", 1) for name in WORKLOADS} < rows
    assert ("decoder", "v5e:2x2", "bfloat16", 1) in rows
    for name in ("decoder", "resnet18"):
        for topology, chips in (("v4:2x2x1", 1), ("v6e:2x2", 1), ("v5e:2x4", 8)):
            assert (name, topology, "float32", chips) in rows


def test_the_page_names_the_worst_step_of_each_goal():
    decoder, *others = _results()
    heavy = {**decoder["programs"]["armed"], "compiler_bytes": 13 << 30}
    programs = {**decoder["programs"], "armed": heavy}
    worst = {**decoder, "model": "mine", "experiment_100": 2.0, "programs": programs}
    assert "| experiment of 100 steps | 1.06 | 0 of 1 | 2: mine float32" in page(
        [worst]
    )
    rest = [
        {**r, "experiment_100": 1.06, "programs": decoder["programs"]} for r in others
    ]
    text = page([worst, *rest])
    assert f"| 1.06 | {len(rest)} of {len(rest) + 1} | 2: mine float32" in text
    assert f"| 12 | {len(rest)} of {len(rest) + 1} | 13: mine float32" in text


@pytest.mark.parametrize(
    "options, says",
    [
        (["--model", "resnet19"], "resnet19"),
        (["--model", "decoder", "--replicas", "0"], "--replicas"),
        (["--model", "decoder", "--unit", "pe:8x8/sideways"], "sideways"),
        (["--model", "decoder", "--detectors", "nan"], "detector 'nan'; known: all"),
        (["--model", "decoder", "--lowering", "lean"], "--lowering"),
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
