# SPDX-License-Identifier: Apache-2.0
"""Lays Python sources and compiled libraries out as one importable package."""

def _package_tree_impl(ctx):
    files = []
    for source in ctx.files.srcs:
        path = source.short_path[len("python/"):]
        link = ctx.actions.declare_file("%s/%s" % (ctx.attr.folder, path))
        ctx.actions.symlink(output = link, target_file = source)
        files.append(link)
    for library in ctx.files.libraries:
        link = ctx.actions.declare_file("%s/tpufi/%s" % (ctx.attr.folder, library.basename))
        ctx.actions.symlink(output = link, target_file = library)
        files.append(link)
    return [DefaultInfo(files = depset(files))]

package_tree = rule(
    implementation = _package_tree_impl,
    attrs = {
        "folder": attr.string(mandatory = True, doc = "What goes on PYTHONPATH."),
        "libraries": attr.label_list(allow_files = [".so"]),
        "srcs": attr.label_list(allow_files = True, doc = "Files under python/."),
    },
)
