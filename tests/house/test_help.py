"""Help answers at once, because nothing heavy is imported for it."""

import subprocess
import sys
import time

import pytest

#: Libraries that take long to import; none of them may be needed to explain a command.
HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "highdicom",
    "pydicom",
    "pynetdicom",
    "SimpleITK",
    "sqlalchemy",
    "apscheduler",
    "matplotlib",
    "timm",
    "fastapi",
    "pydantic",
)


@pytest.mark.parametrize("module", ["dicom_node.cli", "training.cli"])
def test_the_command_line_imports_nothing_heavy(module):
    """What a command needs is imported when it is called."""
    code = f"import {module}, sys; print(*sorted(set(sys.modules) & set({HEAVY!r})))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize("package", ["dicom_node", "training"])
def test_help_answers_in_under_a_second(package):
    """The best of three, so that a busy machine does not fail it."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)

    assert min(seconds) < 1.0


def test_every_command_is_explained_with_an_example():
    """Help teaches."""
    from dicom_node.cli import app

    for command in app.registered_commands:
        text = command.callback.__doc__
        assert f"ichnode {command.name or command.callback.__name__}" in text
