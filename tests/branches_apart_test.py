# SPDX-License-Identifier: Apache-2.0
"""Branches that are compiled apart leave a file each and are compiled once."""

import os

import pytest

from tpufi.errors import InputError
from tpufi.tpu.branches_apart import compiled_apart
from tpufi.tpu.own_process import in_a_process_of_its_own

GROUPS = [[0, 1, 2], [3], [4, 5]]
STEP = {"model": "tiny", "versions": {"libtpu": "1"}}


class _Compiler:
    """Counts what it does; a module is the sites in it."""

    def __init__(self, stop_at: int | None = None):
        self.exported, self.compiled, self._stop_at = [], [], stop_at

    def export(self, ids: list[int]) -> bytes:
        self.exported.append(ids[0])
        return bytes(ids)

    def compile(self, ids: list[int], module: bytes) -> dict:
        assert module == bytes(ids)
        if module[0] == self._stop_at:
            raise InputError("stopped")
        self.compiled.append(module[0])
        return {"cycles": 100 + sum(module), "host_transfers": 0}

    def run(self, folder, step=None, cut=lambda ids, figures: ()) -> list[dict]:
        step = step or STEP
        found = compiled_apart(GROUPS, folder, step, self.export, self.compile, cut)
        self.ids, figures = zip(*found, strict=True)
        return list(figures)


def test_every_branch_is_compiled_and_told_in_order(tmp_path):
    compiler = _Compiler()
    found = compiler.run(tmp_path / "new")
    assert [one["cycles"] for one in found] == [103, 103, 109]
    assert compiler.exported == compiler.compiled == [0, 3, 4]
    assert len(list((tmp_path / "new").iterdir())) == len(GROUPS)


def test_a_second_run_asks_the_compiler_for_nothing(tmp_path):
    found = _Compiler().run(tmp_path)
    again = _Compiler()
    assert again.run(tmp_path) == found
    assert again.exported == []


def test_a_run_that_was_stopped_goes_on(tmp_path):
    with pytest.raises(InputError, match="stopped"):
        _Compiler(stop_at=4).run(tmp_path)
    rest = _Compiler()
    assert [one["cycles"] for one in rest.run(tmp_path)] == [103, 103, 109]
    assert rest.exported == rest.compiled == [4]


def test_another_version_of_the_compiler_compiles_anew(tmp_path):
    _Compiler().run(tmp_path)
    other = _Compiler()
    other.run(tmp_path, STEP | {"versions": {"libtpu": "2"}})
    assert other.compiled == [0, 3, 4]


def test_a_branch_that_is_cut_is_compiled_in_parts(tmp_path):
    def cut(ids, figures):
        return [[i] for i in ids] if len(ids) > 1 and figures["cycles"] > 103 else ()

    compiler = _Compiler()
    found = compiler.run(tmp_path, cut=cut)
    assert [one["cycles"] for one in found] == [103, 103, 104, 105]
    assert list(compiler.ids) == [[0, 1, 2], [3], [4], [5]]
    again = _Compiler()
    assert again.run(tmp_path, cut=cut) == found
    assert again.exported == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cycles": 1}'])
def test_a_damaged_file_is_named(tmp_path, text):
    _Compiler().run(tmp_path)
    path = next(tmp_path.glob("tiny_3-3_*.json"))
    path.write_text(text)
    with pytest.raises(InputError, match=f"{path.name} is not the figures of a branch"):
        _Compiler().run(tmp_path)


def test_what_another_process_returns_comes_back():
    assert in_a_process_of_its_own(bytes, [1, 2, 3]) == b"\x01\x02\x03"


def test_what_another_process_refuses_is_told():
    with pytest.raises(InputError, match="nothing here"):
        in_a_process_of_its_own(_refuse)


def test_a_process_that_is_killed_is_one_line():
    with pytest.raises(InputError, match="ended by the system, which may lack memory"):
        in_a_process_of_its_own(os._exit, 9)


def _refuse() -> bytes:
    raise InputError("nothing here")
