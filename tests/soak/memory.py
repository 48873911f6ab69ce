"""The memory of processes over time, and whether it grows."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats

_KIBIBYTE = 1024.0

#: The samples lie close together and resemble each other; their means over so many parts do less.
_PARTS = 20

#: What has grown by less than this share over the whole soak is flat in any sense.
_NOTHING = 0.01


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
        MiB per 1,000 instances, with its 95 % interval.
    over_all : float
        What `high` comes to over the whole soak, as a share of the median.
    is_flat : bool
        Whether the interval holds zero, or even its upper end comes to less than 1 %.
    """

    mib: float
    slope: float
    low: float
    high: float
    over_all: float
    is_flat: bool


def growth(samples: Samples, *, instances: int, warm_up: float) -> Growth:
    """Fit a line to what was sampled after the first share of the instances.

    The interval is that of Student's t over the means of 20 parts of equal length, so that samples
    that resemble their neighbours do not pass for independent ones.

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
    y = np.array([part.mean() for part in np.array_split(mib[later], _PARTS)])
    fit = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, _PARTS - 2) * float(np.nan_to_num(fit.stderr))  # none if constant
    median = float(np.median(mib[later]))
    low, high = float(fit.slope - reach), float(fit.slope + reach)
    over_all = high * instances / 1000 / median
    return Growth(
        mib=median,
        slope=float(fit.slope),
        low=low,
        high=high,
        over_all=over_all,
        is_flat=low <= 0 or over_all < _NOTHING,
    )


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
        slope = (
            f": {found.slope:+.2f} MiB per 1,000 instances ({found.low:+.2f} to {found.high:+.2f})"
            if found
            else ""
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
