# SPDX-License-Identifier: Apache-2.0
"""The artefact's convolutions: shapes of all their operands."""

import csv
import pathlib

DATA = pathlib.Path(__file__).resolve().parent / "data"


def artefact_sites(workload: str) -> dict[str, tuple[int, ...]]:
    """Return site name -> shape for 128 images per replica."""
    with open(DATA / f"{workload}_sites.csv", newline="") as file:
        return {
            f"{row['layer']}/{operand}": tuple(map(int, shape.split("x")))
            for row in csv.DictReader(file)
            for operand, shape in row.items()
            if operand != "layer"
        }
