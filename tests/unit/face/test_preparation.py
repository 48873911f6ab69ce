"""A process that is told to stop before it can work ends at once, and in order."""

import subprocess
import sys
import threading

import pytest
from node_builders import opened_ledger

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.live_analyst import LiveAnalyst
from dicom_node.bootstrap.preparation import ends_at_once
from dicom_node.processes import StoppedError
from dicom_node.settings.schema import Settings

#: Only ever reached when something is wrong.
DEADLINE_S = 60

#: A worker whose models take ten minutes to load.
SLOW_WORKER = """
import sys, time
from pathlib import Path
from dicom_node.bootstrap.roles import run_worker
from dicom_node.commands.serve import serve_role
from dicom_node.processes import Role
from dicom_node.settings.schema import NodeSettings, Settings

def load(settings, layout):
    print("loading", flush=True)
    time.sleep(600)

settings = Settings(node=NodeSettings(data_dir=Path(sys.argv[1])))
run = lambda duty: run_worker(duty, make_analyst=load)
serve_role(settings, Role.WORKER, run=run, supervised=False)
"""


def test_a_worker_that_loads_models_ends_in_order_when_it_is_told_to(tmp_path):
    """Exit code 0, nothing in the log that is wrong, and nobody misses it in the ledger."""
    command = [sys.executable, "-c", SLOW_WORKER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        try:
            assert worker.stdout.readline() == b"loading\n"
            worker.terminate()
            _, log = worker.communicate(timeout=DEADLINE_S)
        finally:
            worker.kill()

    assert worker.returncode == 0, log
    assert b"nothing is in hand" in log
    assert b"ERROR" not in log
    assert b"WARNING" not in log
    with opened_ledger(DataLayout(root=tmp_path).ledger) as ledger:
        (process,) = (one for one in ledger.reports.processes() if one.name == "worker-0")
    assert process.ended_at is not None


def test_it_leaves_before_it_ends():
    """Told to stop within the block, while the block itself hears nothing."""
    stop, ended, did = threading.Event(), threading.Event(), []

    def end():
        did.append("end")
        ended.set()

    with ends_at_once(stop, leave=lambda: did.append("leave"), end=end):
        stop.set()
        assert ended.wait(DEADLINE_S)

    assert did == ["leave", "end"]


def test_once_it_is_over_nothing_ends():
    """From then on the work has its own way to stop."""
    stop, did = threading.Event(), []
    before = set(threading.enumerate())

    with ends_at_once(stop, end=lambda: did.append("end")):
        (watcher,) = set(threading.enumerate()) - before
    stop.set()
    watcher.join(DEADLINE_S)

    assert not watcher.is_alive()
    assert did == []


def test_who_was_told_to_stop_before_does_not_begin():
    """Between two settings, say."""
    stop = threading.Event()
    stop.set()

    with pytest.raises(StoppedError), ends_at_once(stop):
        raise AssertionError("it began")


def test_models_that_were_not_loaded_for_a_stop_are_not_called_unusable(tmp_path):
    """Health would say so until the next start."""
    stop, told = threading.Event(), []
    stop.set()

    def load(settings, layout):
        with ends_at_once(stop):
            raise AssertionError((settings, layout))

    analysts = LiveAnalyst(load, DataLayout(root=tmp_path), tell=told.append)

    with pytest.raises(StoppedError):
        analysts.of(Settings())
    assert told == []
