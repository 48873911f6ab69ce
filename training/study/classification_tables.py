"""Tables of the classifiers: measures by set and model, and DeLong's tests between models."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pipeline.statistics.estimate import Estimate
from training.study.outcome import Measure, Sheet, interval, measured, probability

#: Names of the classifiers by their ratio, as `training.classification.experiments` gives them.
MODELS: MappingProxyType[str, str] = MappingProxyType(
    {"1:1": "ViT-1:1", "1:2": "ViT-1:2", "1:4": "ViT-1:4", "none": "ViT-real"}
)

#: Columns of npj Table 3, in its order.
_COLUMNS: MappingProxyType[str, str] = MappingProxyType(
    {
        "auc": "AUC",
        "accuracy": "Accuracy",
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "npv": "NPV",
        "ppv": "PPV",
    }
)


def ratio_of(model: str) -> str:
    """Return the ratio of a classifier's name."""
    return next(ratio for ratio, name in MODELS.items() if name == model)


def estimate_of(record: Mapping[str, float]) -> Estimate:
    """Return the estimate in a record of scores."""
    return Estimate(value=record["value"], low=record["low_95"], high=record["high_95"])


def score_sheet(names: Mapping[str, str], scores: Mapping[str, Mapping[str, Any]]) -> Sheet:
    """Return all measures by set and classifier.

    Parameters
    ----------
    names : mapping of str to str
        Titles of the sets.
    scores : mapping of str to mapping of str to dict
        Records of scores by set and classifier.
    """
    rows = []
    for name, found in scores.items():
        for model, record in found.items():
            cells = [
                "-" if record[column] is None else interval(estimate_of(record[column]))
                for column in _COLUMNS
            ]
            patients = f"{record['expanded']} of {record['patients']}"
            rows.append((names[name], model, patients, *cells))
    return Sheet(
        title="By set and classifier (npj Table 3)",
        header=("set", "classifier", "HE", *_COLUMNS.values()),
        rows=tuple(rows),
        note="ViT-real learns from the real slices as they are and is the counterpart of the "
        "published ViT-1:4.",
    )


def delong_sheet(
    names: Mapping[str, str], comparisons: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Sheet:
    """Return every pair of classifiers in every set."""
    rows = []
    for name, pairs in comparisons.items():
        rows += [
            (
                names[name],
                f"{pair['first']} - {pair['second']}",
                interval(_difference(pair)),
                probability(pair["p_value"]),
                probability(pair["p_value_holm"]),
            )
            for pair in pairs
        ]
    return Sheet(
        title="Differences of AUC (DeLong)",
        header=("set", "classifiers", "difference (95 % CI)", "p", "p, by Holm corrected"),
        rows=tuple(rows),
    )


def score_measures(name: str, title: str, scores: Mapping[str, Any]) -> list[Measure]:
    """Return the measures of one set for the comparison with the publication."""
    return [
        measured(
            f"classification.{name}.{ratio_of(model)}.{column}",
            f"{title}: {words} of {model}",
            estimate_of(record[column]),
        )
        for model, record in scores.items()
        for column, words in _COLUMNS.items()
        if record[column] is not None
    ]


def delong_measures(name: str, title: str, pairs: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """Return the differences of one set; the better one of the publication stands first."""
    found = []
    for pair in pairs:
        difference, first, second = _difference(pair), pair["first"], pair["second"]
        if second == MODELS["1:2"]:
            first, second = second, first
            difference = Estimate(
                value=-difference.value, low=-difference.high, high=-difference.low
            )
        key = f"classification.{name}.{ratio_of(first)}-{ratio_of(second)}.difference"
        found.append(
            Measure(
                key=key,
                words=f"{title}: AUC of {first} less {second}",
                text=f"{difference.value:+.3f}, p {probability(pair['p_value'])}",
                value=difference.value,
            )
        )
    return found


def _difference(pair: Mapping[str, Any]) -> Estimate:
    return Estimate(value=pair["auc_difference"], low=pair["low_95"], high=pair["high_95"])
