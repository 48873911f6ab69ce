"""The memory of processes over time, and whether it grows."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats

_KIBIBYTE = 1024.0

#: The samples lie close together and resemble each other; the medians of so many parts do less.
_PARTS = 20

#: What has grown by less than this share over the whole soak is flat in any sense.
_NOTHING = 0.01

#: One rise of at most this is let pass: two huge pages of the kernel, which maps 2 MiB at once.
MOST_STEP_MIB = 4.0


@dataclass(slots=True)
class Samples:
    """Resident memory of one process.

    Attributes
    ----------
    at_s : list of float
        Seconds since the beginning.
    done : list of int
        How many instances had been taken by then.
    mib : list of float
        Resident set size in MiB.
    own_mib : list of float
        What of it belongs to no file: without pages of libraries that are read for the first time.
    """

    at_s: list[float] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    own_mib: list[float] = field(default_factory=list)

    def own(self) -> "Samples":
        """Return the same of the memory that belongs to no file."""
        return Samples(at_s=self.at_s, done=self.done, mib=self.own_mib)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How the memory of a process changes after the warm-up.

    Attributes
    ----------
    mib : float
        Median after the warm-up.
    slope, low, high : float
        MiB per 1,000 instances beside the one step, with its 95 % interval.
    over_all : float
        What `high` comes to over the whole soak, as a share of the median.
    step_mib : float
        The largest rise within one part of the time, the rest of the growth taken off.
    step_at : float
        How many instances had been taken in the middle of that part.
    is_flat : bool
        Whether the step is small, and the interval holds zero or even its upper end comes to less
        than 1 %.
    """

    mib: float
    slope: float
    low: float
    high: float
    over_all: float
    step_mib: float
    step_at: float
    is_flat: bool


def growth(samples: Samples, *, instances: int, warm_up: float) -> Growth:
    """Fit a line with one step to what was sampled after the first share of the instances.

    Fitted are the medians of 20 parts of equal length, so that samples that resemble their
    neighbours do not pass for independent ones and no single sample counts. The step lies in the
    part over which the medians rise most; that part is left out of the fit. A leak rises
    everywhere and loses little by it. The interval is that of Student's t.

    Raises
    ------
    ValueError
        If there are too few samples.
    """
    done, mib = np.asarray(samples.done, dtype=float), np.asarray(samples.mib)
    later = done >= warm_up * instances
    if later.sum() < _PARTS:
        raise ValueError(f"{later.sum()} samples after the warm-up; needed are {_PARTS}")
    x = np.array([part.mean() for part in np.array_split(done[later] / 1000, _PARTS)])
    y = np.array([np.median(part) for part in np.array_split(mib[later], _PARTS)])
    within = 1 + int(np.argmax(y[2:] - y[:-2]))
    slope, reach, step = _line_with_step(x, y, within)
    median = float(np.median(mib[later]))
    low, high = slope - reach, slope + reach
    over_all = high * instances / 1000 / median
    return Growth(
        mib=median,
        slope=slope,
        low=low,
        high=high,
        over_all=over_all,
        step_mib=step,
        step_at=float(x[within] * 1000),
        is_flat=step <= MOST_STEP_MIB and (low <= 0 or over_all < _NOTHING),
    )


def _line_with_step(x: np.ndarray, y: np.ndarray, within: int) -> tuple[float, float, float]:
    """Return slope, reach of its 95 % interval and the step that lies in part `within`."""
    after = np.arange(len(x)) > within
    model = np.delete(np.column_stack([np.ones(len(x)), x - x.mean(), after]), within, axis=0)
    y = np.delete(y, within)
    found = np.linalg.lstsq(model, y)[0]
    freedom = len(y) - model.shape[1]
    variance = float(np.sum((y - model @ found) ** 2)) / freedom
    error = np.sqrt(variance * np.linalg.inv(model.T @ model)[1, 1])
    return float(found[1]), float(stats.t.ppf(0.975, freedom) * error), float(found[2])


class Sampler:
    """Reads the memory of processes each second, in a thread.

    Parameters
    ----------
    pids
        Returns the processes by name; they may change.
    done
        Returns how many instances have been taken so far.
    every_s
        Pause.
    """

    def __init__(
        self,
        pids: Callable[[], Mapping[str, int]],
        done: Callable[[], int],
        *,
        every_s: float = 1.0,
    ) -> None:
        self._pids = pids
        self._done = done
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: dict[str, Samples] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(self._every_s):
            for name, pid in self._pids().items():
                found_mib = resident_mib(pid)
                if found_mib is None:
                    continue
                mib, own_mib = found_mib
                found = self.samples.setdefault(name, Samples())
                found.at_s.append(round(time.monotonic() - begun, 1))
                found.done.append(self._done())
                found.mib.append(round(mib, 2))
                found.own_mib.append(round(own_mib, 2))


def resident_mib(pid: int) -> tuple[float, float] | None:
    """Return VmRSS and RssAnon of a process, None if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines)
    if "VmRSS" not in found:
        return None
    resident, own = (float(found[key].split()[0]) for key in ("VmRSS", "RssAnon"))
    return resident / _KIBIBYTE, own / _KIBIBYTE


def plot(samples: Mapping[str, Samples], grown: Mapping[str, Growth], path: Path) -> None:
    """Draw the memory of each process over the instances taken."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(samples), 1, figsize=(8, 2.2 * len(samples)), sharex=True, squeeze=False
    )
    for axis, (name, one) in zip(axes[:, 0], samples.items(), strict=True):
        axis.plot(one.done, one.mib, linewidth=0.8, label="resident")
        axis.plot(one.done, one.own_mib, linewidth=0.8, label="of it, in no file")
        axis.set_ylim(0, max(one.mib) * 1.15)
        axis.set_ylabel("MiB")
        found = grown.get(name)
        slope = ""
        if found:
            axis.axvline(found.step_at, color="0.6", linewidth=0.8, linestyle=":")
            slope = (
                f": {found.slope:+.2f} MiB per 1,000 instances "
                f"({found.low:+.2f} to {found.high:+.2f}), "
                f"largest step {found.step_mib:+.1f} MiB (dotted)"
            )
        axis.set_title(f"{name}{slope}", fontsize=9, loc="left")
    axes[0, 0].legend(loc="lower right", fontsize=8)
    axes[-1, 0].set_xlabel("instances received")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def as_json(samples: Mapping[str, Samples], *, every: int = 10) -> dict[str, dict[str, Sequence]]:
    """Return every tenth sample, as plain JSON."""
    return {
        name: {
            "at_s": one.at_s[::every],
            "done": one.done[::every],
            "mib": one.mib[::every],
            "own_mib": one.own_mib[::every],
        }
        for name, one in samples.items()
    }
