"""Numbers of the study's own tables, against hand calculations and scipy."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats
from study_builder import write_study_cohort, write_tiny_budget

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase, save_case
from training.classification.evaluation import Evaluation
from training.classification.experiments import _comparisons
from training.study.best_possible import ideal_readers, ideal_sheet
from training.study.budget import read_budget
from training.study.classification_stage import _judged
from training.study.classification_tables import delong_measures, score_measures, score_sheet
from training.study.participants import read_participants
from training.study.patients_stage import Scale, difference, told, values_of
from training.study.stage import StudySettings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    cohort = write_study_cohort(folder / "cohort", {"Alpha": 9, "Beta": 6, "Gamma": 2})
    return StudySettings(
        participants=read_participants(cohort),
        budget=read_budget(str(write_tiny_budget(folder / "budget"))),
        device="cpu",
        readers=None,
        features=None,
        initial=None,
        truth=cohort / "truth.json",
    )


def triplet(number, *, expanded):
    return TripletCase(
        case_id=f"p{number:02d}",
        patient_id=f"p{number:02d}",
        label=HeLabel.HE if expanded else HeLabel.NHE,
        images_yx=(np.full((8, 8), number, dtype=np.uint8),),
    )


@pytest.mark.parametrize(
    ("values", "scale", "words"),
    [
        ([1, 0, 0, 1, 0, 0, 0, 0], Scale.SHARE, "2 (25.0 %)"),
        ([1.0, 2.0, 3.0], Scale.MEAN, "2.00 ± 1.00"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], Scale.MEDIAN, "3.00 (2.00)"),
        ([7.0], Scale.MEAN, "7.00 ± -"),
        ([], Scale.MEDIAN, "not known"),
    ],
)
def test_groups_are_told_as_in_table_1(values, scale, words):
    """Count and share, mean and SD of a sample, median and the distance of the quartiles."""
    assert told(np.array(values, dtype=float), scale)[0] == words


def test_each_scale_has_the_test_of_the_publication():
    """Chi-square, ANOVA, Kruskal-Wallis: the p-values are scipy's."""
    rng = np.random.default_rng(1)
    groups = [rng.normal(mean, 1, 12) for mean in (0, 0.5, 1)]
    flags = [np.array([1.0] * yes + [0.0] * (20 - yes)) for yes in (3, 9, 12)]

    share = difference(flags, Scale.SHARE)
    mean = difference(groups, Scale.MEAN)
    median = difference(groups, Scale.MEDIAN)

    table = [[3, 17], [9, 11], [12, 8]]
    assert share.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert mean.p_value == pytest.approx(stats.f_oneway(*groups).pvalue)
    assert median.p_value == pytest.approx(stats.kruskal(*groups).pvalue)


def test_a_test_that_cannot_be_made_is_none():
    """An empty group, or no difference between any two values."""
    assert difference([np.array([1.0]), np.array([])], Scale.MEDIAN) is None
    assert difference([np.ones(3), np.ones(3)], Scale.SHARE) is None


def test_who_is_neither_man_nor_woman_is_not_counted_as_either(settings):
    """DICOM knows O, and a chart may say nothing."""
    people = settings.participants
    chart = {**people.clinical, "p00": {"sex": "O"}, "p01": {"sex": "M"}, "p02": {"sex": ""}}
    changed = dataclasses.replace(people, clinical=chart)

    found = values_of(changed, changed.patients[:4], "male")

    assert found.tolist() == [1.0, 1.0]


def test_a_cell_that_is_no_number_is_refused_by_its_column(settings):
    """No patient and no value in the message."""
    chart = {"p00": {"gcs": "about fifteen"}}
    changed = dataclasses.replace(settings.participants, clinical=chart)

    with pytest.raises(ValueError, match=r"^clinical\.csv, gcs: a number or yes or no") as refused:
        values_of(changed, changed.patients, "gcs")
    assert "fifteen" not in str(refused.value)


def test_the_ideal_reader_is_judged_on_the_very_patients(settings):
    """Chances 0.9 0.2 of HE, 0.5 0.1 of NHE: of four pairs three are in order."""
    chances = {"p00": 0.9, "p01": 0.2, "p02": 0.5, "p03": 0.1}
    chart = {name: {"ideal_he_probability": str(one)} for name, one in chances.items()}
    people = dataclasses.replace(settings.participants, clinical=chart)
    changed = dataclasses.replace(settings, participants=people)
    cases = [triplet(number, expanded=number < 2) for number in range(4)]

    found = ideal_readers(changed, {"external": cases})

    assert found["external"].auc.value == pytest.approx(0.75)
    assert found["external"].patients == 4


