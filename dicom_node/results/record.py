"""The record of one analysis: what `analysis.json` and the ledger hold; no patient attribute."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from dicom_node.results import wording
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ModelIdentity
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.finding import Compartment
from pipeline.growth.forecast import GrowthForecast
from pipeline.prediction import HePrediction
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionReason

#: Decimals of stored numbers: more than the models know, enough to compare two runs.
_DECIMALS = 6


class RecordStatus(StrEnum):
    """How an analysis ended. The values are stored; never rename one."""

    HEMATOMA_FOUND = "hematoma_found"
    NO_HEMATOMA_FOUND = "no_hematoma_found"
    REJECTED = "rejected"


def analysis_record(
    analysis: IchAnalysis,
    *,
    series_instance_uid: str,
    context: ResultContext,
    steps_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the record of a series that was analysed.

    Parameters
    ----------
    analysis : IchAnalysis
        What was found.
    series_instance_uid : str
        The series.
    context : ResultContext
        Names the models.
    steps_s : mapping of str to float
        Seconds that each step took.

    Returns
    -------
    dict
        JSON values only. Without a hematoma volumes are 0 and probabilities None;
        `volume_range_ml` is [low, high] or None, `compartments_ml` holds what the network knows.
        `familiarity` (Mahalanobis distance from the training cases, its limit, the share of
        validation cases within it) is None if the model has no limit; `operating_points` are
        the card's, each with its label. `forecast` is None where there is none; it holds for
        hematomas that expand, and whether this one does is `he_probability`.
    """
    record = _record(series_instance_uid, context, steps_s)
    record["flags"] = [flag.value for flag in QualityFlag if flag in analysis.flags]
    record["compartments_ml"] = {
        name.value: round(analysis.compartments_ml[name], _DECIMALS)
        for name in Compartment
        if name in analysis.compartments_ml
    }
    if not isinstance(analysis, HematomaFound):
        record["status"] = RecordStatus.NO_HEMATOMA_FOUND.value
        for name in ("volume_ml", "mesh_volume_ml", "abc2_volume_ml"):
            record[name] = 0.0
        return record
    found, prediction = analysis.measurements, analysis.prediction
    reach = analysis.volume_range
    if reach is not None:
        record["volume_range_ml"] = [
            round(reach.low_ml, _DECIMALS),
            round(reach.high_ml, _DECIMALS),
        ]
    record |= {
        "status": RecordStatus.HEMATOMA_FOUND.value,
        "volume_ml": round(found.volume_ml, _DECIMALS),
        "mesh_volume_ml": round(found.mesh_volume_ml, _DECIMALS),
        "abc2_volume_ml": round(found.abc2_volume_ml, _DECIMALS),
        "he_probability": round(prediction.probability, _DECIMALS),
        "he_label": prediction.label.name,
        "slice_probabilities": [round(p, _DECIMALS) for p in prediction.slice_probabilities],
        **_doubt(prediction),
        "forecast": _forecast(analysis.forecast, context),
    }
    return record


def rejection_record(
    reason: RejectionReason,
    *,
    series_instance_uid: str,
    context: ResultContext,
    steps_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the record of a series that could not be analysed; volumes are None."""
    record = _record(series_instance_uid, context, steps_s)
    record["status"] = RecordStatus.REJECTED.value
    record["reasons"] = [reason.message]
    return record


def _record(
    series_instance_uid: str, context: ResultContext, steps_s: Mapping[str, float]
) -> dict[str, Any]:
    """Return every key in its order, with what holds for every outcome."""
    return {
        "research_use_only": wording.RESEARCH_STATEMENT,
        "series_instance_uid": series_instance_uid,
        "status": "",
        "reasons": [],
        "flags": [],
        "volume_ml": None,
        "mesh_volume_ml": None,
        "abc2_volume_ml": None,
        "volume_range_ml": None,
        "compartments_ml": {},
        "he_probability": None,
        "he_label": None,
        "slice_probabilities": [],
        "member_probabilities": [],
        "he_probability_spread": None,
        "familiarity": None,
        "operating_points": [],
        "forecast": None,
        "model": _models(context),
        "seconds": round(sum(steps_s.values()), 3),
        "seconds_per_step": {step: round(seconds, 3) for step, seconds in steps_s.items()},
    }


def _doubt(prediction: HePrediction) -> dict[str, Any]:
    """Return what the classifier says of its own opinion."""
    limit, distance = prediction.familiarity_limit, prediction.training_distance
    spread = prediction.spread
    return {
        "member_probabilities": [round(p, _DECIMALS) for p in prediction.member_probabilities],
        "he_probability_spread": None if spread is None else round(spread, _DECIMALS),
        "familiarity": None
        if limit is None or distance is None
        else {
            "distance": round(distance, _DECIMALS),
            "limit": round(limit.distance, _DECIMALS),
            "limit_share": limit.share,
            "is_unfamiliar": prediction.is_unfamiliar,
        },
        "operating_points": [
            {
                "name": point.name,
                "threshold": round(point.threshold, _DECIMALS),
                "validation_sensitivity": round(point.sensitivity, _DECIMALS),
                "validation_specificity": round(point.specificity, _DECIMALS),
                "he_label": prediction.label_at(point).name,
            }
            for point in prediction.operating_points
        ],
    }


def _forecast(forecast: GrowthForecast | None, context: ResultContext) -> dict[str, Any] | None:
    """Return what the growth model expects at follow-up, and on which condition."""
    if forecast is None or context.growth_card is None:
        return None
    reach = forecast.volume_range
    return {
        "volume_ml": round(forecast.follow_up_ml, _DECIMALS),
        "volume_range_ml": None
        if reach is None
        else [round(reach.low_ml, _DECIMALS), round(reach.high_ml, _DECIMALS)],
        "baseline_ml": round(forecast.baseline_ml, _DECIMALS),
        "model": _model(context.growth_card),
        "conditional_on": "expansion",
    }


def _models(context: ResultContext) -> dict[str, Any]:
    """Return the models by task; growth only where there is one."""
    models = {
        "segmentation": _model(context.segmentation_card),
        "classification": _model(context.classification_card),
    }
    if context.growth_card is not None:
        models["growth"] = _model(context.growth_card)
    return models


def _model(model: ModelIdentity) -> dict[str, str | bool]:
    return {
        "name": model.name,
        "version": model.version,
        "weights_sha256": model.weights_sha256,
        "demonstration": model.demonstration,
    }
