# SPDX-License-Identifier: Apache-2.0
"""The selftest succeeds here, and says what is wrong where something is."""

import pytest

import tpufi
from tpufi.commands import selftest
from tpufi.selftest import libraries, replay
from tpufi.selftest import ops as selftest_ops
from tpufi.selftest.check import Check, CheckFailed, run_checks


def test_libraries_and_ops_pass(capsys):
    assert selftest.main(["--fast"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", "libraries"],
        ["ok", "ops"],
    ]
    assert lines[-1].startswith("works, ")


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_one_wrong_bit_in_one_mode_is_found(mode, monkeypatch):
    right = selftest_ops._in_mode

    def wrong(asked):
        function = right(asked)

        def run(*arguments):
            flipped, drawn, zeroed = function(*arguments)
            if asked == mode:
                zeroed = tpufi.flip_bits(zeroed, 20, 1, 1)
            return flipped, drawn, zeroed

        return run

    monkeypatch.setattr(selftest_ops, "_in_mode", wrong)
    message = f"zero_out of float32 in {mode} mode: 1 elements .* is 0x1, not 0x0"
    with pytest.raises(CheckFailed, match=message):
        selftest_ops.check_ops()


def test_another_generator_is_found(monkeypatch):
    class Other:
        threefry2x32 = staticmethod(lambda key, counter: (1, 2))

    monkeypatch.setattr(libraries, "host", Other)
    with pytest.raises(CheckFailed, match=r"is \(1, 2\), not \(1797259609, "):
        libraries.check_libraries()


def test_a_failed_check_is_a_line_and_the_others_go_on():
    def broken() -> str:
        raise CheckFailed("three\nlines\nhere")

    lines: list[str] = []
    checks = [Check("one", broken), Check("two", lambda: "fine")]
    assert not run_checks(checks, lines.append)
    assert lines[0].startswith("FAILED one (0.0 s): CheckFailed: three lines here")
    assert lines[1] == "ok     two (0.0 s): fine"


@pytest.mark.slow
def test_a_fault_that_changes_nothing_is_found(monkeypatch):
    def without(*arguments, **options):
        return right(*arguments, **{**options, "with_fault": False})

    right = replay.replay
    monkeypatch.setattr(replay, "replay", without)
    with pytest.raises(CheckFailed, match="changed nothing"):
        replay.check_replay()
