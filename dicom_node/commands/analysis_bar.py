"""The step under way of an analysis, and how far it is, on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisBar:
    """One line: the name of the step, a bar where its share done is known, and the time."""

    progress: Progress
    task: TaskID

    def begin(self, step: str) -> None:
        """Show the name of a step that begins; how far it is is not known yet."""
        # Without a total the bar pulses.
        self.progress.reset(self.task, total=None, description=step)

    def advance(self, share: float) -> None:
        """Show which share of the step is done, in [0, 1]."""
        self.progress.update(self.task, total=1.0, completed=share)


@contextmanager
def showing(console: Console) -> Iterator[AnalysisBar]:
    """Show an analysis while it runs, on a terminal only; nothing of it stays there.

    Parameters
    ----------
    console : Console
        Where; anything but a terminal stays empty.
    """
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        yield AnalysisBar(progress=progress, task=progress.add_task("", total=None))
