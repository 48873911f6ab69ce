"""How a benchmark has an architecture trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from training.segmentation.run_result import RunProgress, RunResult

OnRunProgress = Callable[[RunProgress], None]


class TrainOne(Protocol):
    """Trains one architecture with everything else bound: cohort, experiment, budget, seed."""

    def __call__(
        self, architecture: str, folder: Path, *, on_progress: OnRunProgress
    ) -> RunResult:
        """Train into a folder, going on where an earlier call was stopped.

        Parameters
        ----------
        architecture : str
            Name on the command line.
        folder : Path
            Receives everything.
        on_progress : callable
            Told how far the training has come.
        """
