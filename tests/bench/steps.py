"""Times each step of an analysis in a process whose models are warm.

What `ichnode analyze` takes from its start holds the loading of libraries and models; a worker
does that once. The two lengths of series are interleaved.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from tests.bench.heads import ROOT, template
from tests.bench.journey import show

if TYPE_CHECKING:
    from dicom_node.settings.schema import Settings
    from pipeline.models import Models


def warm_models(bundle: str) -> tuple["Settings", "Models"]:
    """Return the settings as delivered with this segmentation bundle, and its models, warm."""
    from dicom_node.bootstrap.node_models import load_node_models
    from dicom_node.commands.site import settings_of
    from dicom_node.settings.schema import WorkerSettings

    _, settings = settings_of(ROOT / "config" / "node.toml")
    worker = WorkerSettings(segmentation_bundle=bundle)
    settings = settings.model_copy(update={"worker": worker})
    models = load_node_models(settings)
    models.warm_up()
    return settings, models


def bench_steps(wanted: argparse.Namespace) -> dict[str, object]:
    """Time the steps for 30 and 300 slices; the first round warms and is not counted."""
    from dicom_node.bootstrap.analysts import series_analyst

    begun = time.perf_counter()
    settings, models = warm_models(wanted.models)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    found["load and warm up, s"]["30 slices"].append(time.perf_counter() - begun)
    analyst = series_analyst(settings, models)
    lengths = {f"{slices} slices": template(wanted.cache, slices) for slices in wanted.lengths}
    for repetition in range(wanted.repetitions + 1):
        for name, files in lengths.items():
            uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
            with tempfile.TemporaryDirectory() as scratch:
                begun, cpu = time.perf_counter(), time.process_time()
                outcome = analyst.analyze(
                    files, series_instance_uid=uid, summary=Path(scratch) / "summary"
                )
                whole, cpu = time.perf_counter() - begun, time.process_time() - cpu
            prefix = "first: " if repetition == 0 else ""
            steps = outcome.record["seconds_per_step"]
            for step, seconds in steps.items():
                found[f"{prefix}{step}, s"][name].append(seconds)
            rest = max(whole - sum(steps.values()), 0.0)
            found[f"{prefix}summarize, s"][name].append(rest)
            found[f"{prefix}whole, s"][name].append(whole)
            found[f"{prefix}whole, CPU s"][name].append(cpu)
    return {
        "models": wanted.models,
        "device": models.device,
        "figures": found,
        "ratios": show(found, f"warm analysis, {wanted.models}", reference="30 slices"),
    }
