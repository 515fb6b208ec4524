# SPDX-License-Identifier: Apache-2.0
"""Replaying the published injections and writing down what happened."""
