# SPDX-License-Identifier: Apache-2.0
"""Fuzzes one parser with libFuzzer, guided by the branches that it takes.

python -m tests.libfuzzer --list
python -m tests.libfuzzer TARGET [LIBFUZZER_OPTIONS]

Every finding is left in build/fuzz.
"""

import pathlib
import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["tpufi", "yaml"]):
    from tests.parser_targets import targets


def main(arguments: list[str]) -> None:
    """Fuzz the target that the first argument names."""
    known = targets()
    if not arguments or arguments[0] not in (*known, "--list"):
        sys.exit(f"name a target: {', '.join(known)}")
    if arguments[0] == "--list":
        print(*known)
        return
    target = known[arguments[0]]
    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(target.good):
            pathlib.Path(corpus, str(number)).write_bytes(content)
        findings = f"-artifact_prefix=build/fuzz/{target.name}-"
        options = [sys.argv[0], corpus, findings, "-rss_limit_mb=0", *arguments[1:]]
        atheris.Setup(options, lambda data: target.outcome(data) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
