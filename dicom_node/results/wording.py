"""Every sentence that a reader finds in a result: in DICOM objects, picture and page.

The plain strings are ASCII; Chinese stands beside English where a reader of either may look.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dicom_node.results.identity import ModelIdentity
from pipeline.decision_limits import DECISION_LIMITS
from pipeline.finding import Compartment
from pipeline.finding_flags import is_present
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import HeLabel, HePrediction
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionReason
from pipeline.triplet import TripletPosition

RESEARCH_USE_ONLY: Final = "RESEARCH USE ONLY"
NOT_FOR_CLINICAL_USE: Final = "NOT FOR CLINICAL USE"
#: The line that stands in every picture and on every page.
RESEARCH_LINE: Final = f"{RESEARCH_USE_ONLY} - {NOT_FOR_CLINICAL_USE}"
RESEARCH_USE_ONLY_ZH: Final = "仅供科研使用，不得用于临床诊断"  # noqa: RUF001 - a Chinese comma
RESEARCH_STATEMENT: Final = (
    f"{RESEARCH_USE_ONLY}. Made by software without review by a physician; "
    "not for diagnosis or treatment."
)
DEMONSTRATION: Final = "DEMONSTRATION MODEL - SIMULATED TRAINING DATA"
DEMONSTRATION_STATEMENT: Final = (
    f"{DEMONSTRATION}. The models were trained on simulated heads; "
    "their numbers say nothing about a patient."
)
NOT_PROCESSED: Final = "NOT PROCESSED: this series was not analysed; nothing is said about it."
RESEARCH_MARK: Final = "[RESEARCH]"
KEY_OBJECTS: Final = "Captures of the hematoma and its slice of largest area"
UNCERTAINTY_MAP: Final = (
    "Map of the segmentation's doubt: entropy in nats, 0 where the model is sure. "
    f"{RESEARCH_USE_ONLY}."
)
FORECAST_MASK: Final = (
    "Forecast by a growth model of the hematoma at follow-up, if it expands. Not measured: never "
    f"to be added to the hematoma that was found. {RESEARCH_USE_ONLY}."
)


def not_processed(reason: RejectionReason) -> str:
    """Return the sentence of a report on a series that was not analysed."""
    return f"{NOT_PROCESSED} Found {reason.found}; needed {reason.needed}."


CATEGORY: Final[dict[HeLabel, str]] = {
    HeLabel.HE: "EXPANSION PREDICTED",
    HeLabel.NHE: "NO EXPANSION PREDICTED",
}
#: The same by the name under which the label is stored.
CATEGORY_OF_NAME: Final = {label.name: words for label, words in CATEGORY.items()}

POSITION: Final[dict[TripletPosition, str]] = {
    TripletPosition.MAX_MINUS_1: "slice below the largest",
    TripletPosition.MAX: "slice of largest hematoma area",
    TripletPosition.MAX_PLUS_1: "slice above the largest",
}

#: The same as a heading.
SHORT_POSITION: Final[dict[TripletPosition, str]] = {
    TripletPosition.MAX_MINUS_1: "Below the largest area",
    TripletPosition.MAX: "Largest area",
    TripletPosition.MAX_PLUS_1: "Above the largest area",
}

FLAG: Final[dict[QualityFlag, str]] = {
    QualityFlag.THICK_SLICES: "Slices are thicker than 5 mm; small hematomas may be missed.",
    QualityFlag.MIXED_THICKNESS: "The series mixes slices of different thickness.",
    QualityFlag.UNEVEN_SPACING: "Slices are unevenly spaced; volumes account for it.",
    QualityFlag.SLICES_MISSING: "Slices are missing; gaps were bridged by interpolation.",
    QualityFlag.DUPLICATE_POSITIONS: "Several images lie at one position; one was used.",
    QualityFlag.NON_CT_DROPPED: "Localizers or captures in the series were left out.",
    QualityFlag.TILT_CORRECTED: "Gantry tilt was corrected.",
    QualityFlag.OBLIQUE: "Slices are inclined against the patient's axes.",
    QualityFlag.LOSSY_SOURCE: "The images had been compressed with loss.",
    QualityFlag.HU_IMPLAUSIBLE: "Hounsfield units are implausible; check the calibration.",
    QualityFlag.NOT_A_HEAD: "The content does not look like a human head.",
    QualityFlag.CONTRAST_SUSPECTED: "Contrast agent is suspected; the models expect none.",
    QualityFlag.FEW_HEMATOMA_SLICES: "The hematoma lies on fewer than 3 slices.",
    QualityFlag.HEMATOMA_AT_EDGE: "The hematoma touches the edge of the scan; "
    "it may be larger than measured.",
    QualityFlag.EXTRA_AXIAL_HEMORRHAGE: "Blood outside the brain (epidural, subdural or "
    "subarachnoid) is suspected; it is not part of the hematoma volume.",
    QualityFlag.PRIMARY_INTRAVENTRICULAR: "Blood in the ventricles without a hematoma in the "
    "brain: primary intraventricular hemorrhage is suspected.",
    QualityFlag.INTRAVENTRICULAR_EXTENSION: "Blood in the ventricles beside the hematoma is "
    "suspected; it is not part of the hematoma volume.",
    QualityFlag.VOLUME_UNCERTAIN: "The 95 % range of the volume spans a decision limit "
    f"({' or '.join(f'{limit.volume_ml:.0f}' for limit in DECISION_LIMITS)} mL).",
    QualityFlag.UNFAMILIAR: "The hematoma is unlike those that the expansion model has learned "
    "from; its probability is a guess.",
    QualityFlag.NO_FORECAST: "The growth model could make no forecast of this hematoma: it is too "
    "small for its grid.",
}

COMPARTMENT: Final[dict[Compartment, str]] = {
    Compartment.EXTRA_AXIAL: "extra-axial hemorrhage",
    Compartment.EDEMA: "perihematomal edema",
    Compartment.INTRAVENTRICULAR: "intraventricular hemorrhage",
}
#: Compartments that hold blood.
_BLOOD: Final = (Compartment.EXTRA_AXIAL, Compartment.INTRAVENTRICULAR)

#: Flags that ask about the hematoma: without one they cannot be answered.
HEMATOMA_FLAGS: Final = frozenset(
    {
        QualityFlag.FEW_HEMATOMA_SLICES,
        QualityFlag.HEMATOMA_AT_EDGE,
        QualityFlag.UNFAMILIAR,
    }
)


def flag_sentences(flags: Iterable[QualityFlag]) -> tuple[str, ...]:
    """Return one sentence per raised flag, in the order in which flags are declared."""
    raised = frozenset(flags)
    return tuple(FLAG[flag] for flag in QualityFlag if flag in raised)


def model_sentences(*models: ModelIdentity) -> tuple[str, ...]:
    """Return name, version and the first digits of the weights' digest of each model.

    Segmentation, expansion and, where there is one, growth model, in this order.
    """
    tasks = ("Segmentation", "Expansion", "Growth")
    return tuple(
        f"{task} model: {_model_words(model)}." for task, model in zip(tasks, models, strict=False)
    )


def probability_words(prediction: HePrediction) -> str:
    """Return probability, threshold and category in one line."""
    relation = ">=" if prediction.label is HeLabel.HE else "<"
    return (
        f"{prediction.probability:.2f} {relation} {prediction.threshold:.2f}: "
        f"{CATEGORY[prediction.label]}"
    )


def probability_and_range(prediction: HePrediction) -> str:
    """Return the probability with what it ranges over: networks, or else slices."""
    members = prediction.member_probabilities
    each = members or prediction.slice_probabilities
    reach = ""
    if len(each) > 1:
        among = "networks" if members else "slices"
        reach = f" ({min(each):.2f}-{max(each):.2f} among its {among})"
    return (
        f"Probability of expansion {prediction.probability:.2f}{reach}, "
        f"cut-off {prediction.threshold:.2f}"
    )


def in_plain_words(prediction: HePrediction) -> str:
    """Return what the probability means, and whether all of the model are of one mind."""
    verb = "expects" if prediction.label is HeLabel.HE else "does not expect"
    said = f"The model {verb} this hematoma to expand"
    if prediction.is_unfamiliar:
        return f"{said}, but knows none that is like it."
    if len({each >= prediction.threshold for each in prediction.member_probabilities}) > 1:
        return f"{said}, but its networks do not agree."
    return f"{said}."


def doubt_sentences(prediction: HePrediction) -> tuple[str, ...]:
    """Return what the classifier knows of its own doubt, and its verdicts at other thresholds."""
    said = []
    if prediction.spread is not None:
        said.append(
            f"The {len(prediction.member_probabilities)} networks of the expansion model differ "
            f"by a standard deviation of {prediction.spread:.2f}."
        )
    if prediction.unfamiliarity is not None:
        said.append(
            "Distance from the training cases of the expansion model: "
            f"{familiarity_words(prediction.unfamiliarity)}."
        )
    said += [
        f"At operating point {point.name} ({operating_point_words(point)}): "
        f"{CATEGORY[prediction.label_at(point)]}."
        for point in prediction.operating_points
    ]
    return tuple(said)


def familiarity_words(unfamiliarity: float) -> str:
    """Return a distance as part of its limit."""
    return f"{unfamiliarity:.2f} of the limit ({'beyond' if unfamiliarity > 1 else 'within'} it)"


def operating_point_words(point: OperatingPoint) -> str:
    """Return threshold, sensitivity and specificity of an operating point."""
    return (
        f"from {point.threshold:.2f} on; on validation cases sensitivity "
        f"{point.sensitivity:.2f}, specificity {point.specificity:.2f}"
    )


def volume_words(volume_ml: float, range_ml: tuple[float, float] | None) -> str:
    """Return a volume with its 95 % range, e.g. ``18.5 mL (95 % range 15.2-22.4)``."""
    if range_ml is None:
        return f"{volume_ml:.1f} mL"
    return f"{volume_ml:.1f} mL (95 % range {range_ml[0]:.1f}-{range_ml[1]:.1f})"


def short_volume(volume_ml: float, range_ml: tuple[float, float] | None) -> str:
    """Return the same in fewer letters, e.g. ``18.5 mL (15.2-22.4)``."""
    return volume_words(volume_ml, range_ml).replace("95 % range ", "")


def forecast_words(volume_ml: float, range_ml: tuple[float, float] | None) -> str:
    """Return a forecast volume with its condition, e.g. ``24.1 mL if it expands``."""
    return f"{volume_words(volume_ml, range_ml)} at follow-up if it expands"


def forecast_sentence(
    volume_ml: float, range_ml: tuple[float, float] | None, *, is_demonstration: bool
) -> str:
    """Return the forecast as a reader must take it: conditional, not measured."""
    simulated = " The growth model was trained on simulated hematomas." if is_demonstration else ""
    return (
        f"Forecast: {forecast_words(volume_ml, range_ml)}. It is not measured, and it does not "
        f"say whether the hematoma expands.{simulated}"
    )


def forecast_of_record(record: Mapping[str, Any]) -> str:
    """Return the forecast volume of a record with its range; empty where there is none."""
    forecast = record["forecast"]
    if forecast is None:
        return ""
    reach = forecast["volume_range_ml"]
    return forecast_words(forecast["volume_ml"], None if reach is None else (reach[0], reach[1]))


def volume_of_record(record: Mapping[str, Any]) -> str:
    """Return the volume of a record with its range."""
    reach = record["volume_range_ml"]
    return volume_words(record["volume_ml"], None if reach is None else (reach[0], reach[1]))


def compartments_of_record(record: Mapping[str, Any]) -> dict[Compartment, float]:
    """Return the volumes of a record's compartments."""
    return {Compartment(name): float(ml) for name, ml in record["compartments_ml"].items()}


def compartment_words(compartments_ml: Mapping[Compartment, float]) -> str:
    """Return each compartment that the network knows with its volume; empty if it knows none."""
    return "; ".join(
        f"{COMPARTMENT[name]} {compartments_ml[name]:.1f} mL"
        for name in Compartment
        if name in compartments_ml
    )


def blood_elsewhere(compartments_ml: Mapping[Compartment, float]) -> tuple[str, ...]:
    """Return where else than in the brain the network saw blood."""
    return tuple(
        COMPARTMENT[name]
        for name in _BLOOD
        if name in compartments_ml and is_present(name, compartments_ml[name])
    )


def no_hematoma_sentence(slice_count: int, compartments_ml: Mapping[Compartment, float]) -> str:
    """Return the finding that there is none, with what it rests on and what there is instead."""
    elsewhere = blood_elsewhere(compartments_ml)
    instead = f" Blood was found elsewhere: {', '.join(elsewhere)}." if elsewhere else ""
    return (
        f"No intracerebral hematoma above the size floor of the model was found "
        f"in {slice_count} slices analysed.{instead}"
    )


def _model_words(model: ModelIdentity) -> str:
    return f"{model.name} {model.version} (weights {model.weights_sha256[:12]})"
