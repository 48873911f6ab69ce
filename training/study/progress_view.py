"""The study as it goes on, on the terminal: a line for each stage."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from training.study.stage import Stage, StageResult, StageState

#: Signs before a finished stage.
_SIGNS = {
    StageState.DONE: "[green]done[/]",
    StageState.IMPOSSIBLE: "[yellow]not possible[/]",
    StageState.FAILED: "[red]failed[/]",
    StageState.LEFT_OUT: "[dim]left out[/]",
}

_LONGEST = 60


class ProgressView:
    """Bars of all stages with elapsed and expected time; a context manager.

    Parameters
    ----------
    stages : sequence of Stage
        All of them.
    expected_minutes : mapping of str to float
        By stage; a stage that is under way is reckoned from its share instead.
    console : Console
        Where to draw.
    clock : callable
        Seconds, rising.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        expected_minutes: Mapping[str, float],
        console: Console,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._expected, self._clock = expected_minutes, clock
        self._begun: dict[str, float] = {}
        self._bars = Progress(
            TextColumn("{task.fields[title]:<28}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[time]:>18}"),
            TextColumn("{task.fields[words]}"),
            console=console,
        )
        self._tasks = {
            stage.name: self._bars.add_task(
                "", total=1.0, title=stage.title, time=self._guess(stage), words=""
            )
            for stage in stages
        }

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begins(self, stage: Stage) -> None:
        """Show that a stage's turn has come."""
        self._begun[stage.name] = self._clock()
        self._bars.update(self._tasks[stage.name], words="beginning")

    def follow(self, stage: Stage, words: str, share: float) -> None:
        """Show what a stage does, which share is done, how long it took and will take."""
        spent = (self._clock() - self._begun[stage.name]) / 60
        self._bars.update(
            self._tasks[stage.name],
            completed=share,
            words=words[:_LONGEST],
            time=f"{spent:.1f} of ~{self._whole(stage, spent, share):.0f} min",
        )

    def ends(self, stage: Stage, result: StageResult) -> None:
        """Say what became of a stage."""
        told = result.reason if result.outcome is None else result.outcome.headline
        sign = "[green]cached[/]" if result.is_cached else _SIGNS[result.state]
        self._bars.update(
            self._tasks[stage.name],
            completed=1.0 if result.state is StageState.DONE else 0.0,
            words=sign,
            time=f"{result.seconds / 60:.1f} min",
        )
        self._bars.console.print(f"{stage.title}: {sign}. {escape(told)}", highlight=False)

    def _guess(self, stage: Stage) -> str:
        expected = self._expected.get(stage.name)
        return "" if expected is None else f"~{expected:.0f} min"

    def _whole(self, stage: Stage, spent: float, share: float) -> float:
        """Return the minutes that a stage will take; from its share, once that says something."""
        enough = 0.05
        if share >= enough:
            return spent / share
        return max(self._expected.get(stage.name, spent), spent)
