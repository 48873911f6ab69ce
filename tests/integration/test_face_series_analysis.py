"""One series from files to results, with stand-in models and everything else real."""

import json
from datetime import UTC, datetime

import pytest
from acceptance.stand_in_models import StandInModels
from ct_builder import Ball, build_ct_series, save_series

from dicom_node.bootstrap.encoding import encoded
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.operator_error import OperatorError
from dicom_node.series_analysis import (
    AnalyzedSeries,
    RejectedSeries,
    SeriesAnalyst,
    SeriesStep,
)
from dicom_node.series_folder import choose, folder_series
from dicom_node.step_clock import StepClock
from pipeline.analysis import Step

#: Issue: the keys of analysis.json.
KEYS = {
    "series_instance_uid",
    "status",
    "reasons",
    "flags",
    "volume_ml",
    "mesh_volume_ml",
    "abc2_volume_ml",
    "he_probability",
    "he_label",
    "slice_probabilities",
    "model",
    "seconds",
}


@pytest.fixture(scope="module")
def bleeding(tmp_path_factory):
    series = build_ct_series(slices=30, shape_yx=(128, 128), balls=(Ball(),), noise_hu=3, seed=50)
    return save_series(series, tmp_path_factory.mktemp("bleeding"))


@pytest.fixture
def analyst():
    return SeriesAnalyst(
        StandInModels(), clock=lambda: datetime(2026, 1, 5, 9, 0, tzinfo=UTC), timer=lambda: 0.0
    )


def test_a_hematoma_becomes_objects_summary_and_record(analyst, bleeding, tmp_path):
    """Everything that is promised is there, and the volume is that of the ball."""
    (series,) = folder_series(bleeding)
    steps = []

    outcome = analyst.analyze(
        series.files, series_instance_uid=series.uid, summary=tmp_path, on_step=steps.append
    )

    assert isinstance(outcome, AnalyzedSeries)
    assert [one.Modality for one in outcome.objects.in_send_order] == ["OT"] * 3 + ["SEG", "SR"]
    record = json.loads((tmp_path / "analysis.json").read_text())
    assert record == outcome.record
    assert set(record) >= KEYS
    assert record["volume_ml"] == pytest.approx(Ball().volume_ml, rel=0.05)
    assert record["series_instance_uid"] == series.uid
    assert record["scan"] == {
        "slice_thickness_mm": 5.0,
        "manufacturer": "SYNTHETIC",
        "model_name": "ELLIPSOID",
        "kernel": "H31S",
    }
    line = [step for step in Step if step is not Step.FORECAST]
    assert steps == [SeriesStep.READ, *line, *list(SeriesStep)[1:]]
    assert {path.name for path in tmp_path.iterdir()} == {
        "analysis.json",
        "largest.png",
        "summary.html",
        "summary.png",
    }


def test_a_repeat_makes_the_same_objects(analyst, bleeding, tmp_path):
    """What was made twice, after a crash, is stored once."""
    (series,) = folder_series(bleeding)

    first, second = (
        analyst.analyze(series.files, series_instance_uid=series.uid, summary=tmp_path)
        for _ in range(2)
    )

    assert [one.SOPInstanceUID for one in first.objects.in_send_order] == [
        one.SOPInstanceUID for one in second.objects.in_send_order
    ]


def test_a_rejected_series_has_a_record_with_the_reason(analyst, tmp_path):
    """Found and needed are told in the same file that would have held the result."""
    series = build_ct_series(slices=30, shape_yx=(64, 64), seed=51)
    files = save_series(series[:8] + series[22:], tmp_path / "ct")
    (found,) = folder_series(files)

    outcome = analyst.analyze(found.files, series_instance_uid=found.uid, summary=tmp_path / "out")

    assert isinstance(outcome, RejectedSeries)
    record = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert record["status"] == "rejected"
    assert record["reasons"] == [outcome.reason.message]


