# SPDX-License-Identifier: Apache-2.0
"""One changed byte in a file with checksums: it is noticed, or it changes nothing."""

import random
import re
import sqlite3

import pytest

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tests.parser_targets import targets
from tests.tiny_workload import TINY
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.golden.sealed_text import seal, unseal
from tpufi.training import initial_state, same_state, state_digest

TARGETS = targets()


@pytest.mark.parametrize("name", ["manifest.json", "steps.jsonl", "epochs.jsonl"])
def test_every_changed_byte_of_a_golden_text_is_named(name):
    target = TARGETS[name]
    (good,) = target.good
    expected = target.outcome(good)
    rng = random.Random(1)
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= rng.randrange(1, 256)
        found = target.outcome(bytes(bad))
        # Without its line end the last line is one that a kill has cut off.
        cut_off = name != "manifest.json" and place == len(good) - 1
        assert found is None or (found != expected) == cut_off, place


def test_a_damaged_line_of_a_curve_is_told_with_its_number(tmp_path):
    folder = GoldenFolder(tmp_path)
    folder.write_manifest(GoldenConfig("resnet18", "synthetic"), {}, 5)
    for number in range(4):
        folder.append("steps.jsonl", {"number": number, "loss": 2.25})
    file = tmp_path / "steps.jsonl"
    first, second, rest = file.read_text().split("\n", 2)
    file.write_text("\n".join([first, second.replace("2.25", "2.35"), rest]))
    with pytest.raises(InputError, match=r"steps.jsonl:2: damaged line: its checksum"):
        folder.curve()
    file.write_text('{"number": 0, "loss": 2.25}\n')
    with pytest.raises(InputError, match=r"steps.jsonl:1: .*it has no checksum"):
        folder.curve()


def test_runs_of_the_format_before_are_read_without_checksums(tmp_path):
    folder = GoldenFolder(tmp_path)
    folder.write_manifest(GoldenConfig("resnet18", "synthetic"), {}, 5)
    manifest = unseal((tmp_path / "manifest.json").read_text().strip(), 2)
    for form in (1, 2, 3):
        text = seal({**manifest, "format": form}, 2).splitlines()
        plain = "\n".join([*text[:-2], '  "end": 0', "}"])
        (tmp_path / "manifest.json").write_text(plain)
        (tmp_path / "steps.jsonl").write_text('{"number": 0, "loss": 2.25}\n')
        if form == 1:
            assert folder.curve() == {0: {"number": 0, "loss": 2.25}}
            continue
        with pytest.raises(InputError, match="damaged manifest"):
            folder.curve()


def test_a_changed_byte_of_a_checkpoint_is_named_or_changes_no_bit(tmp_path):
    state = initial_state(TINY, 3)._replace(updates=initial_state(TINY, 3).updates + 1)
    folder = GoldenFolder(tmp_path)
    folder.write_manifest(GoldenConfig("tiny", "synthetic"), {}, 5)
    folder.append("steps.jsonl", {"number": 0, "state": state_digest(state)})
    folder.save(state)
    (file,) = tmp_path.glob("*.npz")
    good, rng, noticed = file.read_bytes(), random.Random(2), 0
    assert same_state(folder.load(TINY, 1), state)
    for _ in range(60):
        bad = bytearray(good)
        bad[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        try:
            assert same_state(folder.load(TINY, 1), state)
        except InputError as error:
            assert f"{file}: damaged checkpoint" in str(error)
            noticed += 1
    assert noticed > 30
    other = initial_state(TINY, 4)
    folder.save(other._replace(updates=state.updates))  # Whole, but of another run.
    with pytest.raises(InputError, match="it is not the state of the run's curve"):
        folder.load(TINY, 1)


def test_a_changed_byte_of_a_journal_is_named_or_changes_nothing():
    target = TARGETS["journal"]
    (good,) = target.good
    expected = target.outcome(good)
    used = [i for i, byte in enumerate(good) if byte]
    rng, noticed = random.Random(3), 0
    for place in rng.sample(used, 300):
        bad = bytearray(good)
        bad[place] ^= 1 << rng.randrange(8)
        found = target.outcome(bytes(bad))
        assert found in (None, expected), place
        noticed += found is None
    assert noticed > 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE experiment SET outcome = 'marked' WHERE experiment = 7",
         "damaged rows, batch 2: .*DELETE FROM experiment WHERE batch = 2; .* and run "
         "the campaign again, which does these 40 experiments again"),
        ("UPDATE propagation SET elements = 31 WHERE experiment = 5",
         "damaged rows, batch 2: their digest is another; take them out with sqlite3 "),
        ("DELETE FROM experiment WHERE experiment = 7", "damaged rows, batch 2: "),
        ("UPDATE experiment SET batch = 9 WHERE experiment = 7",
         "damaged rows, batch 2: .* these 39 experiments again"),
        ("UPDATE manifest SET value = '2.19.2' WHERE key = 'tensorflow'",
         "damaged rows, batch 1: .* another; restore the file from a copy, or begin"),
        ("UPDATE session SET entries = ''", "damaged rows, batch 1: "),
        ("UPDATE batch SET seconds = 9e9 WHERE id = 2", "damaged rows, batch 2: "),
        ("DELETE FROM batch WHERE id = 2", "damaged rows, batch 2: "),
        ("CREATE VIEW more AS SELECT 1", "is damaged; .*its tables are not those of"),
    ],
)  # fmt: skip
def test_a_damaged_row_of_a_journal_is_told_with_a_remedy(change, message, tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(TARGETS["journal"].good[0])
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(InputError, match=message):
        Reader.open(tmp_path)


def test_a_writer_is_told_what_is_wrong_with_the_manifest_and_reads_no_other_row(
    tmp_path,
):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(TARGETS["journal"].good[0])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE experiment SET count = 3 WHERE experiment = 7")
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert journal.add([fake_row(40)]) == 1
    with pytest.raises(InputError, match="damaged rows, batch 2: "):
        Reader.open(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE session SET entries = '' WHERE id = 2")
    connection.close()
    with pytest.raises(InputError, match="damaged rows, batch 3: .*restore the file"):
        Writer(tmp_path, MANIFEST, SESSION)


def test_experiments_taken_out_as_told_are_done_anew(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(TARGETS["journal"].good[0])
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        journal.add(fake_row(n) for n in range(40, 50))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE experiment SET count = 3 WHERE experiment = 7")
    with pytest.raises(InputError) as error:
        Reader.open(tmp_path)
    connection.executescript(re.search('"(.*)"', str(error.value))[1])
    connection.close()
    with Reader.open(tmp_path) as journal:
        assert list(journal.missing(50)) == [range(0, 40)]
        assert journal.spread(7) == () and len(journal.sessions()) == 2
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert journal.add(fake_row(n) for n in range(50)) == 40
