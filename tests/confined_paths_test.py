# SPDX-License-Identifier: Apache-2.0
"""Names in files and calls do not lead out of the folder that is written to."""

import dataclasses
import pathlib

import pytest

from tests.campaign_files import PLAN, write_plan
from tests.campaign_report_files import make_row, write_campaign
from tests.injection_errors_test import replaced, sites_of
from tpufi.campaign.plan_file import read_plan
from tpufi.cli.campaign_report import COMMAND as report
from tpufi.contrib.tensorfi.fault_log import FaultLog
from tpufi.errors import InputError
from tpufi.experiment.record import ReplayRecord
from tpufi.faults.csv import read_injection
from tpufi.file_name import check_file_name

LEADING_OUT = ("../out", "/tmp/out", "a/b", "..\\out", "a\0b", "a\nb", "x" * 300)


def everything(folder: pathlib.Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_name_that_leads_out_is_refused_before_anything_is_written(name, tmp_path):
    folder = tmp_path / "in"
    for write in (
        lambda: check_file_name(name, "injection"),
        lambda: FaultLog(folder, name, text=True),
        lambda: ReplayRecord(folder, name, 1, 1),
    ):
        with pytest.raises(InputError, match="cannot be part of a file name") as error:
            write()
        assert len(str(error.value).splitlines()) == 1
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("key", ["model", "target_layer", "fmodel", "stage"])
def test_an_injection_file_names_known_things_only(key, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(replaced(f"{key},../../etc/passwd"))
    with pytest.raises(InputError):
        read_injection(path, sites_of)
    assert list(everything(tmp_path)) == ["x.csv"]


def test_a_campaign_file_is_only_read(tmp_path):
    write_plan(tmp_path)
    before = everything(tmp_path)
    for old, new in (
        ("workload: resnet18", "workload: ../../resnet18"),
        ("golden: golden", "golden: ../../../nowhere"),
        ("golden: golden", "golden: /nowhere"),
        ("golden: golden", "golden: !!python/object/apply:os.mkdir [out]"),
    ):
        assert old in PLAN
        text = PLAN.replace(old, new)
        (tmp_path / "campaign.yaml").write_text(text)
        try:
            read_plan(tmp_path / "campaign.yaml")
        except InputError as error:
            assert len(str(error).splitlines()) == 1
    (tmp_path / "campaign.yaml").write_text(PLAN)
    assert everything(tmp_path) == before


def test_a_report_writes_its_own_names_whatever_the_journal_has_in_it(tmp_path):
    hostile = "../../../out"
    rows = [
        dataclasses.replace(
            row,
            fault=dataclasses.replace(
                row.fault, model=hostile, layer=hostile, operand="/tmp/out"
            ),
        )
        for row in map(make_row, range(60))
    ]
    deep = tmp_path / "deep"
    deep.mkdir()
    campaign = write_campaign(deep, rows)
    before = everything(tmp_path)
    out = deep / "report"
    assert report.main([str(campaign), "--out", str(out), "--rows"]) == 0
    new = everything(tmp_path).keys() - before.keys()
    assert {"deep/report/report.html", "deep/report/report.md"} <= new
    assert all(name.startswith("deep/report") for name in new)
    assert not {"out", "etc"} & {pathlib.Path(name).stem for name in new}
