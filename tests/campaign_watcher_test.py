# SPDX-License-Identifier: Apache-2.0
"""How a campaign is shown: a bar, lines, TensorBoard; and how a signal ends it."""

import collections
import io
import os
import signal
import sys

import pytest
import tensorflow as tf
from absl import logging

from tests.campaign_rows import fake_row
from tpufi.campaign.engine import watcher
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.widest import Widest

ROWS = [fake_row(number, outcome="masked") for number in range(6)]
OTHER = [fake_row(number, outcome="degrade") for number in range(6, 8)]


@pytest.fixture(autouse=True)
def as_verbose_as_the_command(monkeypatch):
    before = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    monkeypatch.setattr(logging.get_absl_logger(), "propagate", True)  # For caplog.
    yield
    logging.set_verbosity(before)


class Screen(io.StringIO):
    """Standard error that is a terminal, or is none."""

    def __init__(self, terminal: bool):
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def watched(monkeypatch, terminal: bool, folder=None) -> str:
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(watcher, "_SECONDS_BETWEEN_LINES", -1)
    looking = Watcher(folder)
    looking.begin({("masked",): 2}, 20)
    looking.rows([])
    looking.rows(ROWS)
    looking.rows(OTHER)
    looking.window(Widest(0.125, ("FLIP", "forward"), "masked"))
    looking.end()
    return screen.getvalue()


def test_a_terminal_has_a_bar_with_outcomes_and_the_widest_interval(monkeypatch):
    text = watched(monkeypatch, terminal=True)
    assert "10/20" in text and "masked 8, degrade 2" in text
    assert text.count("campaign: ") <= 1  # That it compiles; then there is a bar.


def test_elsewhere_a_line_is_printed_now_and_then(monkeypatch, caplog):
    watched(monkeypatch, terminal=False)
    lines = caplog.messages
    assert [line.split(",")[0] for line in lines] == [
        "campaign: compiling (once)", "campaign: 8/20", "campaign: 10/20",
        "campaign: 10/20",
    ]  # fmt: skip
    assert lines[0].endswith(", then 18 experiments")
    assert lines[1].endswith(", no rate yet; masked 8")  # It is compiled only then.
    assert lines[-1].endswith("degrade 2, widest interval 12.50% (FLIP forward)")
    assert " an hour, " in lines[2] and " min left; " in lines[2]


def test_tensorboard_gets_the_shares_and_the_width(monkeypatch, tmp_path):
    watched(monkeypatch, terminal=False, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    found = scalars(file)
    assert found["outcomes/masked"][0] == (8, 1.0)
    assert found["outcomes/masked"][-1] == (10, pytest.approx(0.8))
    assert found["outcomes/degrade"][-1] == (10, pytest.approx(0.2))
    assert found["campaign/widest_interval"] == [(10, 0.125)]
    assert found["campaign/experiments_per_hour"][-1][1] > 0


def scalars(file) -> dict[str, list[tuple[int, float]]]:
    found = collections.defaultdict(list)
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            number = float(tf.make_ndarray(value.tensor))
            found[value.tag].append((event.step, number))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_and_the_second_stops(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible() as stopping:
        assert not stopping()
        os.kill(os.getpid(), number)
        assert stopping()
        assert "Ctrl-C again to stop now" in capsys.readouterr().err
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
