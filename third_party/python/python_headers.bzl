# SPDX-License-Identifier: Apache-2.0
"""Finds Python.h and the pip-installed pybind11, and other Pythons for wheels."""

load("//third_party/python:interpreter.bzl", "python_interpreter")

# CPython versions that wheels are made for.
_WHEEL_MINORS = ["10", "11", "12"]

_PROBE = """
import os, sys, sysconfig
python = sysconfig.get_paths()["include"]
if not os.path.exists(python + "/Python.h"):
    sys.exit("no Python.h in " + python + " (Debian: apt-get install python3-dev)")
try: import pybind11
except ImportError: sys.exit("no pybind11 (" + sys.executable + " -m pip install pybind11)")
print("cp%d%d" % sys.version_info[:2], python, pybind11.get_include())
"""

# Prints the folder with Python.h of the first Python of this minor that has one. A
# `python3.N` on PATH may be a stand-in of pyenv that refuses to run.
_FIND = """
for python in python3.{minor} "${{PYENV_ROOT:-$HOME/.pyenv}}"/versions/3.{minor}.*/bin/python3.{minor}; do
  folder=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])' 2>/dev/null) || continue
  found=1
  [ -e "$folder/Python.h" ] && echo "$folder" && exit 0
done
echo "${{found:+no Python.h for python3.{minor}}}" && exit 1
"""

_LIBRARY = """
cc_library(
    name = "{name}",
    hdrs = glob(["{folder}/**/*.h", "pybind11/**/*.h"]),
    includes = ["{folder}", "pybind11"],
    visibility = ["//visibility:public"],
)
"""

def _python_headers_impl(ctx):
    python = python_interpreter(ctx)
    result = ctx.execute([python, "-c", _PROBE])
    if result.return_code != 0:
        fail("the bindings of tpufi cannot be built with %s: %s" % (python, result.stderr.strip()))
    own, own_headers, pybind11 = result.stdout.split("\n")[-2].split(" ")
    ctx.symlink(own_headers, "python")
    ctx.symlink(pybind11, "pybind11")
    build = [_LIBRARY.format(name = "python_headers", folder = "python")]
    tags, skipped = [], []
    for minor in _WHEEL_MINORS:
        tag = "cp3" + minor
        headers = own_headers
        if tag != own:
            found = ctx.execute(["sh", "-c", _FIND.format(minor = minor)])
            if found.return_code != 0:
                why = found.stdout.strip() or "no python3.%s on PATH or in pyenv" % minor
                skipped.append("%s: %s" % (tag, why))
                continue
            headers = found.stdout.strip()
        ctx.symlink(headers, tag)
        build.append(_LIBRARY.format(name = tag, folder = tag))
        tags.append(tag)
    ctx.file("BUILD", "".join(build))
    ctx.file("pythons.bzl", "PYTHON = %r\nWHEEL_TAGS = %r\nWHEEL_SKIPPED = %r\n" % (python, tags, skipped))

python_headers = repository_rule(
    implementation = _python_headers_impl,
    environ = ["PYTHON_BIN_PATH", "PYENV_ROOT"],
    local = True,
)
