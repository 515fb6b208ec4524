# SPDX-License-Identifier: Apache-2.0
"""tpufi draw: the same bytes from any number of processes; one-line errors."""

import hashlib
import json
import subprocess
import sys

import pytest

from tests.cli_test import one_line, run_tool
from tpufi.cli.draw import COMMAND as draw
from tpufi.faults.catalogue import NAMES
from tpufi.faults.csv import read_injection
from tpufi.faults.jsonl import parse_fault
from tpufi.models import workload

BASE = ["--workload", "resnet18", "--seed", "11", "--per-replica", "4"]


def lines(capsys, *options) -> list[str]:
    assert draw.main([*BASE, *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_part_of_a_campaign_is_that_part_of_the_whole(capsys):
    whole = lines(capsys, "--count", "1200")
    assert len(set(whole)) == 1200
    assert lines(capsys, "--count", "30", "--first", "777") == whole[777:807]


def test_every_line_is_a_fault_of_the_workload(capsys):
    table = workload("resnet18").sites(4)
    found = lines(capsys, "--count", "300", "--models", "all", "--steps", "1-48")
    faults = [parse_fault(line) for line in found]
    for fault in faults:
        fault.check(table[table.id_of(fault.site)])
    assert {f.model.partition(":")[0] for f in faults} <= set(NAMES)
    assert len({f.model for f in faults}) > 40


def test_options_choose_what_is_drawn(capsys):
    found = lines(
        capsys, "--count", "60", "--models", "RD=3", "BURST:3=1", "--weights", "macs",
        "--directions", "grad_wt", "--sites", "*conv*", "--lists", "backward",
        "--epochs", "7", "--steps", "3-5", "--durations", "2-9", "--replicas", "4-5",
    )  # fmt: skip
    faults = [parse_fault(line) for line in found]
    assert {f.model for f in faults} == {"RD", "BURST:3"}
    assert all("/grad_wt/" in f.site and "conv" in f.site for f in faults)
    assert {f.epoch for f in faults} == {7} and {f.step for f in faults} == {3, 4, 5}
    assert {f.replica for f in faults} == {4, 5}
    assert {f.duration for f in faults} <= set(range(2, 10))


def test_units_are_drawn_beside_fault_models(capsys, tmp_path):
    units = ("pe:128x128/output=2", "lane", "memory:fc/*")
    found = lines(
        capsys, "--count", "60", "--models", "RD", *units, "--when", "rate=1e-3",
    )  # fmt: skip
    models = {json.loads(line)["model"] for line in found}
    assert models == {
        *("RD", "pe:128x128/output/output rate=0.001", "lane rate=0.001"),
        "memory:fc/* rate=0.001",
    }
    assert found == lines(
        capsys, "--count", "60", "--models", "RD", *units, "--when", "rate=1e-3",
        "--workers", "2",
    )  # fmt: skip
    folder = str(tmp_path / "files")
    options = ("--count", "2", "--csv", folder, "--models", *units)
    assert run_tool(draw, *BASE, *options) == 2
    assert "--csv: injection files are of tensors" in one_line(capsys)


BEAM = """\
title = "made up"
source = "nowhere"
caveats = ["all"]
total = 4
[[class]]
name = "carry"
weight = 3
value = "carry"
[[class]]
name = "small"
weight = 1
value = "bias"
by = 0.5
"""


def test_error_models_are_drawn_by_name_and_from_files(tmp_path, capsys):
    file = tmp_path / "beam.toml"
    file.write_text(BEAM)
    options = ["--count", "80", "--models", "ANATOMY", f"{file}=3"]
    found = lines(capsys, *options)
    assert lines(capsys, *options, "--workers", "2") == found
    faults = [parse_fault(line) for line in found]
    assert {f.model for f in faults} == {"ANATOMY", "beam.toml"}
    mine = {f.operation for f in faults if f.model == "beam.toml"}
    assert mine == {"carry", "multiply"}
    lines(capsys, *options, "--csv", str(tmp_path / "files"))
    file.unlink()
    files = sorted((tmp_path / "files").iterdir())
    table = workload("resnet18").sites(4)
    assert [read_injection(f).fault(table) for f in files] == faults


def test_a_class_changes_no_other_choice(capsys):
    options = ["--count", "40", "--sites", "*/forward/output"]
    flips = lines(capsys, *options, "--models", "RBFLIP")
    drawn = lines(capsys, *options, "--models", "V_ABFT")
    both = zip(map(parse_fault, flips), map(parse_fault, drawn), strict=True)
    for flip, other in both:
        assert (flip.site, flip.elements) == (other.site, other.elements)
        moments = [(f.epoch, f.step, f.replica, f.duration) for f in (flip, other)]
        assert moments[0] == moments[1]


def test_flip_flop_weights_draw_published_models_from_multiplications(capsys):
    found = lines(capsys, "--count", "200", "--weights", "flip_flops")
    layers = {parse_fault(line).site.split("/")[0] for line in found}
    assert all("conv" in n or "downsample" in n or n == "fc" for n in layers)


@pytest.mark.slow
def test_10000_faults_are_the_same_bytes_from_any_processes(tmp_path):
    digests = []
    for name, workers in (("one", "1"), ("again", "1"), ("four", "4")):
        out = tmp_path / name
        subprocess.run(
            [sys.executable, "-m", "tpufi", "draw", "--workload", "effnet",
             "--seed", "5", "--count", "10000", "--workers", workers, "--out", out],
            check=True, env={"PYTHONHASHSEED": str(len(digests)), "PATH": ""},
        )  # fmt: skip
        digests.append(hashlib.sha256(out.read_bytes()).hexdigest())
        assert out.read_bytes().count(b"\n") == 10000
    assert len(set(digests)) == 1
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.slow
def test_a_reader_that_stops_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "tpufi", "draw", *BASE, "--count", "20000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    parse_fault(process.stdout.readline())
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--count"),
        (["--count", "0"], "0 is below 1"),
        (["--count", "1", "--seed", "-1"], "-1 is below 0"),
        (["--count", "1", "--seed", str(1 << 64)], "expected numbers below 2**64"),
        (["--count", "1", "--first", str(1 << 64)], "expected numbers below 2**64"),
        (["--count", "1", "--workload", "vgg"], "is not available; known: "),
        (["--count", "1", "--models", "RDX"], "unknown fault model 'RDX'"),
        (["--count", "1", "--models", "RD=x"], "weight 'x' is not a number"),
        (["--count", "1", "--models", "RD=1/0"], "weight '1/0' is not a number"),
        (["--count", "1", "--models", "RD=0"], "weight 0 of RD"),
        (["--count", "1", "--models", "RD=-1"], "weight -1 of RD"),
        (["--count", "1", "--models", "RD", "published"], "RD twice"),
        (["--count", "1", "--models", "RD=2", "--weights", "flip_flops"], "drop ="),
        (["--count", "1", "--models", "NAN", "--weights", "flip_flops"], "NAN has no"),
        (["--count", "1", "--weights", "size"], "invalid choice: 'size'"),
        (["--count", "1", "--sites", "conv9/*"], "matches none of the"),
        (["--count", "1", "--directions", "up"], "unknown 'up'"),
        (["--count", "1", "--steps", "5-3"], "'5-3' is no range"),
        (["--count", "1", "--steps", "a-b"], "'a' is not an integer"),
        (["--count", "1", "--models", "all"], "STALE needs the step before"),
        (["--count", "1", "--workers", "0"], "0 is below 1"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line_and_nothing_is_written(
    arguments, message, capsys, tmp_path
):
    out = tmp_path / "faults.jsonl"
    assert run_tool(draw, *BASE, "--out", out, *arguments) == 2
    assert message in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(capsys, tmp_path):
    out = tmp_path / "nowhere" / "faults.jsonl"
    assert run_tool(draw, *BASE, "--count", "1", "--out", out) == 2
    assert "cannot write: No such file or directory" in one_line(capsys)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    out = tmp_path / "faults.jsonl"
    out.write_text("old")
    assert draw.main([*BASE, "--count", "3", "--out", str(out)]) == 0
    assert out.read_text().count("\n") == 3
    assert list(tmp_path.iterdir()) == [out]
