"""One and two workers of the node with real models: what a second process brings on two cores."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.association.storage_scu import outgoing_file, send_files
from tests.bench.heads import copy_of, template
from tests.bench.running_node import ROOT, RunningNode, running_node

_LIMIT_S = 1800.0


def real(folder: Path, *, heads: Path, bundle: str, workers: int, series: int) -> dict[str, Any]:
    """Send so many heads of 30 slices at once and wait until the last result is accepted."""
    files = template(heads, 30)
    copies = [copy_of(files, folder / f"head-{number}")[1] for number in range(series)]
    with (
        running_node(folder / "node", segmentation=bundle, early=False, quiet_s=1.0) as node,
        _more_workers(node, workers - 1),
    ):
        load = os.getloadavg()[0]
        for one in copies:
            send_files(node.peer, [outgoing_file(path) for path in one])
        rows = _delivered(node, series)
    begun = min(_seconds(row[0]) for row in rows)
    ended = max(_seconds(row[1]) for row in rows)
    each = [_seconds(row[1]) - _seconds(row[0]) for row in rows]
    return {
        "workers": workers,
        "series": series,
        "images": len(files),
        "bundle": bundle,
        "wall_s": ended - begun,
        "series_per_minute": series / (ended - begun) * 60,
        "analysis_s": each,
        "load": load,
    }


@contextmanager
def _more_workers(node: RunningNode, number: int) -> Iterator[None]:
    command = [sys.executable, "-m", "dicom_node", "serve", "--only", "worker"]
    started = [
        subprocess.Popen(
            [*command, "--config", str(node.folder / "node.toml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        for _ in range(number)
    ]
    try:
        for one in started:
            if one.stdout is None or not one.stdout.readline():
                raise RuntimeError("a worker did not start")
        yield
    finally:
        for one in started:
            one.send_signal(signal.SIGTERM)
            one.communicate(timeout=300)


def _delivered(node: RunningNode, series: int) -> list[tuple[str, str]]:
    """Wait for so many analyses; return when each began and ended."""
    asked = (
        "SELECT started_at, finished_at FROM jobs "
        "WHERE kind = 'analysis' AND state IN ('delivered', 'delivering')"
    )
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        rows = node.rows(asked)
        if len(rows) >= series:
            return rows
        time.sleep(0.5)
    raise RuntimeError(f"only {len(rows)} of {series} were analysed")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
