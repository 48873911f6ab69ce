"""The node as processes, for the acceptance tests: start, kill, ask, stop."""

import contextlib
import http.client
import io
import json
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.cli.app import main
from dicom_node.commands.demo_stage import free_ports

STAND_IN = Path(__file__).with_name("stand_in_node.py")

#: Only ever reached when something is wrong.
DEADLINE_S = 300

_CONFIG = """
[node]
ae_title = "ICHNODE"
port = {dicom_port}
callers = ["ICHNODE", "STORESCU", "DCMSEND", "MODALITY"]
data_dir = "{data_dir}"
free_space_floor_mb = 1

[[peers]]
name = "pacs"
ae_title = "{pacs_title}"
host = "127.0.0.1"
port = {pacs_port}
receives_results = true

[assembly]
quiet_time_s = 0.5
force_time_s = 4.0
study_quiet_time_s = 0.5
study_limit_s = 5.0

[worker]
lease_s = 3.0
first_retry_s = 0.5

[delivery]
first_retry_s = 0.5

[web]
port = {web_port}
open_on_loopback = true
"""


def wait_until(condition, *, timeout_s=DEADLINE_S):
    """Ask again and again until the answer is true; return it.

    The longer an answer takes, the longer is the pause: who is asked shall have time to work.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        asked = time.monotonic()
        answer = condition()
        if answer:
            return answer
        answered = time.monotonic()
        assert answered < deadline, f"not within {timeout_s} s"
        pause.wait(min(max(4 * (answered - asked), 0.1), 2.0))


def _listen(process, lines):
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def run_here(arguments, *, stdin=""):
    """Run a command of ``ichnode`` in this process, which has loaded its libraries already.

    What it says is caught, warnings of the log with it, as a program that sets up no log says
    them on standard error.
    """
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["ichnode", *map(str, arguments)], io.StringIO(stdin)
    listener = logging.StreamHandler(err)
    listener.setLevel(logging.WARNING)
    logging.getLogger().addHandler(listener)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        logging.getLogger().removeHandler(listener)
        sys.argv, sys.stdin = before
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


class NodeProcess:
    """A node with stand-in models on free ports, with its data below a folder."""

    def __init__(self, folder, *, pacs_port, pacs_title="PACS"):
        self.folder = folder
        self.dicom_port, self.web_port = free_ports(2)
        self.config = folder / "node.toml"
        self.log = folder / "node.log"
        self.config.write_text(
            _CONFIG.format(
                dicom_port=self.dicom_port,
                web_port=self.web_port,
                data_dir=folder / "data",
                pacs_port=pacs_port,
                pacs_title=pacs_title,
            )
        )
        self.program = [sys.executable, str(STAND_IN)]
        self.patience_s = DEADLINE_S
        self.process = None
        self.said = None

    @property
    def peer(self):
        """The node as a modality calls it."""
        return Peer(
            name="node",
            ae_title="ICHNODE",
            host="127.0.0.1",
            port=self.dicom_port,
            calling_ae_title="MODALITY",
            connect_timeout_s=5,
        )

    def start(self):
        """Start it and wait until it says that it is ready; what it says next is in `said`."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*self.program, "--config", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.said = queue.Queue()
        threading.Thread(target=_listen, args=(self.process, self.said), daemon=True).start()
        line = self.said.get(timeout=self.patience_s)
        assert line.startswith("ready:"), self.log.read_text()
        return line

    def stop(self):
        """Stop it in an orderly way; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        return code

    def kill(self):
        """Kill the supervisor, as a power failure would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def pid_of(self, role):
        """Return the process of a role that was started last."""
        found = re.findall(rf"{role} started as process (\d+)", self.log.read_text())
        return int(found[-1]) if found else None

    def kill_role(self, role):
        """Kill one process and wait until another one has taken its place."""
        pid = self.pid_of(role)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pid_of(role) != pid)

    def in_force(self, changes):
        """Wait until each of the three processes has taken each of the changes of the settings.

        A process that is slow takes two changes as one: they must be waited for one by one.
        """
        wait_until(lambda: self._taken() >= 3 * changes)

    def take(self, text):
        """Write other settings into the file and wait until each of the processes has them."""
        before = self._taken()
        self.config.write_text(text)
        wait_until(lambda: self._taken() >= before + 3)

    def _taken(self):
        return self.log.read_text().count("the new ones are in force")

    def get(self, path):
        """Return what the status page answers, as text."""
        url = f"http://127.0.0.1:{self.web_port}{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read().decode()

    def run(self, *arguments, stdin=""):
        """Run a command of ``ichnode`` with this node's settings; see `run_here`."""
        return run_here([*arguments, "--config", str(self.config)], stdin=stdin)

    def rows(self):
        """Return every series as the page tells it to programs; none while nobody answers."""
        try:
            return json.loads(self.get("/status.json"))["series"]
        except (OSError, http.client.HTTPException):
            return []

    def send(self, paths):
        """Send files as a modality does; return whether all were acknowledged."""
        outcomes = send_files(self.peer, [outgoing_file(path) for path in paths])
        return len(outcomes) == len(paths) and all(outcome.accepted for outcome in outcomes)

    def send_all(self, paths):
        """Send files as a modality does; raises if one is not acknowledged."""
        outcomes = send_files(self.peer, [outgoing_file(path) for path in paths])
        refused = [
            (number, outcome) for number, outcome in enumerate(outcomes) if not outcome.accepted
        ]
        if refused or len(outcomes) != len(paths):
            raise RuntimeError(f"{len(outcomes)} of {len(paths)} answered, refused: {refused}")
