# SPDX-License-Identifier: Apache-2.0
"""The names that Bazel 4 itself loads from @rules_java, as its built-in rules."""

java_binary = native.java_binary
java_import = native.java_import
java_runtime = native.java_runtime
java_toolchain = native.java_toolchain
