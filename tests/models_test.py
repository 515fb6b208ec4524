# SPDX-License-Identifier: Apache-2.0
"""Workloads and injection files fit together."""

import pathlib

import pytest

from tpufi.errors import InputError
from tpufi.faults.csv import read_injection
from tpufi.faults.injection_file import WORKLOADS as NAMED
from tpufi.models import WORKLOADS, workload

PUBLISHED = sorted(pathlib.Path(__file__).parents[1].glob("injections/*/*.csv"))


def test_an_injection_file_can_name_every_workload_and_no_other():
    assert set(NAMED) == set(WORKLOADS)


def test_all_eleven_published_injections_name_elements_of_their_workload():
    assert len(PUBLISHED) == 11
    for path in PUBLISHED:
        injection = read_injection(path, lambda name: workload(name).sites())
        assert injection.model == path.parent.name


@pytest.mark.parametrize("name", WORKLOADS)
def test_weights_have_names_of_their_own(name):
    work = WORKLOADS[name]
    names = [w.name for w in (*work.parameters, *work.statistics)]
    assert len(names) == len(set(names)) > 0


def test_an_unknown_workload_lists_the_known_ones():
    with pytest.raises(InputError, match="'vgg16' is not available; known: densenet"):
        workload("vgg16")
