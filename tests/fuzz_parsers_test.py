# SPDX-License-Identifier: Apache-2.0
"""Any bytes are read, or refused in one line; `./dev fuzz` runs these for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parser_targets import Target, targets

TARGETS = targets()
LENIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        (b"\n", b"\0", b"\r", b",", b": ", b"- ", b"{", b"}", b"[", b'"', b"&a ", b"*a")
        + (b"!!python/name:os.system ", b"../../", b"/etc/passwd", b"nan", b"1e999")
        + (b"-1", b"9" * 40, b"\xff\xfe", "\u2028\u202e".encode(), b"True", b"~", b"%")
    ),
)


@st.composite
def damaged(draw, good: bytes) -> bytes:
    """A good file with pieces exchanged, taken out, repeated, or its end cut off."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 12)))
        how = draw(st.integers(0, 5))
        if how == 0:
            del content[start:]
        elif how == 1:
            content[start:start] = content[start:stop] * draw(st.integers(1, 50))
        elif how == 2 and start < len(content):
            content[start] ^= 1 << draw(st.integers(0, 7))
        else:
            content[start:stop] = draw(PIECES)
    return bytes(content)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_good_files_are_read(target: Target):
    for content in target.good:
        assert target.outcome(content) is not None


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@LENIENT
@given(data=st.data())
def test_damaged_files_are_read_or_refused_in_one_line(target: Target, data):
    good = data.draw(st.sampled_from(target.good))
    target.outcome(data.draw(damaged(good)))


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@LENIENT
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_noise_is_read_or_refused_in_one_line(target: Target, content):
    target.outcome(content)
