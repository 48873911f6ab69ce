"""Records of analyses, comparisons and shadows as the ledger holds them, for the watch."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dicom_node.jobs.pairs import AnalysisEntry, ComparisonEntry, ShadowEntry

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def model(name: str, digest: str) -> dict[str, Any]:
    """Return what a record says of a model."""
    return {
        "name": name,
        "version": "1",
        "weights_sha256": digest * 64,
        "demonstration": False,
    }


def analysis_facts(
    probability: float | None = 0.5,
    *,
    volume_ml: float = 20.0,
    threshold: float = 0.5,
    classifier: str = "c",
    flags: Sequence[str] = (),
    scan: Mapping[str, Any] | None = None,
    status: str = "",
) -> dict[str, Any]:
    """Return the record of an analysis; without a probability no hematoma was found."""
    found = probability is not None
    return {
        "status": status or ("hematoma_found" if found else "no_hematoma_found"),
        "flags": list(flags),
        "volume_ml": volume_ml if found else 0.0,
        "he_probability": probability,
        "he_label": ("HE" if probability >= threshold else "NHE") if found else None,
        "operating_points": [],
        "model": {"segmentation": model("seg", "a"), "classification": model("cls", classifier)},
        "scan": {
            "slice_thickness_mm": 5.0,
            "manufacturer": "SIEMENS",
            "model_name": "Somatom",
            "kernel": "H30s",
        }
        if scan is None
        else dict(scan),
    }


def comparison_facts(
    *,
    expanded: bool | None = False,
    elapsed_h: float | None = 24.0,
    status: str = "compared",
    is_certain: bool = True,
    definition: str = "standard",
) -> dict[str, Any]:
    """Return the record of a comparison."""
    return {
        "kind": "comparison",
        "status": status,
        "expanded": expanded,
        "elapsed_hours": elapsed_h,
        "is_certain": is_certain,
        "definition": definition,
    }


def analysis(
    number: int,
    record: Mapping[str, Any] | None = None,
    *,
    patient: str | None = None,
    acquired_h: float = 0.0,
) -> AnalysisEntry:
    """Return an analysis that ended a minute after it was asked for."""
    when = BEGIN + timedelta(hours=acquired_h)
    return AnalysisEntry(
        job_id=number,
        series_uid=f"1.2.{number}",
        patient_key=f"patient-{number}" if patient is None else patient,
        acquired_at=when.isoformat(),
        created_at=when,
        finished_at=when + timedelta(minutes=1),
        record=analysis_facts() if record is None else record,
    )


def comparison(
    number: int, baseline: AnalysisEntry, record: Mapping[str, Any] | None = None
) -> ComparisonEntry:
    """Return a comparison of a baseline with a scan that came a day later."""
    return ComparisonEntry(
        job_id=number,
        patient_key=baseline.patient_key,
        baseline=baseline,
        follow_up_series_uid=f"1.3.{number}",
        follow_up_received_at=baseline.created_at + timedelta(days=1),
        record=comparison_facts() if record is None else record,
    )


def pairs(told: Sequence[float], expanded: Sequence[bool]) -> list[ComparisonEntry]:
    """Return one comparison per patient."""
    return [
        comparison(
            1000 + number,
            analysis(number, analysis_facts(probability)),
            comparison_facts(expanded=bool(outcome)),
        )
        for number, (probability, outcome) in enumerate(zip(told, expanded, strict=True), start=1)
    ]


def shadow(of: AnalysisEntry, probability: float | None, **facts: object) -> ShadowEntry:
    """Return what a model on trial says of a scan."""
    record = analysis_facts(probability, classifier="d", **facts)  # type: ignore[arg-type] # as given
    return ShadowEntry(analysis_job_id=of.job_id, record=record)
