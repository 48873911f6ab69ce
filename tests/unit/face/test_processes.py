"""The supervisor keeps its children running and takes them along when it goes."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from dicom_node.processes import Role, StartError, Supervisor

PATIENT = """
import signal, sys, threading, os
from dicom_node.processes import announce_ready, stop_on_signals, stop_with_supervisor
stop = threading.Event()
stop_on_signals(stop.set)
stop_with_supervisor(sys.stdin.fileno(), stop.set)
print("a library prints something")
announce_ready(sys.stdout, pid=os.getpid())
stop.wait()
"""
DEAF = PATIENT.replace(
    "stop_on_signals(stop.set)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
)

#: Only ever reached when something is wrong.
DEADLINE_S = 60


def python(code):
    return [sys.executable, "-c", code]


class Running:
    """A supervisor in a thread, and what it heard."""

    def __init__(self, commands, **options):
        self.facts = {}
        self.ready = threading.Event()
        self.supervisor = Supervisor(commands, on_ready=self._on_ready, **options)
        self.thread = threading.Thread(target=self.supervisor.run, daemon=True)
        self.thread.start()

    def _on_ready(self, facts):
        self.facts = facts
        self.ready.set()

    def stop(self):
        self.supervisor.stop()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_readiness_is_announced_once_all_children_said_so():
    """What a library prints is not taken for it."""
    running = Running({Role.RECEIVER: python(PATIENT), Role.OFFICE: python(PATIENT)})

    assert running.ready.wait(DEADLINE_S)

    assert set(running.facts) == {Role.RECEIVER, Role.OFFICE}
    pids = [facts["pid"] for facts in running.facts.values()]
    running.stop()
    assert not any(is_alive(pid) for pid in pids)
    assert [child.process.returncode for child in running.supervisor._children] == [0, 0]


def test_a_killed_child_is_started_again():
    """The node heals itself."""
    running = Running({Role.WORKER: python(PATIENT)})
    assert running.ready.wait(DEADLINE_S)
    first = running.facts[Role.WORKER]["pid"]
    child = running.supervisor._children[0]

    os.kill(first, 9)

    wait_until(lambda: child.ready is not None and child.ready["pid"] != first)
    running.stop()


def test_a_child_that_cannot_start_ends_the_supervisor():
    """A wrong port must be seen at once, not retried for ever."""
    supervisor = Supervisor({Role.RECEIVER: python("raise SystemExit(2)")})

    with pytest.raises(StartError, match="receiver"):
        supervisor.run()


def test_a_child_that_does_not_stop_is_killed():
    """A stop ends within its time limit."""
    running = Running({Role.WORKER: python(DEAF)}, stop_time_s=0.2)
    assert running.ready.wait(DEADLINE_S)
    pid = running.facts[Role.WORKER]["pid"]

    running.stop()

    assert not is_alive(pid)


def test_children_stop_when_the_supervisor_is_killed():
    """No orphan keeps the port after ``kill -9`` of the parent."""
    parent = (
        "import sys, json\n"
        "from dicom_node.processes import Role, Supervisor\n"
        f"command = {python(PATIENT)!r}\n"
        "Supervisor({Role.WORKER: command}, on_ready=lambda facts: "
        "print(json.dumps(facts), flush=True)).run()\n"
    )
    with subprocess.Popen(python(parent), stdout=subprocess.PIPE) as process:
        pid = json.loads(process.stdout.readline())["worker"]["pid"]
        process.kill()

    wait_until(lambda: not is_alive(pid))


def test_a_signal_stops_a_process_whose_main_thread_does_not_wake_for_it():
    """As one that came the moment before a wait began: here the main thread lets it pass."""
    code = PATIENT.replace(
        "announce_ready(",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); announce_ready(",
    )
    child = subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline()
        assert child.stdout.readline()

        child.terminate()

        assert child.wait(DEADLINE_S) == 0
