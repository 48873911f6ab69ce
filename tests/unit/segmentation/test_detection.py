"""Detection of slices with hematoma: scores, tables, reports."""

import json
from itertools import product

import numpy as np
import pytest
from ct_builder import Ball, build_ct_series, save_series
from typer.testing import CliRunner

from pipeline.model_bundle import builtin_bundle_path
from pipeline.volume import CtVolume, regular_grid
from training.cli import application
from training.cohort.labelled_series import NOT_SHOWN, SHOWN, UNKNOWN, LabelledSeries
from training.segmentation.detection.scan import (
    ScanOpinion,
    SliceScore,
    append_scores,
    read_scores,
    score_slices,
)
from training.segmentation.detection.summary import summarise


def row(model, patient, position, label, expected_ml, found_ml=0.0):
    return SliceScore(
        model=model,
        patient=patient,
        position=position,
        label=label,
        expected_ml=expected_ml,
        found_ml=found_ml,
    )


def test_a_slice_scores_its_summed_probability_in_millilitres():
    """Ten voxels of 5 x 1 x 1 mm at 0.5 are 25 mm3; its mask of four voxels is 20 mm3."""
    volume = CtVolume(
        hu_zyx=np.zeros((2, 5, 5), np.int16), grid=regular_grid((2, 5, 5), (5.0, 1.0, 1.0))
    )
    probability = np.zeros((2, 5, 5), np.float32)
    probability[1, :2] = 0.5
    mask = np.zeros((2, 5, 5), bool)
    mask[1, 0, :4] = True
    series = LabelledSeries(patient="a", volume=volume, slices=np.array([NOT_SHOWN, SHOWN]))

    first, second = score_slices(
        "m", series, lambda _: ScanOpinion(probability_zyx=probability, mask_zyx=mask)
    )

    assert (first.expected_ml, first.found_ml, first.label) == (0.0, 0.0, NOT_SHOWN)
    assert second.expected_ml == pytest.approx(0.025)
    assert second.found_ml == pytest.approx(0.020)


def test_a_table_grows_and_is_read_back(tmp_path):
    """Rows appended in two calls come back equal and in order."""
    rows = [row("m", "a", 0, SHOWN, 1.25, 0.5), row("m", "a", 1, UNKNOWN, 0.0)]

    append_scores(tmp_path / "slices.csv", rows[:1])
    append_scores(tmp_path / "slices.csv", rows[1:])

    assert list(read_scores(tmp_path / "slices.csv")) == rows


def table():
    """Return two patients with three judged slices each; the second model is always wrong once.

    Positive slices: a0, b0. The first model gives them the highest scores (AUC 1). The second
    ranks a0 below two of the four negative slices: (2 + 4) of 8 pairs right, AUC 0.75.
    """
    good = {("a", 0): 5.0, ("a", 1): 1.0, ("a", 2): 2.0}
    good |= {("b", 0): 6.0, ("b", 1): 0.5, ("b", 2): 0.0}
    poor = good | {("a", 0): 0.7}
    rows = []
    for model, scores in (("good", good), ("poor", poor)):
        for patient, position in product("ab", range(3)):
            label = SHOWN if position == 0 else NOT_SHOWN
            value = scores[patient, position]
            rows.append(row(model, patient, position, label, value, value if position == 0 else 0))
        rows.append(row(model, "a", 3, UNKNOWN, 99.0, 99.0))
    return rows


def test_the_report_compares_models_on_the_same_slices():
    """AUC 1 and 0.75 by counting pairs; slices that nobody has judged do not count."""
    report = summarise(table())

    assert report["slices"] == 6
    assert report["positive_slices"] == 2
    assert report["models"]["good"]["auc"]["value"] == 1.0
    assert report["models"]["poor"]["auc"]["value"] == pytest.approx(0.75)
    assert report["differences"]["good minus poor"]["auc"]["value"] == pytest.approx(0.25)


def test_the_report_counts_masks_not_scores():
    """Both bleeding slices have 0.1 mL of mask or more; no other slice has any."""
    found = summarise(table())["models"]["good"]

    assert found["slice_sensitivity"] == 1.0
    assert found["slice_specificity"] == 1.0
    assert found["patients_found"] == "2 of 2"


def test_a_patient_without_hematoma_counts_as_false_alarm():
    """Patient c has no positive slice and 3 mL of mask."""
    rows = [one for one in table() if one.model == "good"]

    found = summarise([*rows, row("good", "c", 0, NOT_SHOWN, 3.0, 3.0)])["models"]["good"]

    assert found["patients_with_false_alarm"] == "1 of 1"
    assert found["mean_false_volume_ml"] == 3.0


def test_the_command_judges_each_scan_once(tmp_path):
    """A ball of blood in one series; the second call reads what the first has written."""
    ball = Ball(center_lps_mm=(25.0, 5.0, 10.0), radius_mm=20.0)
    for name, balls in (("001", [ball]), ("002", [])):
        instances = build_ct_series(slices=12, spacing_mm=10.0, shape_yx=(128, 128), balls=balls)
        save_series(instances, tmp_path / "series" / name)
    # The ball reaches from -10 to 30 mm; slices lie at 55, 45, ... -55 mm: instances 4 to 7.
    lines = [
        f"{name},{number},{int(name == '001' and 4 <= number <= 7)}"
        for name in ("001", "002")
        for number in range(1, 13)
    ]
    labels = tmp_path / "labels.csv"
    labels.write_text("patient,slice,Intraparenchymal\n" + "\n".join(lines) + "\n")
    arguments = ["segmentation", "detect", str(tmp_path / "series"), "--labels", str(labels)]
    arguments += ["--bundle", str(builtin_bundle_path("demo-segmentation"))]
    arguments += ["--output", str(tmp_path / "out"), "--device", "cpu"]

    first = CliRunner().invoke(application(), arguments)
    rows = (tmp_path / "out" / "slices.csv").read_text()
    second = CliRunner().invoke(application(), arguments)

    assert first.exit_code == second.exit_code == 0, first.output
    assert (tmp_path / "out" / "slices.csv").read_text() == rows
    report = json.loads((tmp_path / "out" / "detection.json").read_text())
    assert (report["slices"], report["positive_slices"]) == (24, 4)
