"""Runs the node for long and looks at its memory: python -m tests.soak [--series N].

The node's own processes (supervisor, receiver, worker, office) take 250 series of 50 images from
an association each, analyse them and deliver the results to dcmtk's storescp. Every second the
resident memory of each process is read. The heads are built (ellipsoids, 64 x 64 pixels) and the
networks are stand-ins (a threshold): this soak is about the node, not about a network's memory.

The report is soak.json, soak.png and soak.txt; the exit status is 1 if a series was not delivered
or the memory of a process grows: if the 95 % interval of its slope after the warm-up, beside one
step, lies above zero and comes to 1 % or more over the whole soak, or if the step is above 4 MiB.
--again FILE judges the samples of a former soak.json by the same rule and runs nothing.
"""

import argparse
import contextlib
import json
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from acceptance.node_process import NodeProcess
from ct_builder import Ball, build_ct_series, save_series
from soak.memory import Growth, Sampler, Samples, as_json, growth, plot

ROOT = Path(__file__).parents[2]
IMAGES = 50
_SHAPE_YX = (64, 64)

#: So many series may wait for the worker: a scanner does not send faster than that for long.
_MOST_WAITING = 4

#: Share of the instances after which memory must no longer grow: the office still fills caches of
#: libraries for the first 5,700 (docs/soak).
_WARM_UP = 0.5
_PATIENCE_S = 1800.0
_LOOK_EVERY_S = 0.5
_STARTED = re.compile(r"(receiver|worker|office) started as process (\d+)")


def main() -> None:
    """Soak, write the report, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="make soak")
    parser.add_argument("--series", type=int, default=250)
    parser.add_argument("--output", type=Path, default=ROOT / "soak-output")
    parser.add_argument("--again", type=Path, help="soak.json of a former soak: only judge it")
    arguments = parser.parse_args()
    if arguments.again:
        sys.exit(not judged_again(arguments.again))
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, archive(Path(folder)) as port:
        soaked = Soak(Path(folder).resolve(), port, arguments.series)
        try:
            soaked.run()
        finally:
            shutil.copy(soaked.node.log, arguments.output / "node.log")
    facts = written(soaked, arguments.output)
    sys.exit(not (facts["all_delivered"] and facts["all_flat"]))


class Soak:
    """One soak: a node, a sender, a sampler."""

    def __init__(self, folder: Path, archive_port: int, series: int) -> None:
        (folder / "node").mkdir()
        self.node = NodeProcess(folder / "node", pacs_port=archive_port)
        self.node.patience_s = _PATIENCE_S
        self._folder = folder
        self.series = series
        self.sent = 0
        self.delivered = 0
        self.seconds = 0.0
        self.sampler = Sampler(self._pids, lambda: self.sent)

    def run(self) -> None:
        """Send everything, wait for every result, stop."""
        begun = time.monotonic()
        self.node.start()
        self.sampler.start()
        try:
            for number in range(self.series):
                self._wait_for(number - _MOST_WAITING)
                self._send(number)
            self._wait_for(self.series)
            self.delivered = self._jobs("delivered")
        finally:
            self.sampler.stop()
            self.seconds = time.monotonic() - begun
            self.node.stop()

    def _send(self, number: int) -> None:
        files = save_series(
            build_ct_series(
                slices=IMAGES,
                shape_yx=_SHAPE_YX,
                balls=(Ball(),),
                noise_hu=3.0,
                seed=number,
                patient_id=f"SOAK{number}",
            ),
            self._folder / "images",
        )
        self.node.send_all(files)
        self.sent += len(files)
        shutil.rmtree(self._folder / "images")

    def _wait_for(self, finished: int) -> None:
        """Wait until so many analyses have come to an end, or for as long as is sensible."""
        limit = time.monotonic() + _PATIENCE_S
        while self._jobs("delivered", "rejected", "failed") < finished:
            if time.monotonic() > limit:
                return
            time.sleep(_LOOK_EVERY_S)

    def _jobs(self, *states: str) -> int:
        """Return how many analyses are in these states, as the ledger says."""
        path = self._folder / "node" / "data" / "ledger.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            found = ledger.execute("SELECT state FROM jobs WHERE kind = 'analysis'").fetchall()
        return sum(state in states for (state,) in found)

    def _pids(self) -> dict[str, int]:
        found = dict(_STARTED.findall(self.node.log.read_text()))
        return {"supervisor": self.node.process.pid} | {
            role: int(pid) for role, pid in found.items()
        }


@contextlib.contextmanager
def archive(folder: Path):
    """Run dcmtk's storescp, which takes everything and keeps nothing; yields its port."""
    from bench.receivers import free_port

    port = free_port()
    command = ["storescp", "--ignore", "-aet", "PACS", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


def in_words(name: str, one: Growth) -> str:
    """Return what became of the memory of a process, in one line."""
    return (
        f"{name:<11} {one.mib:7.1f} MiB, {one.slope:+.3f} ({one.low:+.3f} to {one.high:+.3f}) MiB "
        f"per 1,000 instances, largest step {one.step_mib:+.2f} MiB at {one.step_at:,.0f}: "
        f"{'flat' if one.is_flat else 'GROWS'}"
    )


def judged_again(path: Path) -> bool:
    """Print what the samples of a former soak say by today's rule; return whether all is flat."""
    document = json.loads(path.read_text())
    grown = {
        name: growth(Samples(**one), instances=document["instances"], warm_up=_WARM_UP)
        for name, one in document["samples"].items()
    }
    for name, one in grown.items():
        sys.stdout.write(in_words(name, one) + "\n")
    return all(one.is_flat for one in grown.values())


def written(soaked: Soak, output: Path) -> dict[str, object]:
    """Write the report and return its facts."""
    samples = soaked.sampler.samples
    instances = soaked.series * IMAGES
    grown = {
        name: growth(one, instances=instances, warm_up=_WARM_UP) for name, one in samples.items()
    }
    own = {
        name: growth(one.own(), instances=instances, warm_up=_WARM_UP)
        for name, one in samples.items()
    }
    facts: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "series": soaked.series,
        "instances": instances,
        "delivered": soaked.delivered,
        "all_delivered": soaked.delivered == soaked.series,
        "seconds": round(soaked.seconds, 1),
        "warm_up": _WARM_UP,
        "growth": {name: asdict(one) for name, one in grown.items()},
        "growth_in_no_file": {name: asdict(one) for name, one in own.items()},
        "all_flat": all(one.is_flat for one in grown.values()),
    }
    document = facts | {"samples": as_json(samples)}
    (output / "soak.json").write_text(json.dumps(document) + "\n")
    plot(samples, grown, output / "soak.png")
    lines = [f"{soaked.delivered} of {soaked.series} series delivered in {soaked.seconds:.0f} s"]
    lines += [
        f"{in_words(name, one)}; in no file {own[name].mib:.1f} MiB, {own[name].slope:+.3f}"
        for name, one in grown.items()
    ]
    text = "\n".join(lines) + "\n"
    (output / "soak.txt").write_text(text)
    sys.stdout.write(text)
    return facts


if __name__ == "__main__":
    main()
