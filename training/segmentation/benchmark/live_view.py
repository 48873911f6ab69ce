"""The benchmark as it goes on, on the terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.segmentation.benchmark.contestant import Contestant
from training.segmentation.run_result import RunProgress


class LiveView:
    """Two bars: all contestants, and what the present one does.

    Used as a context manager; the bars stand while it is open.

    Parameters
    ----------
    contestants : int
        How many take part.
    console : Console
        Where to draw.
    """

    def __init__(self, contestants: int, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._all = self._bars.add_task("Benchmark", total=contestants, state="")
        self._one = self._bars.add_task("", total=1.0, state="", visible=False)

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

    def begins(self, contestant: Contestant) -> None:
        """Show whose turn it is."""
        self._bars.reset(self._one, total=1.0, visible=True, state="")
        self._bars.update(self._one, description=contestant.title)

    def trains(self, contestant: Contestant, progress: RunProgress) -> None:
        """Show how far the training is."""
        dice = "" if progress.pseudo_dice is None else f", pseudo-Dice {progress.pseudo_dice:.2f}"
        state = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}{dice}"
        self._bars.update(
            self._one, description=f"{contestant.title}: training", completed=progress.share
        )
        self._bars.update(self._one, state=state)

    def examined(self, contestant: Contestant, scans: int, of: int) -> None:
        """Show how many scans are done."""
        self._bars.update(
            self._one,
            description=f"{contestant.title}: held-out scans",
            completed=scans / of,
            state=f"{scans}/{of}",
        )

    def ends(self, contestant: Contestant, failure: str | None) -> None:
        """Say what became of a contestant, and go on."""
        said = "done" if failure is None else f"failed: {failure}"
        self._bars.console.print(f"{contestant.title}: {said}", markup=False, highlight=False)
        self._bars.advance(self._all)
        self._bars.update(self._one, visible=False)
