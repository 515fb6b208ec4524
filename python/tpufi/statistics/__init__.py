# SPDX-License-Identifier: Apache-2.0
"""Statistics of outcomes, from counts; exact where an exact method is known."""
