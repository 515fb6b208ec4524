# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what Debian's Bazel 4.2.3 would fetch from the network."""

def offline_stand_ins():
    """Declares them for Debian's Bazel only: every release knows its own version.

    Debian's build calls itself "no_version". Released Bazels (6, 7) fetch the real
    repositories, so nothing is declared for them.
    """
    if native.bazel_version and native.bazel_version[0].isdigit():
        return
    for name in ["remote_coverage_tools", "rules_cc", "rules_java"]:
        native.local_repository(name = name, path = "third_party/offline/" + name)
