# SPDX-License-Identifier: Apache-2.0
"""The site of docs/: pages that are made when it is built, and pictures."""
