# SPDX-License-Identifier: Apache-2.0
"""TensorFI's surface: its configuration, methods, statistics and logs."""
