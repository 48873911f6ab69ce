"""The recipe of an upgrade and both ways back, run line by line as docs/deployment.md has them."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from fenced_blocks import ROOT, blocks_of

#: What the recipe names outside of the node's own folders, here below one folder.
PLACES = ("/opt/", "/etc/", "/var/", "/backup/")

VERSION_1 = ROOT / "tests" / "unit" / "node" / "ledger_version_1.sql"

#: Stands for an ichnode of schema version 1: it opens such ledgers and no others.
EARLIER = """#!{python} -I
import sqlite3, sys
rows = sqlite3.connect("{ledger}").execute("SELECT value FROM ledger_meta ORDER BY key DESC")
sys.exit(rows.fetchone() != ("1",))
"""

PROGRAMS = {
    "systemctl": '#!/bin/sh\necho systemctl "$@" >> {told}\n',
    "runuser": '#!/bin/sh\necho runuser "$2" >> {told}\nshift 3\nexec "$@"\n',
}

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(300)]


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Machine:
    """A machine with ichnode of version 1, a newer one beside it, and what stands for systemd."""

    def __init__(self, root):
        self.root = root
        self.data = root / "var" / "lib" / "ichnode"
        self.ledger = self.data / "ledger.sqlite"
        self.told = root / "told.txt"
        for folder in (self.data, root / "etc" / "ichnode", root / "backup"):
            folder.mkdir(parents=True)
        (root / "etc" / "ichnode" / "node.toml").write_text('[node]\nae_title = "OURS"\n')
        with closing(sqlite3.connect(self.ledger)) as connection:
            connection.executescript(VERSION_1.read_text())
            connection.executescript(
                "INSERT INTO ledger_meta VALUES ('schema_version', '1'), ('patient_salt', '00')"
            )
        earlier = EARLIER.format(python=sys.executable, ledger=self.ledger)
        program(root / "opt" / "ichnode-OLD" / "bin" / "ichnode", earlier)
        (root / "opt" / "ichnode-NEW" / "bin").mkdir(parents=True)
        newer = Path(sys.executable).with_name("ichnode")
        (root / "opt" / "ichnode-NEW" / "bin" / "ichnode").symlink_to(newer)
        (root / "opt" / "ichnode").symlink_to("ichnode-OLD")
        for name, text in PROGRAMS.items():
            program(root / "bin" / name, text.format(told=self.told))
        command = (ROOT / "deploy" / "ichnode-command").read_text()
        program(root / "bin" / "ichnode", self.moved(command))

    def moved(self, text):
        """Return a text whose places lie below the machine's own folder."""
        return re.sub("|".join(PLACES), lambda place: f"{self.root}{place.group()}", text)

    def run(self, block):
        """Run the lines of a block as root would; return what was said if one of them failed."""
        lines = [line.removeprefix("# ") for line in block.text.splitlines()]
        done = subprocess.run(
            ["bash", "-e", "-c", self.moved("\n".join(lines))],
            env={**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    @property
    def version(self):
        with closing(sqlite3.connect(self.ledger)) as connection:
            (found,) = connection.execute(
                "SELECT value FROM ledger_meta WHERE key = 'schema_version'"
            ).fetchone()
        return found

    @property
    def in_use(self):
        return (self.root / "opt" / "ichnode").readlink().name


def recipes():
    """Return the blocks that stop the node: the upgrade, and two ways back."""
    page = ROOT / "docs" / "deployment.md"
    return [one for one in blocks_of(page) if "systemctl stop ichnode" in one.text]


def test_the_recipe_leads_up_and_both_ways_back(tmp_path):
    """Version 1 becomes version 2; after either way back the old ichnode opens its ledger."""
    upgrade, back, down = recipes()
    machine = Machine(tmp_path)

    assert machine.run(upgrade) == ""
    assert (machine.version, machine.in_use) == ("2", "ichnode-NEW")
    upgraded = tmp_path / "upgraded"
    shutil.copytree(machine.data, upgraded)

    assert machine.run(back) == ""
    assert (machine.version, machine.in_use) == ("1", "ichnode-OLD")

    shutil.rmtree(machine.data)
    upgraded.rename(machine.data)
    (tmp_path / "opt" / "ichnode").unlink()
    (tmp_path / "opt" / "ichnode").symlink_to("ichnode-NEW")
    assert machine.run(down) == ""
    assert (machine.version, machine.in_use) == ("1", "ichnode-OLD")

    told = machine.told.read_text().splitlines()
    assert told[:3] == ["systemctl stop ichnode", "systemctl start ichnode", "runuser ichnode"]
