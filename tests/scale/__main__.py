"""How far the node scales: python -m tests.scale [PART...], or --model KEY=VALUE...

The parts are throughput (workers that only sleep: what is left is the engine), fairness, urgency,
recovery (every process of a host is killed), postgresql (throughput on it), parts (what the model
is made of), archive (an Orthanc beside us), real (one and two workers with the compact bundle).
Results are scale.json and a picture.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.scale.model import Parts, demand_of, needs, table

ROOT = Path(__file__).parents[2]
RESULTS = "scale.json"

ENGINE = ("throughput", "fairness", "urgency", "recovery")
ALL = (*ENGINE, "postgresql", "parts", "archive", "real")


def main() -> None:
    """Measure the parts that are named and write them to those measured before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="make scale")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(ALL)}; default: the engine's")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--jobs", type=int, default=15, help="of each worker")
    parser.add_argument("--sleep", type=float, default=1.0, help="length of an analysis, s")
    parser.add_argument("--lease", type=float, default=30.0)
    parser.add_argument("--series", type=int, default=4, help="of the part real")
    parser.add_argument("--bundle", default="compact-segmentation")
    parser.add_argument("--heads", type=Path, default=ROOT / "bench-output")
    parser.add_argument("--output", type=Path, default=ROOT / "scale-output")
    parser.add_argument("--model", nargs="+", metavar="KEY=VALUE")
    wanted = parser.parse_args()
    wanted.output.mkdir(parents=True, exist_ok=True)
    target = wanted.output / RESULTS
    if wanted.model:
        _tell_model(target, dict(word.partition("=")[::2] for word in wanted.model))
        return
    facts = json.loads(target.read_text()) if target.is_file() else {}
    for name in wanted.parts or ENGINE:
        if name not in ALL:
            parser.error(f"no such part: {name}; there are {', '.join(ALL)}")
        with tempfile.TemporaryDirectory() as folder:
            facts[name] = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "cores": os.cpu_count(),
                "machine": platform.platform(),
                "load_before": os.getloadavg()[0],
                "found": measure(name, Path(folder), wanted),
            }
        target.write_text(json.dumps(facts, indent=1) + "\n")
        print(f"{name}: {json.dumps(facts[name]['found'])}")
    if set(ENGINE) <= set(facts):
        from tests.scale.pictures import draw

        draw(facts, wanted.output)
    print(f"results: {target}")


def measure(name: str, folder: Path, wanted: argparse.Namespace) -> Any:
    """Measure one part."""
    from tests.scale import engine

    sleep_s = wanted.sleep
    if name in {"throughput", "postgresql"}:
        return [
            engine.throughput(
                folder / str(number),
                number,
                jobs=wanted.jobs * number,
                sleep_s=sleep_s,
                on_postgresql=name == "postgresql",
            )
            for number in wanted.workers
        ]
    if name == "fairness":
        return engine.fairness(folder / name, workers=2, sleep_s=sleep_s / 2)
    if name == "urgency":
        return [
            engine.urgency(folder / str(number), workers=number, sleep_s=sleep_s, times=12)
            for number in wanted.workers[:3]
        ]
    if name == "recovery":
        return engine.recovery(folder / name, workers=4, sleep_s=3 * sleep_s, lease_s=wanted.lease)
    if name == "real":
        from tests.scale.real import real

        return [
            real(
                folder / str(number),
                heads=wanted.heads,
                bundle=wanted.bundle,
                workers=number,
                series=wanted.series,
            )
            for number in (1, 2)
        ]
    return _parts(name, folder)


def _parts(name: str, folder: Path) -> Any:
    from ct_builder import build_ct_series, save_series

    from tests.scale.parts import DAY, archive_parts, ledger_parts

    if name == "parts":
        return ledger_parts(folder, studies=5)
    files = []
    for number in range(8):
        series = build_ct_series(slices=30, seed=number, study_uid=f"1.2.3.{number}")
        for image in series:
            image.StudyDate, image.StudyTime = f"{DAY:%Y%m%d}", "101500"
        files.append(save_series(series, folder / f"head-{number}"))
    return archive_parts(folder, files)


def _tell_model(target: Path, words: dict[str, str]) -> None:
    """Print what a demand needs, or every case of the manual if it is called ``cases``."""
    file = target if target.is_file() else ROOT / "docs" / "scale" / RESULTS
    parts = Parts(**json.loads(file.read_text())["model"])
    answer = table(parts) if "cases" in words else needs(demand_of(words), parts)
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
