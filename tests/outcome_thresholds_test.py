# SPDX-License-Identifier: Apache-2.0
"""The file of thresholds: what it has to hold, and how errors are told."""

import dataclasses

import pytest

from tpufi.errors import InputError
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, Thresholds, read_thresholds

LINES = DEFAULT_FILE.read_text()


def test_the_default_file_has_every_threshold_and_explains_it():
    limits = read_thresholds()
    for name, value in dataclasses.asdict(limits).items():
        assert f"\n{name} = {value}" in LINES
        assert LINES.split(f"\n{name} = ")[0].splitlines()[-1].startswith("#")


def test_another_file_replaces_them(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(LINES.replace("sharp = 0.5", "sharp = 0.25"))
    assert read_thresholds(file) == dataclasses.replace(read_thresholds(), sharp=0.25)


def test_thresholds_print_as_one_line_of_name_and_value():
    assert str(Thresholds(1, 0.5, 0.75, 0.5, 0.1, 3.0, 0.1)) == (
        "immediate 1, sharp 0.5, further 0.75, late 0.5, excess 0.1, widths 3, "
        "test_drop 0.1"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sharp = 0.5", "", "sharp is missing; expected the keys immediate, sharp,"),
        ("sharp = 0.5", "sharp = 0.5\nshrap = 1", "unknown key 'shrap'; expected"),
        ("sharp = 0.5", "sharp = 1.5", "sharp is 1.5; expected a number from 0 to 1"),
        ("sharp = 0.5", "sharp = -1", "sharp is -1; expected a number from 0 to 1"),
        ("sharp = 0.5", "sharp = nan", "sharp is nan; expected a number from 0 to 1"),
        ("sharp = 0.5", "sharp = true", "sharp is True; expected a number"),
        ("sharp = 0.5", 'sharp = "half"', "sharp is 'half'; expected a number"),
        ("late = 0.5", "late = 1.0", "late is 1.0; expected a number from 0 to 0.99"),
        ("widths = 3.0", "widths = inf", "widths is inf; .* a number of at least 0"),
        ("immediate = 1", "immediate = 1.0", "immediate is 1.0; expected an integer"),
        ("sharp = 0.5", "sharp = ", "cannot read thresholds: "),
        ("widths = 3.0", f"widths = {'9' * 400}", "widths is 9999.*below 2\\*\\*63$"),
        ("widths = 3.0", f"widths = {'9' * 5000}", "cannot read thresholds: .*digits"),
        ("widths = 3.0", f"widths = {'[' * 3000}", "cannot read thresholds: "),
        ("widths = 3.0", f"widths = '{'x' * 15000}'", "widths is 'xxx.*of at least 0"),
        ("widths = 3.0", f"{'a.' * 30_000}b = 1", "larger than 16384 bytes"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(old, new, message, tmp_path):
    file = tmp_path / "mine.toml"
    assert old in LINES
    file.write_text(LINES.replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        read_thresholds(file)
    assert "mine.toml: " in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_is_missing_or_no_text_is_told_with_its_name(content, tmp_path):
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="mine.toml: cannot read thresholds: "):
        read_thresholds(file)
