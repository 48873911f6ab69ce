"""Times what is left to read once the last image is there, and looks that nothing else changes.

With `--series` whole analyses of those series are made, late and early, with the networks of
`--models`: their objects must be the same, bit for bit.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import JPEGLSLossless
from rich.console import Console

from tests.bench.heads import template
from tests.bench.journey import show
from tests.bench.steps import warm_models

CONSOLE = Console()

#: Images that come between the last look at a series and its end: as many as a second brings that
#: the receiver takes beside a worker on two cores.
_LAST = 50


def bench_early(wanted: argparse.Namespace) -> dict[str, object]:
    """Time reading, with and without what was read while images came."""
    from dicom_node.images_ahead import ImagesAhead

    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(wanted.repetitions):
        for slices in wanted.lengths:
            for kind, files in _kinds(wanted.cache, slices).items():
                name = f"{slices} slices, {kind}"
                ahead, late = ImagesAhead(), ImagesAhead()
                seconds, _ = _timed(ahead.read, files, go_on=lambda: None)
                found["reading ahead, ms an image"][name].append(seconds / len(files) * 1e3)
                ahead.forget()
                ahead.read(files[:-_LAST], go_on=lambda: None)
                found["read, all at once, s"][name].append(_timed(late.take, files)[0])
                left = f"read, all but the last {_LAST} before, s"
                found[left][name].append(_timed(ahead.take, files)[0])
    report: dict[str, object] = {
        "figures": found,
        "ratios": show(found, "reading", reference=f"{wanted.lengths[0]} slices, plain"),
    }
    if wanted.series:
        report["same"] = [_same(wanted, folder) for folder in wanted.series]
    return report


def _kinds(cache: Path, slices: int) -> dict[str, list[Path]]:
    """Return the same head as it is and compressed."""
    plain = template(cache, slices)
    folder = cache / f"head-{slices}-jpeg-ls"
    if not folder.exists():
        making = cache / f"making-{slices}-jpeg-ls"
        making.mkdir(exist_ok=True)
        for path in plain:
            ds = pydicom.dcmread(path)
            ds.compress(JPEGLSLossless, generate_instance_uid=False)
            ds.save_as(making / path.name, enforce_file_format=True)
        making.rename(folder)
    return {"plain": plain, "JPEG-LS": sorted(folder.iterdir())}


def _same(wanted: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Analyse a series late and early; end the program if a single bit differs."""
    from dicom_node.bootstrap.analysts import series_analyst
    from dicom_node.bootstrap.encoding import encoded

    settings, models = warm_models(wanted.models)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    now = datetime.now(UTC)
    objects: dict[str, list[bytes]] = {}
    seconds: dict[str, float] = {}
    for name in ("late", "early"):
        analyst = series_analyst(settings, models, clock=lambda: now)
        prepared = None
        if name == "early":
            for number in range(1, len(files) + 1):
                analyst.ahead.read(files[:number], go_on=lambda: None)
            prepared = analyst.prepare(files, on_step=_ignore, on_progress=_ignore)
        with tempfile.TemporaryDirectory() as summary:
            seconds[name], outcome = _timed(
                analyst.analyze,
                files,
                series_instance_uid=uid,
                summary=Path(summary) / "summary",
                prepared=prepared,
            )
        objects[name] = [encoded(kind, one).encoded for kind, one in outcome.objects.with_kinds]
    is_same = objects["late"] == objects["early"]
    CONSOLE.print(
        f"{folder}: {len(files)} images, {len(objects['late'])} objects, "
        f"{'the same bit for bit' if is_same else 'NOT THE SAME'}; once the job is "
        f"there {seconds['late']:.1f} s late, {seconds['early']:.1f} s early"
    )
    if not is_same:
        sys.exit(1)
    return {"series": folder.name, "images": len(files), "seconds": seconds}


def _ignore(_: object) -> None:
    pass


def _timed(action: Callable[..., Any], files: Sequence[Path], **rest: Any) -> tuple[float, Any]:
    begun = time.perf_counter()
    answer = action(files, **rest)
    return time.perf_counter() - begun, answer
