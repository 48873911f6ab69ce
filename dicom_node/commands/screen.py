"""What a command prints: tables and lines, with colour and boxes on a terminal only."""

import sys
from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Width of a table that is not printed on a terminal; long enough never to fold a UID.
_PLAIN_GAP = "  "


def console() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False, soft_wrap=True)


def say(line: str, *, style: str = "") -> None:
    """Print one line; `style` counts on a terminal only. Nothing in `line` is markup."""
    console().print(Text(line, style=style if sys.stdout.isatty() else ""))


def show_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    styles: Sequence[str] = (),
) -> None:
    """Print a table: boxed on a terminal, aligned columns elsewhere.

    Parameters
    ----------
    headers : Sequence of str
        One per column.
    rows : Sequence of Sequence of str
        Cells; nothing in them is markup.
    title : str
        Line above the table.
    styles : Sequence of str
        One rich style per row, or none at all.
    """
    if sys.stdout.isatty():
        _show_boxed(headers, rows, title=title, styles=styles)
    else:
        _show_plain(headers, rows, title=title)


def _show_boxed(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str, styles: Sequence[str]
) -> None:
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for number, row in enumerate(rows):
        style = styles[number] if styles else None
        table.add_row(*(Text(cell) for cell in row), style=style)
    Console(highlight=False).print(table)


def _lines_of(row: Sequence[str]) -> list[list[str]]:
    """Return the lines that a row takes: as many as its highest cell has."""
    cells = [cell.split("\n") for cell in row]
    return [list(line) for line in zip_longest(*cells, fillvalue="")]


def _show_plain(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str) -> None:
    lines = [list(headers), *(line for row in rows for line in _lines_of(row))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    if title:
        sys.stdout.write(f"{title}\n")
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(_PLAIN_GAP.join(cells).rstrip() + "\n")
