# SPDX-License-Identifier: Apache-2.0
"""Which injections the reproduction replays, and what their names promise."""

import pathlib

import pytest

from tpufi.contrib.isca23.reproduction.plan import Plan, cases, chosen, plan_of
from tpufi.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_all_published_files_have_a_case():
    found = cases(ROOT / "injections", 128)
    assert len(found) == 11
    assert len({c.expected for c in found}) == 5
    assert [
        c.label for c in chosen(found, ["resnet18", "effnet/inj_slow_degrade"])
    ] == [
        "resnet18/inj_immediate_infs_nans",
        "resnet18/inj_masked",
        "resnet18/inj_slow_degrade",
        "effnet/inj_slow_degrade",
    ]
    with pytest.raises(InputError, match="'resnet19' is no published injection"):
        chosen(found, ["resnet19"])


def test_files_that_promise_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match="no injection files"):
        cases(tmp_path, 128)
    (tmp_path / "resnet18").mkdir()
    (tmp_path / "resnet18" / "inj_fine.csv").touch()
    with pytest.raises(InputError, match="inj_fine.csv: the name promises no known"):
        cases(tmp_path, 128)


def test_a_workload_has_its_scale_and_options_replace_parts_of_it():
    assert plan_of("effnet") == Plan()
    assert plan_of("resnet18").approach_steps < Plan().approach_steps
    changed = plan_of("resnet18", horizon=3, warm=None)
    assert (changed.horizon, changed.warm) == (3, plan_of("resnet18").warm)
