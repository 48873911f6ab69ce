"""Which step of an analysis is under way, and how long each took."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.segmentation.predictor import OnProgress, ignore_progress


@dataclass(slots=True, eq=False)
class StepClock:
    """Tells of every step before it begins and keeps how long each took.

    Attributes
    ----------
    on_step : Callable
        Told the name of the step.
    timer : Callable
        Seconds that only rise.
    on_progress : Callable
        Told which share of the step under way is done, where that is known.
    seconds : dict
        Finished steps in their order.
    """

    on_step: Callable[[str], None]
    timer: Callable[[], float] = time.monotonic
    on_progress: OnProgress = ignore_progress
    seconds: dict[str, float] = field(default_factory=dict)
    _current: tuple[str, float] | None = None

    def begin(self, step: str) -> None:
        """End the step under way, if any, and begin another."""
        self.end()
        self.on_step(step)
        self._current = (step, self.timer())

    def replay(self, seconds: Mapping[str, float]) -> None:
        """Tell of steps that were done before, and keep how long they took then."""
        for step, taken in seconds.items():
            self.begin(step)
            self._current = None
            self.seconds[step] = taken

    def end(self) -> None:
        """End the step under way."""
        if self._current is not None:
            step, started = self._current
            self.seconds[step] = self.seconds.get(step, 0.0) + self.timer() - started
            self._current = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """End the last step when the block ends, however it does."""
        try:
            yield
        finally:
            self.end()
