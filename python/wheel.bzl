# SPDX-License-Identifier: Apache-2.0
"""Wheels of the package, one for each CPython that the machine has headers of."""

load("@python_headers//:pythons.bzl", "PYTHON", "WHEEL_SKIPPED")

def _wheels_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.use_param_file("@%s", use_always = True)
    arguments.set_param_file_format("multiline")
    arguments.add("--out", folder.path)
    arguments.add_all(ctx.files.metadata, before_each = "--metadata")
    arguments.add_all(WHEEL_SKIPPED, before_each = "--skipped")
    bindings = []
    for target, tag in ctx.attr.bindings.items():
        library = target.files.to_list()[0]
        bindings.append(library)
        arguments.add("--bindings", "%s=%s" % (tag, library.path))
    arguments.add_all(ctx.files.tree, before_each = "--file")
    ctx.actions.run(
        outputs = [folder],
        inputs = ctx.files.metadata + ctx.files.tree + bindings + [ctx.file._tool],
        executable = PYTHON,
        arguments = [ctx.file._tool.path, arguments],
        mnemonic = "Wheels",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([folder]))]

wheels = rule(
    implementation = _wheels_impl,
    attrs = {
        "bindings": attr.label_keyed_string_dict(
            allow_files = [".so"],
            doc = "The pybind11 module for each CPython: library -> tag.",
        ),
        "metadata": attr.label_list(allow_files = True, doc = "pyproject.toml and its files."),
        "tree": attr.label(doc = "The package tree."),
        "_tool": attr.label(
            default = "//:tools/build_wheel.py",
            allow_single_file = True,
        ),
    },
)