def test_real_patients_have_no_ideal_reader(settings):
    """Nor a table of it."""
    people = dataclasses.replace(settings.participants, clinical={})
    changed = dataclasses.replace(settings, participants=people)
    cases = [triplet(number, expanded=number < 2) for number in range(4)]

    assert ideal_readers(changed, {"external": cases}) == {}
    assert ideal_sheet(changed, {}, {}) is None


def test_the_truth_of_a_simulation_stands_in_the_table(settings, tmp_path):
    """As `ichtrain phantom` writes it; another file is refused by name."""
    truth = tmp_path / "truth.json"
    number = {"value": 0.8512, "standard_error": 0.0021}
    observer = {"name": "pooled", "image_auc": number, "full_auc": {**number, "value": 0.9}}
    truth.write_text(json.dumps({"observers": [observer]}))
    changed = dataclasses.replace(settings, truth=truth)

    sheet = ideal_sheet(changed, {}, {})

    assert sheet.rows == (("Any patients: pooled", "0.851 ± 0.002", "0.900 ± 0.002"),)
    truth.write_text("{}")
    with pytest.raises(ValueError, match=r"truth\.json is no truth file of `ichtrain phantom`"):
        ideal_sheet(changed, {}, {})


def _record(value):
    estimate = {"value": value, "low_95": value - 0.1, "high_95": value + 0.1}
    names = ("auc", "accuracy", "sensitivity", "specificity", "npv")
    return {
        **dict.fromkeys(names, estimate),
        "ppv": None,
        "patients": 10,
        "expanded": 3,
    }


def test_a_share_of_nothing_is_neither_measured_nor_printed():
    """PPV where nobody was called HE."""
    scores = {"ViT-real": _record(0.5)}

    measures = score_measures("external-1", "External set 1", scores)
    sheet = score_sheet({"external-1": "External set 1"}, {"external-1": scores})

    assert [one.key.rsplit(".")[-1] for one in measures] == [
        *("auc", "accuracy", "sensitivity", "specificity", "npv")
    ]
    assert measures[0].key == "classification.external-1.none.auc"
    assert sheet.rows[0][-1] == "-"
    assert sheet.rows[0][:3] == ("External set 1", "ViT-real", "3 of 10")


def test_a_difference_is_told_in_the_direction_of_the_publication():
    """ViT-1:2 less another, whichever came first here."""
    pairs = [
        {
            "first": first,
            "second": second,
            "auc_difference": -0.04,
            "low_95": -0.1,
            "high_95": 0.02,
            "p_value": 0.2,
        }
        for first, second in (("ViT-1:1", "ViT-1:2"), ("ViT-1:2", "ViT-real"))
    ]

    found = delong_measures("external-1", "External set 1", pairs)

    assert [(one.key, one.value) for one in found] == [
        ("classification.external-1.1:2-1:1.difference", 0.04),
        ("classification.external-1.1:2-none.difference", -0.04),
    ]


def test_a_set_without_expansion_counts_among_all_external_patients_only(settings, tmp_path):
    """Without both outcomes there is no AUC; with one expansion there is, but no test."""
    for number, role in ((0, "external-1"),):
        save_case(tmp_path / role, triplet(number, expanded=True))
    for number, role in ((3, "external-1"), (4, "external-1"), (5, "external-2")):
        save_case(tmp_path / role, triplet(number, expanded=False))
    remarks = []

    found = _judged(settings, tmp_path, remarks)

    assert {name: len(cases) for name, cases in found.items()} == {"external-1": 3, "external": 4}
    assert remarks == [
        "External set 1 (Beta) has one patient of an outcome: no test between classifiers.",
        "External set 2 (Gamma) lacks an outcome and counts among all external patients only.",
    ]


def test_classifiers_are_not_compared_on_one_expansion():
    """One case has no variance; two have."""
    probabilities = np.array([0.9, 0.4, 0.3, 0.2])

    def evaluations(expanded):
        one = Evaluation(
            case_ids=tuple("abcd"),
            patient_ids=tuple("abcd"),
            expanded=np.array(expanded),
            probabilities=probabilities,
            threshold=0.5,
        )
        return {
            "ViT-1:1": one,
            "ViT-real": dataclasses.replace(one, probabilities=probabilities[::-1]),
        }

    assert _comparisons(evaluations([True, False, False, False])) == []
    (pair,) = _comparisons(evaluations([True, True, False, False]))
    assert pair["auc_difference"] == 1.0
