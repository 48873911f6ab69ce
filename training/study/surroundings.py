"""Under which conditions a study ran: versions, machine, files of its configuration."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

import pipeline
from training.segmentation.benchmark.hardware import describe_hardware
from training.study.stage import StudySettings

#: Libraries that decide results.
_LIBRARIES = (
    *("torch", "nnunetv2", "timm", "numpy", "scipy", "scikit-image", "SimpleITK", "highdicom"),
    *("pydicom", "nibabel", "matplotlib"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Conditions of a study.

    Attributes
    ----------
    hardware : str
        The machine in words.
    versions : mapping of str to str
        Of this project, Python and libraries.
    files : mapping of str to str
        Text of the budget and of every recipe that it names, by file name.
    """

    hardware: str
    versions: Mapping[str, str]
    files: Mapping[str, str]


def surroundings(settings: StudySettings) -> Surroundings:
    """Return the conditions of this process."""
    versions = {"ichnode": pipeline.__version__, "Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    paths = (settings.budget.path, *settings.budget.recipes())
    return Surroundings(
        hardware=describe_hardware(torch.device(settings.device)),
        versions=versions,
        files={path.name: path.read_text(encoding="utf-8") for path in paths},
    )
