"""Two series of one patient on disk, and a comparer whose model knows where the blood is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from ct_builder import Ball, build_ct_series, save_series
from pydicom.dataset import Dataset
from result_cases import CLASSIFICATION_CARD, SEGMENTATION_CARD, ball_mask

from dicom_node.series_comparison import ComparisonConfiguration, SeriesComparer
from pipeline.finding import Segmentation, VolumeRange
from pipeline.follow_up.alignment import ScanAlignment
from pipeline.volume import CtVolume

Align = Callable[[CtVolume, CtVolume], ScanAlignment]

SMALL, LARGE = Ball(radius_mm=15.0), Ball(radius_mm=18.0)
NOW = datetime(2026, 1, 6, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A series on disk with its blood.

    Attributes
    ----------
    images : list of Dataset
        What was written.
    files : list of Path
        Where.
    ball : Ball or None
        The hematoma.
    """

    images: list[Dataset]
    files: list[Path]
    ball: Ball | None

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return str(self.images[0].SeriesInstanceUID)


def scan(
    folder: Path,
    ball: Ball | None,
    *,
    seed: int = 1,
    time: str = "20260105080000",
    changed: dict[str, object] | None = None,
    **options: object,
) -> Scan:
    """Write a series; every seed is a study of its own.

    Parameters
    ----------
    time : str
        Acquisition DateTime; empty for none at all.
    changed : dict
        Attributes of every image; None removes one.
    """
    images = build_ct_series(
        balls=[] if ball is None else [ball],
        seed=seed,
        study_uid=f"1.2.826.0.1.3680043.8.498.{seed}",
        **({"shape_yx": (80, 80), "slices": 18, "spacing_mm": 8.0} | options),
    )
    for image in images:
        for keyword in ("AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"):
            image.pop(keyword, None)
        for keyword in ("SeriesDate", "SeriesTime"):
            image.pop(keyword, None)
        if time:
            image.AcquisitionDateTime = time
        for keyword, value in (changed or {}).items():
            if value is None:
                image.pop(keyword, None)
            else:
                setattr(image, keyword, value)
    folder.mkdir(parents=True, exist_ok=True)
    return Scan(images=images, files=save_series(images, folder), ball=ball)


@dataclass(kw_only=True)
class KnowingModels:
    """Models that find each ball in its turn, with a range of 1 mL to either side.

    Attributes
    ----------
    balls : list
        Of the scans that are going to be asked for, in that order.
    """

    balls: list[Ball | None]
    segmentation_card: object = SEGMENTATION_CARD
    classification_card = CLASSIFICATION_CARD
    forecaster = None
    seen: list[CtVolume] = field(default_factory=list)

    def segment(self, volume: CtVolume, *, on_progress=None) -> Segmentation:  # noqa: ARG002
        """Return the next ball."""
        ball = self.balls[len(self.seen)]
        self.seen.append(volume)
        mask = ball_mask(volume, ball or Ball(radius_mm=0.001))
        ml = 0.0 if ball is None else ball.volume_ml
        return Segmentation(
            hematoma=mask,
            volume_range=VolumeRange(low_ml=max(0.0, ml - 1), high_ml=ml + 1),
        )


def lying_still(_baseline: CtVolume, _follow_up: CtVolume) -> ScanAlignment:
    """Return the alignment of a head that has not moved, which takes no time to find."""
    return ScanAlignment(matrix=np.eye(3), translation_mm=np.zeros(3), correlation=0.99)


def comparer(
    *balls: Ball | None, align: Align = lying_still, **configuration: object
) -> SeriesComparer:
    """Return a comparer that finds these balls, in heads that have not moved."""
    return SeriesComparer(
        KnowingModels(balls=list(balls)),
        clock=lambda: NOW,
        timer=lambda: 0.0,
        configuration=ComparisonConfiguration(**configuration),
        align=align,
    )


def compare(
    before: Scan,
    after: Scan,
    folder: Path,
    *,
    align: Align = lying_still,
    **configuration: object,
):
    """Return what comes of two scans."""
    return comparer(before.ball, after.ball, align=align, **configuration).compare(
        before.files,
        after.files,
        baseline_series_uid=before.uid,
        follow_up_series_uid=after.uid,
        summary=folder / "summary",
    )
