# SPDX-License-Identifier: Apache-2.0
"""Mutated files of every format: each is read, or refused in one line."""

import random
from collections.abc import Callable

from tests.parser_targets import Target, targets
from tools.attacks.tally import Tally, one_line, until

_PIECES = (
    *(b"\n", b"\0", b"\r", b",", b": ", b"- ", b"{", b"}", b"[", b"]", b'"', b"'"),
    *(b"&a ", b"*a", b"!!python/name:os.system ", b"../../", b"/etc/passwd", b"re:("),
    *(b"nan", b"inf", b"1e999", b"-1", b"-0", b"9" * 40, b"1" * 5000, b"0x", b"1.5"),
    *(b"\xff\xfe", "\u2028\u202e".encode(), b"True", b"null", b"~", b"%", b"a." * 999),
    *(b"[" * 300, b"{" * 300, b"- " * 300, b"\x80\x02", b"PK\x01\x02", b"\x1f\x8b"),
)


def attack(tally: Tally, seconds: float, seed: int) -> None:
    """Mutate files, all formats in turn, until the time is over."""
    known = list(targets().values())
    for number in until(seconds):
        target = known[number % len(known)]
        rng = random.Random(f"files {seed} {number}")
        content = mutated(rng, rng.choice(target.good))
        wrong = one_line(_reading(target, content))
        tally.note(
            f"file, {target.name}",
            wrong and f"file {number} of seed {seed}: {wrong}",
        )


def mutated(rng: random.Random, good: bytes) -> bytes:
    """Return a good file with some changes, of bits, of pieces or of its length."""
    content = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        start = rng.randrange(len(content) + 1)
        stop = min(len(content), start + rng.choice((0, 1, 4, 12, 200)))
        match rng.randrange(6):
            case 0 if content[start:stop]:
                content[start] ^= 1 << rng.randrange(8)
            case 1:
                content[start:stop] = rng.choice(_PIECES)
            case 2:
                content[start:start] = content[start:stop] * rng.choice((1, 2, 50))
            case 3:
                content[start:stop] = rng.randbytes(rng.choice((1, 2, 4, 8)))
            case 4:
                del content[start:stop]
            case _ if rng.random() < 0.2:
                del content[start:]
    return bytes(content)


def _reading(target: Target, content: bytes) -> Callable[[], object]:
    return lambda: target.outcome(content)
