# SPDX-License-Identifier: Apache-2.0
"""Finds Python.h and the pip-installed pybind11."""

load("//third_party/python:interpreter.bzl", "python_interpreter")

_PROBE = """
import os, sys, sysconfig
python = sysconfig.get_paths()["include"]
if not os.path.exists(python + "/Python.h"):
    sys.exit("no Python.h in " + python + " (Debian: apt-get install python3-dev)")
try: import pybind11
except ImportError: sys.exit("no pybind11 (" + sys.executable + " -m pip install pybind11)")
print(python, pybind11.get_include())
"""

_BUILD = """
cc_library(
    name = "python_headers",
    hdrs = glob(["python/**/*.h", "pybind11/**/*.h"]),
    includes = ["python", "pybind11"],
    visibility = ["//visibility:public"],
)
"""

def _python_headers_impl(ctx):
    python = python_interpreter(ctx)
    result = ctx.execute([python, "-c", _PROBE])
    if result.return_code != 0:
        fail("the bindings of tpufi cannot be built with %s: %s" % (python, result.stderr.strip()))
    words = result.stdout.split("\n")[-2].split(" ")
    ctx.symlink(words[0], "python")
    ctx.symlink(words[1], "pybind11")
    ctx.file("BUILD", _BUILD)

python_headers = repository_rule(
    implementation = _python_headers_impl,
    environ = ["PYTHON_BIN_PATH"],
    local = True,
)
