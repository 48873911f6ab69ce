"""The node with a stand-in for the networks: the same processes, another pair of eyes.

Run as a program with the arguments of ``ichnode serve``. Everything is the product's own but the
models, so that the tests need no weights and no minutes. Only the worker loads what it analyses
with, as in the product.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from dicom_node.bootstrap.lean_imports import leave_decoders_out
from dicom_node.bootstrap.roles import run_worker
from dicom_node.commands.serve import RUNS, serve_role, settings_again, supervise
from dicom_node.commands.site import settings_of
from dicom_node.processes import Role


def work(duty):
    """Run the worker."""
    from acceptance.stand_in_models import make_stand_in

    run_worker(duty, make_analyst=make_stand_in)


def main(program=__file__):
    """Run the node, or one of its processes; `program` is what starts the others."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--only", type=Role)
    arguments = parser.parse_args()
    read = settings_of if arguments.only is None else settings_again
    path, settings = read(arguments.config)
    if arguments.only is None:
        start = [sys.executable, program, "--config", str(arguments.config), "--only"]
        supervise(settings, commands={role: [*start, str(role)] for role in Role})
        return
    runs = RUNS | {Role.WORKER: work}
    only = arguments.only
    if only is Role.RECEIVER:
        leave_decoders_out()
    serve_role(settings, only, run=runs[only], supervised=True, path=path)


if __name__ == "__main__":
    main()
