"""The UIDs of one result set.

A UID is `2.25.` followed by a UUID of version 5 (PS3.5, section B.2), computed from what the
result depends on. The same images, models and configuration give the same objects, so that a
repeat after a crash is the same result and not a second one; whatever changes gives new UIDs.
"""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

#: Name space of all UIDs made here; changing it would make every old result a stranger.
NAMESPACE: Final = uuid.UUID("6a5f4d0e-9d0e-5c55-8f0b-4f6d7c1f2b3a")


class ModelIdentity(Protocol):
    """What a result must know about a model; a model card fits."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def version(self) -> str:
        """Version of the weights."""

    @property
    def demonstration(self) -> bool:
        """Whether the model was trained on simulated data."""

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights."""


class ResultRole(StrEnum):
    """What a UID stands for. The values enter the UIDs; never rename one."""

    REPORT_SERIES = "report series"
    REPORT = "report"
    SEGMENTATION_SERIES = "segmentation series"
    SEGMENTATION = "segmentation"
    SEGMENTATION_DIMENSIONS = "segmentation dimensions"
    FORECAST_SERIES = "forecast series"
    FORECAST = "forecast"
    FORECAST_DIMENSIONS = "forecast dimensions"
    UNCERTAINTY_SERIES = "uncertainty series"
    UNCERTAINTY_MAP = "uncertainty map"
    UNCERTAINTY_DIMENSIONS = "uncertainty dimensions"
    PDF_SERIES = "pdf series"
    PDF = "pdf"
    KEY_OBJECTS_SERIES = "key objects series"
    KEY_OBJECTS = "key objects"
    CAPTURE_SERIES = "capture series"
    CAPTURE = "capture"
    SLICE_TRACKING = "slice tracking"
    ANALYSIS_TRACKING = "analysis tracking"
    COMPARISON_REPORT_SERIES = "comparison report series"
    COMPARISON_REPORT = "comparison report"
    COMPARISON_CAPTURE_SERIES = "comparison capture series"
    COMPARISON_CAPTURE = "comparison capture"
    COMPARISON_PDF_SERIES = "comparison pdf series"
    COMPARISON_PDF = "comparison pdf"
    COMPARISON_KEY_OBJECTS_SERIES = "comparison key objects series"
    COMPARISON_KEY_OBJECTS = "comparison key objects"
    COMPARED_BASELINE_SERIES = "compared baseline series"
    COMPARED_BASELINE = "compared baseline"
    COMPARED_BASELINE_DIMENSIONS = "compared baseline dimensions"
    COMPARED_FOLLOW_UP_SERIES = "compared follow-up series"
    COMPARED_FOLLOW_UP = "compared follow-up"
    COMPARED_FOLLOW_UP_DIMENSIONS = "compared follow-up dimensions"
    COMPARISON_TRACKING = "comparison tracking"
    NOT_PROCESSED_SERIES = "not processed series"
    NOT_PROCESSED = "not processed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultIdentity:
    """What makes one result set different from every other.

    Attributes
    ----------
    series_instance_uid : str
        Series that was analysed.
    instances_sha256 : str
        Digest of its SOP Instance UIDs, from `digest_of_instances`.
    models : tuple of str
        One line per model, from `model_line`.
    configuration_digest : str
        Digest of every setting that can change a result.
    """

    series_instance_uid: str
    instances_sha256: str
    models: tuple[str, ...]
    configuration_digest: str

    def uid(self, role: ResultRole, part: str = "") -> str:
        """Return the UID for `role`; `part` tells several of one role apart."""
        return _uid(
            role,
            part,
            self.series_instance_uid,
            self.instances_sha256,
            self.configuration_digest,
            *self.models,
        )

    def lesion_uid(self, lesion: str) -> str:
        """Return the Tracking UID of a lesion: the same for every analysis of the series.

        A second model that looks at the same hematoma tracks the same hematoma.
        """
        return _uid("lesion", self.series_instance_uid, lesion)


def result_identity(
    series_instance_uid: str,
    *,
    sop_instance_uids: Iterable[str],
    models: Iterable[ModelIdentity],
    configuration_digest: str,
) -> ResultIdentity:
    """Return the identity of the result of one analysis."""
    return ResultIdentity(
        series_instance_uid=series_instance_uid,
        instances_sha256=digest_of_instances(sop_instance_uids),
        models=tuple(model_line(model) for model in models),
        configuration_digest=configuration_digest,
    )


def digest_of_instances(sop_instance_uids: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted UIDs, hexadecimal; order and repeats do not matter."""
    return hashlib.sha256("\n".join(sorted(set(sop_instance_uids))).encode()).hexdigest()


def model_line(model: ModelIdentity) -> str:
    """Return name, version and weights of `model` in one line."""
    return f"{model.name} {model.version} {model.weights_sha256}"


def device_uid_of(model_name: str, software_version: str, models: Iterable[ModelIdentity]) -> str:
    """Return the Device UID of the node with these models.

    IHE AIR asks for a new one whenever a model changes.
    """
    return _uid("device", model_name, software_version, *map(model_line, models))


def model_device_uid(model: ModelIdentity) -> str:
    """Return the Device UID of one model, new for new weights."""
    return _uid("model", model_line(model))


def _uid(*parts: str) -> str:
    return f"2.25.{uuid.uuid5(NAMESPACE, chr(0).join(parts)).int}"
