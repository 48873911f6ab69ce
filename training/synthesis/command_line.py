"""What the commands of this room share: one-line errors and a progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from training.synthesis.trainer import DiffusionProgress


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

    def follow(self, told: "DiffusionProgress") -> None:
        """Show how far the training is."""
        text = f"epoch {told.epoch}/{told.epochs} loss {told.loss:.4f}"
        self._progress.update(self._task, description=text, total=1.0, completed=told.share)


@contextmanager
def bar() -> Iterator[Bar]:
    """Show a progress bar on stderr."""
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
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress)


@contextmanager
def told() -> Iterator[None]:
    """End with one line instead of a traceback where the user can do something about it."""
    from pipeline.errors import PipelineError

    try:
        yield
    except (ValueError, OSError, PipelineError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as stop:
        typer.echo("Stopped; the same call goes on where it can", err=True)
        raise typer.Exit(130) from stop
