"""A worker process of the node whose analyst only sleeps: what is left is the engine."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from node_builders import MemoryStore, result_objects

from dicom_node.jobs.routing import Route
from dicom_node.jobs.task import AnalysisOutcome, AnalysisTask, Analyzed
from dicom_node.jobs.worker import JobRules, Worker
from tests.scale.stage import now, opened, place_of


class Sleeper:
    """Takes its time, then has three small results, as every analysis has."""

    model_digest = configuration_digest = "sleeper"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        for step in ("read", "segment", "classify", "encode"):
            on_step(step)
            time.sleep(self._seconds / 4)
        return Analyzed(objects=result_objects(str(task.job_id)), record={"status": "slept"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger", type=place_of)
    parser.add_argument("--name", required=True)
    parser.add_argument("--sleep", type=float, required=True)
    parser.add_argument("--lease", type=float, required=True)
    wanted = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ledger = opened(wanted.ledger)
    worker = Worker(
        name=wanted.name,
        queue=ledger.jobs,
        spool_root=Path("/nowhere"),
        analyst=Sleeper(wanted.sleep),
        store=MemoryStore(),
        destinations=(Route(name="pacs"),),
        rules=JobRules(lease_s=wanted.lease),
        clock=now,
        on_overrun=lambda: None,
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begun = time.process_time()
    worker.run(stop)
    sys.stdout.write(json.dumps({"cpu_s": time.process_time() - begun}) + "\n")


if __name__ == "__main__":
    main()
