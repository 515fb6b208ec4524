# SPDX-License-Identifier: Apache-2.0
"""How sites become operations (decisions 0011 and 0014)."""

SELECT, BRANCH, LEAN = "select", "branch", "lean"
