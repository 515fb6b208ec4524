# SPDX-License-Identifier: Apache-2.0
"""Builds a report, and writes all of its files, or none."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Sequence

from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report.cells import count_text, printable
from tpufi.campaign.report.combined import combined
from tpufi.campaign.report.document import Document, Table
from tpufi.campaign.report.facts import Facts, gather
from tpufi.campaign.report.figures import drawn
from tpufi.campaign.report.header import header
from tpufi.campaign.report.markdown import markdown
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.sections import (
    answers,
    comparisons,
    detectors,
    fit,
    heat_map,
    latency,
    monitors,
    notes,
    outcomes,
    propagation,
    run,
    strata,
    typical,
)
from tpufi.campaign.report.templates import html_page
from tpufi.errors import InputError
from tpufi.io import atomic_write, make_folder
from tpufi.messages import show_path

PAGE = "report.html"
_REMEDY = "name a folder with --out where you can write and there is space"
_OWN = {PAGE, "report.md", "pictures", "tables", "rows.parquet"}
_SECTIONS = (
    outcomes.sections,
    notes.sections,
    answers.sections,
    monitors.sections,
    detectors.sections,
    strata.sections,
    heat_map.sections,
    latency.sections,
    propagation.sections,
    typical.loss_sections,
    comparisons.sections,
    fit.sections,
    typical.replay_sections,
    run.sections,
)


def build(facts: Facts) -> Document:
    """Return the report as a document.

    Raises:
      InputError: what the user asks for cannot be told from this campaign.
    """
    program = facts.sessions[-1][0].get("program") if facts.sessions else None
    usual = pathlib.Path(str(program)).name if program else "unknown workload"
    workload = printable(facts.plan.get("workload", usual))
    method = "Clopper-Pearson's" if facts.options.exact else "Wilson's"
    return Document(
        title=facts.options.title or f"Fault campaign on {workload}",
        summary=(
            f"{workload}, {count_text(len(facts.experiments))} experiments; {method} "
            f"intervals with confidence {facts.options.confidence:.4g}; written by "
            "tpufi campaign report."
        ),
        header=header(facts),
        sections=tuple(section for make in _SECTIONS for section in make(facts)),
    )


def write_report(
    folder: pathlib.Path, out: pathlib.Path, options: Options, rows: bool = False
) -> None:
    """Write the report on a campaign.

        report.html     the whole report in one file
        report.md       the same as Markdown, with
        pictures/       a PNG and an SVG for each picture, and
        tables/         a CSV for each table
        rows.parquet    all experiments, on request

    The same journal gives the same bytes.

    Args:
      folder: of the campaign.
      out: folder to write; a report that is there already is replaced.
      options: what the user chose.
      rows: whether to write all experiments as well.

    Raises:
      InputError: the journal cannot be read or has nothing to report, or `out` holds
        something else or cannot be written.
    """
    out = pathlib.Path(os.path.normpath(out))
    with Reader.open(folder) as journal, journal.untrusted():
        _check(out)
        document = build(gather(str(folder), journal, options))
        with atomic_write(out, _REMEDY) as scratch:
            write_document(document, scratch)
            if rows:
                export(journal, scratch / "rows.parquet")


def write_combined(
    folders: Sequence[pathlib.Path], out: pathlib.Path, options: Options
) -> None:
    """Write one report on several campaigns: their outcomes beside each other.

    Args:
      folders: of the campaigns.
      out: folder to write, as in `write_report`.
      options: what the user chose; `by` and `golden` are for single reports.

    Raises:
      InputError: as `write_report` does.
    """
    out = pathlib.Path(os.path.normpath(out))
    _check(out)
    with contextlib.ExitStack() as journals:
        found = {}
        for folder in folders:
            journal = journals.enter_context(Reader.open(folder))
            journals.enter_context(journal.untrusted())
            found[folder.name] = gather(str(folder), journal, options)
        document = combined(found)
        with atomic_write(out, _REMEDY) as scratch:
            write_document(document, scratch)


def write_document(document: Document, folder: pathlib.Path) -> None:
    """Make a folder with a report in it: its pages, pictures and tables.

    Args:
      document: the report.
      folder: not there yet.
    """
    folder.mkdir()
    (folder / "pictures").mkdir()
    pictures = {
        picture.key: drawn(picture, folder / "pictures" / f"{picture.key}.png")
        for picture in document.pictures()
    }
    (folder / "tables").mkdir()
    for table in document.tables():
        table.write(folder / "tables")
    (folder / "report.md").write_text(markdown(document), encoding="utf-8")
    page = html_page(document, pictures)
    (folder / PAGE).write_text(page, encoding="utf-8")


def write_beside(
    document: Document, folder: pathlib.Path, more: Sequence[Table] = ()
) -> None:
    """Write a report into a folder that has other files too, and leave these alone.

    Args:
      document: the report.
      folder: is made if it is not there.
      more: tables that are no part of the pages.
    """
    make_folder(folder, _REMEDY)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = pathlib.Path(scratch) / "report"
        write_document(document, made)
        for table in more:
            table.write(made / "tables")
        for part in made.iterdir():
            with atomic_write(folder / part.name, _REMEDY) as place:
                part.rename(place)


def _check(out: pathlib.Path) -> None:
    """Refuse to replace anything but a report, before the work begins."""
    if not out.parent.is_dir():
        raise InputError(f"{show_path(out)}: no such folder around it; make it first")
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{show_path(out)}: is no folder; name another one with --out")
    found = set(os.listdir(out))
    if found and (PAGE not in found or found - _OWN):
        other = show_path(min(found - _OWN or found))
        raise InputError(
            f"{show_path(out)}: holds {other}, which is no part of a report; name a "
            "new folder with --out"
        )
