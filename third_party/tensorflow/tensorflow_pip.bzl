# SPDX-License-Identifier: Apache-2.0
"""Finds the pip-installed TensorFlow: the only place that knows where it is."""

load("//third_party/python:interpreter.bzl", "python_interpreter")

# Looks at the installed version before the slow import; then asks for the flags.
_PROBE = """
import importlib.metadata, os, sys
for name in ("tensorflow", "tensorflow-cpu", "tensorflow-tpu"):
    try: version = importlib.metadata.version(name); break
    except importlib.metadata.PackageNotFoundError: pass
else: sys.exit("it has no TensorFlow")
if not version.startswith(("2.19.", "2.20.")): sys.exit("it has TensorFlow " + version)
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import tensorflow as tf
flags = [f for f in tf.sysconfig.get_compile_flags() if not f.startswith("-I")]
print(".".join(version.split(".")[:2]), tf.sysconfig.get_lib(), *flags)
"""

_BUILD = """
package(default_visibility = ["//visibility:public"])
exports_files(["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"])
cc_library(name = "headers", hdrs = glob(["include/**"]), includes = ["include"])
"""

def _tensorflow_pip_impl(ctx):
    python = python_interpreter(ctx)
    result = ctx.execute([python, "-c", _PROBE])
    if result.return_code != 0:
        fail("\n".join([
            "tpufi builds against TensorFlow 2.19 or 2.20, asked of %s:" % python,
            "    " + result.stderr.strip(),
            "To mend it: %s -m pip install tensorflow-cpu==2.19.1" % python,
            "or name another interpreter: PYTHON_BIN_PATH=... bazel build //:tpufi",
        ]))
    words = result.stdout.split("\n")[-2].split(" ")
    for name in ["include", "libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]:
        ctx.symlink(words[1] + "/" + name, name)
    ctx.file("BUILD", _BUILD)
    ctx.file("copts.bzl", "TF_VERSION = %r\nTF_COPTS = %r\n" % (words[0], words[2:]))

tensorflow_pip = repository_rule(
    implementation = _tensorflow_pip_impl,
    environ = ["PYTHON_BIN_PATH"],
    local = True,
)
