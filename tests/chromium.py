# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that tests talk to over a pipe, by its DevTools protocol."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update"),
)
# The browser reads commands from file 3 and writes answers to file 4.
_START = """
import fcntl, os, sys
files = [fcntl.fcntl(int(name), fcntl.F_DUPFD, 10) for name in sys.argv[1:3]]
for file, place in zip(files, (3, 4)):
    os.dup2(file, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page in a browser of its own; a context manager.

    Everything the page logs, and each request it makes, is kept in `events`.
    """

    def __init__(self, profile: pathlib.Path):
        program = next(filter(None, map(shutil.which, _NAMES)), None)
        if program is None:
            pytest.skip("no Chromium; install it: apt-get install chromium")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [sys.executable, "-c", _START, str(theirs_in), str(theirs_out)]
        self._process = subprocess.Popen(
            [*command, program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._session, self._rest = 0, None, b""
        self.events: list[dict] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        os.close(self._out)
        os.close(self._in)
        self._process.terminate()
        self._process.wait(_SECONDS)

    def send(self, method: str, **parameters) -> dict:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, address: str) -> None:
        """Load a page and wait until it is there."""
        self.send("Page.navigate", url=address)
        end = time.monotonic() + _SECONDS
        while self.run("document.readyState + location.href") != f"complete{address}":
            assert time.monotonic() < end, f"{address} does not load"
            time.sleep(0.05)

    def run(self, script: str) -> object:
        """Return the value of an expression of JavaScript."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key, as from a keyboard."""
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            typed = text if kind == "keyDown" else ""
            self.send(
                "Input.dispatchKeyEvent",
                type=kind, key=key, text=typed, windowsVirtualKeyCode=code,
            )  # fmt: skip

    def write(self, method: str, file: pathlib.Path, **parameters) -> None:
        """Write the data that a command returns."""
        file.write_bytes(base64.b64decode(self.send(method, **parameters)["data"]))

    def _read(self) -> dict:
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)
