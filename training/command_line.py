"""What the commands of every room share: one-line errors and a progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer


class Bar:
    """One progress bar for the stages of a command."""

    def __init__(self, progress: Any) -> None:  # noqa: ANN401  rich is imported late
        self._progress = progress
        self._task = progress.add_task("Starting", total=1.0)

    def count(self, done: int, total: int, *, what: str = "Reading triplets") -> None:
        """Show how many of how many are done."""
        self._progress.update(
            self._task, description=f"{what} {done}/{total}", total=total, completed=done
        )

    def follow(self, text: str, share: float) -> None:
        """Show what is going on, and which share of it is done."""
        self._progress.update(self._task, description=text, total=1.0, completed=share)


@contextmanager
def bar(*, shown: bool = True) -> Iterator[Bar]:
    """Show a progress bar on stderr: what libraries print to stdout may go to a log.

    One of several processes that do one thing together shows it.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        yield Bar(progress)


@contextmanager
def told() -> Iterator[None]:
    """End with one line instead of a traceback where the user can do something about it.

    Serves as a decorator of a command, too.
    """
    from pipeline.errors import PipelineError

    try:
        yield
    except (ValueError, OSError, FloatingPointError, PipelineError) as error:
        typer.echo(f"Error: {_in_words(error)}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as stop:
        typer.echo("Stopped; the same call goes on where it can", err=True)
        raise typer.Exit(130) from stop


def _in_words(error: Exception) -> str:
    """Return an error's text; of a file's error the file and the reason, without its number."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
