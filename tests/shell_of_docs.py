"""Runs the commands of a block of the documentation."""

import os
import subprocess
import sys
from pathlib import Path


def ready_shell(folder, config, *, node_port=None):
    """Return a function that runs the commands of a block in a folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    config : Path
        Settings file that every command uses.
    node_port : int, optional
        Stands for the port 11112 of the page.
    """
    folder.mkdir(exist_ok=True)
    programs = Path(sys.executable).parent

    def run(block):
        text = block.text
        if node_port is not None:
            text = text.replace("127.0.0.1:11112", f"127.0.0.1:{node_port}")
        return subprocess.run(
            ["bash", "-e", "-c", text],
            cwd=folder,
            env=os.environ
            | {"PATH": f"{programs}:{os.environ['PATH']}", "ICHNODE_CONFIG": str(config)},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    return run
