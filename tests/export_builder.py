"""A site with patients who were followed: images in a spool, masks in an outbox, comparisons."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ct_builder import Ball, build_ct_series, save_series
from result_cases import Case, ball_mask, context, hematoma_found

from dicom_node.jobs.followed import FollowedPair, FollowedScan
from dicom_node.results.identity import result_identity
from dicom_node.results.segmentation import encode_segmentation
from dicom_node.results.source import source_series
from pipeline.ct_series import read_ct_series

SMALL_BALL, GROWN_BALL = Ball(), Ball(radius_mm=30.0)
ADMISSION = datetime(2026, 1, 5, 23, 30)  # noqa: DTZ001 - as scanners write it, without a zone


def as_it_is(ds):
    """Leave an image alone."""


@dataclass
class FollowedSite:
    """Makes files and comparisons below a folder."""

    folder: Path
    jobs: int = 0
    scans: dict = field(default_factory=dict)

    @property
    def spool(self):
        return self.folder / "spool"

    @property
    def outbox(self):
        return self.folder / "outbox"

    def scan(self, patient, *, ball=SMALL_BALL, at=ADMISSION, change=as_it_is):
        """Return a scan in custody with the node's segmentation of it."""
        number = len(self.scans) + 1
        series = build_ct_series(
            slices=14,
            shape_yx=(64, 64),
            balls=[ball],
            noise_hu=3.0,
            seed=number,
            patient_id=patient,
            patient_name=f"{patient}^NAME",
        )
        for ds in series:
            for prefix in ("Study", "Series", "Acquisition", "Content"):
                setattr(ds, f"{prefix}Date", f"{at:%Y%m%d}")
                setattr(ds, f"{prefix}Time", f"{at:%H%M%S}")
        volume = read_ct_series(series)
        found = hematoma_found(ball_mask(volume, ball), flags=volume.flags)
        source, told = source_series(series, volume), context()
        identity = result_identity(
            source.series_instance_uid,
            sop_instance_uids=source.sop_instance_uids,
            models=told.models,
            configuration_digest=told.configuration_digest,
        )
        mask = encode_segmentation(found.mask, source=source, identity=identity, context=told)
        for ds in series:
            change(ds)
        files = save_series(series, self.spool / str(number))
        place = self.outbox / str(number)
        place.mkdir(parents=True)
        mask.save_as(place / "mask.dcm", enforce_file_format=True)
        scan = FollowedScan(
            series_uid=str(series[0].SeriesInstanceUID),
            input_digest=f"digest-{number}",
            acquired_at=at.isoformat(),
            files=tuple(path.relative_to(self.spool) for path in files),
            masks=(Path(str(number)) / "mask.dcm",),
        )
        self.scans[scan.series_uid] = Case(series=series, volume=volume, analysis=found)
        return scan

    def pair(self, patient, baseline, follow_up, **record):
        """Return a comparison as the node would have made it."""
        self.jobs += 1
        told = {
            "status": "compared",
            "elapsed_hours": 6.0,
            "baseline_volume_ml": SMALL_BALL.volume_ml,
            "follow_up_volume_ml": GROWN_BALL.volume_ml,
            "change_ml": GROWN_BALL.volume_ml - SMALL_BALL.volume_ml,
            "definition": "standard",
            "criteria": ["absolute_growth", "relative_growth"],
            "expanded": True,
            "is_certain": None,
            "flags": [],
            "model": {"segmentation": {"name": "ich-seg", "version": "1.2.0"}},
        }
        return FollowedPair(
            job_id=self.jobs,
            patient_key=patient,
            finished_at=datetime(2026, 1, 7, tzinfo=UTC),
            baseline=baseline,
            follow_up=follow_up,
            masks=(),
            record=told | record,
        )

    def followed(self, patient, *, hours=6.0, change=as_it_is, **record):
        """Return the comparison of a baseline with a scan some hours later."""
        later = ADMISSION + timedelta(hours=hours)
        return self.pair(
            patient,
            self.scan(patient, change=change),
            self.scan(patient, ball=GROWN_BALL, at=later, change=change),
            **record,
        )
