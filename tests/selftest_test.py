# SPDX-License-Identifier: Apache-2.0
"""The selftest succeeds here, and says what is wrong where something is."""

import pytest

import tpufi
from tpufi import selftest
from tpufi.cli.selftest import COMMAND
from tpufi.selftest import CheckFailed, run_checks


def test_libraries_and_ops_pass(capsys):
    assert COMMAND.main(["--fast"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", "libraries"],
        ["ok", "ops"],
    ]
    assert lines[-1].startswith("works, ")


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_one_wrong_bit_in_one_mode_is_found(mode, monkeypatch):
    right = selftest._in_mode

    def wrong(asked):
        function = right(asked)

        def run(*arguments):
            flipped, drawn, zeroed = function(*arguments)
            if asked == mode:
                zeroed = tpufi.flip_bits(zeroed, 20, 1, 1)
            return flipped, drawn, zeroed

        return run

    monkeypatch.setattr(selftest, "_in_mode", wrong)
    message = f"zero_out of float32 in {mode} mode: 1 elements .* is 0x1, not 0x0"
    with pytest.raises(CheckFailed, match=message):
        selftest.check_ops()


def test_another_generator_is_found(monkeypatch):
    class Other:
        threefry2x32 = staticmethod(lambda key, counter: (1, 2))

    monkeypatch.setattr(selftest, "host", Other)
    with pytest.raises(CheckFailed, match=r"is \(1, 2\), not \(1797259609, "):
        selftest.check_libraries()


def test_a_failed_check_is_a_line_and_the_others_go_on():
    def broken() -> str:
        raise CheckFailed("three\nlines\nhere")

    lines: list[str] = []
    checks = {"one": broken, "two": lambda: "fine"}
    assert not run_checks(checks, lines.append)
    assert lines[0].startswith("FAILED one (0.0 s): CheckFailed: three lines here")
    assert lines[1] == "ok     two (0.0 s): fine"


@pytest.mark.slow
def test_a_fault_that_changes_nothing_is_found(monkeypatch):
    def without(*arguments, **options):
        return right(*arguments, **{**options, "with_fault": False})

    right = selftest.replay
    monkeypatch.setattr(selftest, "replay", without)
    with pytest.raises(CheckFailed, match="changed nothing"):
        selftest.check_replay()
