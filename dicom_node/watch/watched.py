"""The watch at one moment, with how drift went before."""

from collections.abc import Mapping
from dataclasses import dataclass

from dicom_node.watch.history import DriftPoint
from dicom_node.watch.report import WatchReport
from pipeline.training_statistics import Measure, Trait


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """What the watch saw.

    Attributes
    ----------
    report : WatchReport
        As it stands.
    history : mapping of Measure or Trait to tuple of DriftPoint
        Of the version in use.
    """

    report: WatchReport
    history: Mapping[Measure | Trait, tuple[DriftPoint, ...]]