def test_of_several_series_the_soft_kernel_is_taken_and_every_other_has_a_reason(tmp_path):
    """The same rules as in the node."""
    study = "1.2.826.0.1.3680043.10.1"
    options = {"slices": 12, "shape_yx": (32, 32), "study_uid": study}
    soft = build_ct_series(series_number=2, **options)
    bone = build_ct_series(
        series_number=3, kernel="H70h", series_description="HEAD BONE", **options
    )
    scout = build_ct_series(series_number=4, series_description="Topogram", **options)
    files = [
        path
        for name, series in {"a": bone, "b": soft, "c": scout}.items()
        for path in save_series(series, tmp_path / name)
    ]

    choice = choose(folder_series(files), DEFAULT_RULES)

    assert choice.series is not None
    assert choice.series.uid == soft[0].SeriesInstanceUID
    assert set(choice.reasons) == {one[0].SeriesInstanceUID for one in (soft, bone, scout)}
    assert "Topogram" not in choice.reasons[soft[0].SeriesInstanceUID]


def test_a_series_that_is_asked_for_is_taken_whatever_the_rules_say(tmp_path):
    """A physicist at a desk knows what she wants."""
    options = {"slices": 12, "shape_yx": (32, 32), "study_uid": "1.2.3"}
    scout = build_ct_series(series_number=4, series_description="Topogram", **options)
    files = save_series(build_ct_series(**options), tmp_path / "a")
    files += save_series(scout, tmp_path / "b")
    series = folder_series(files)

    choice = choose(series, DEFAULT_RULES, wanted_uid=scout[0].SeriesInstanceUID)

    assert choice.series is not None
    assert choice.series.uid == scout[0].SeriesInstanceUID
    with pytest.raises(OperatorError, match="it holds"):
        choose(series, DEFAULT_RULES, wanted_uid="9.9")


def test_damaged_files_are_left_out_unless_all_are(tmp_path):
    """One broken file of an export does not keep back the series."""
    files = save_series(build_ct_series(slices=12, shape_yx=(32, 32)), tmp_path / "a")
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(bytes(128) + b"DICM" + b"nonsense")

    (series,) = folder_series([*files, broken])

    assert len(series.files) == 12
    with pytest.raises(OperatorError, match="can be read"):
        folder_series([broken])


def test_every_step_is_timed_even_if_it_fails():
    """The time until a rejection is known too."""
    now = iter([0.0, 2.0, 2.0, 5.0])
    clock = StepClock(lambda _: None, timer=lambda: next(now))

    with clock.running():
        clock.begin("read")
        clock.begin("segment")

    assert clock.seconds == {"read": 2.0, "segment": 3.0}


def test_results_of_a_series_that_was_prepared_are_the_same_bit_for_bit(bleeding, tmp_path):
    """Begun with early or not: objects, record but for its times, and the steps in their order."""
    (series,) = folder_series(bleeding)
    told = {}

    def run(name, *, prepared, read=0):
        clock = lambda: datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # noqa: E731 - stands still
        analyst = SeriesAnalyst(StandInModels(), clock=clock, timer=lambda: 0.0)
        steps = told[name] = []
        analyst.ahead.read(series.files[:read], go_on=lambda: None)
        early = (
            analyst.prepare(series.files, on_step=lambda _: None, on_progress=lambda _: None)
            if prepared
            else None
        )
        return analyst.analyze(
            series.files,
            series_instance_uid=series.uid,
            summary=tmp_path / name,
            prepared=early,
            on_step=steps.append,
        )

    late = run("late", prepared=False)

    for name, early in {
        "early": run("early", prepared=True),
        "read and looked at early": run("read and looked at early", prepared=True, read=29),
        "read early": run("read early", prepared=False, read=30),
    }.items():
        assert encoded_bytes(early) == encoded_bytes(late)
        assert early.record == late.record
        assert told[name] == told["late"]
        for file in ("analysis.json", "summary.html", "summary.png"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "late" / file).read_bytes()


def test_what_was_prepared_of_other_files_is_not_used(analyst, bleeding, tmp_path):
    """One image more, or another content: the models look again."""
    (series,) = folder_series(bleeding)
    prepared = analyst.prepare(
        series.files[:-1], on_step=lambda _: None, on_progress=lambda _: None
    )

    outcome = analyst.analyze(
        series.files, series_instance_uid=series.uid, summary=tmp_path, prepared=prepared
    )

    fresh = analyst.analyze(
        series.files, series_instance_uid=series.uid, summary=tmp_path / "fresh"
    )
    assert encoded_bytes(outcome) == encoded_bytes(fresh)


def encoded_bytes(outcome):
    """Return every object of an outcome as it would lie in the outbox."""
    return [encoded(kind, each).encoded for kind, each in outcome.objects.with_kinds]
