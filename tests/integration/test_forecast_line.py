"""From files to results with a growth network in the line: small and untrained, but real."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from acceptance.stand_in_models import StandInModels
from ct_builder import Ball, build_ct_series, save_series
from growth_builder import growth_card, moving_forecaster, moving_network

from dicom_node.bootstrap.analysts import series_analyst
from dicom_node.bootstrap.node_models import load_node_models
from dicom_node.commands.analyze import Wishes
from dicom_node.commands.check import findings_of
from dicom_node.results.check_segmentation import unpack_frames
from dicom_node.series_analysis import AnalyzedSeries, SeriesAnalyst
from dicom_node.series_folder import folder_series
from dicom_node.settings.schema import NodeSettings, Settings, WebSettings, WorkerSettings
from pipeline.analysis import Step
from pipeline.forecast_error import ForecastError
from pipeline.model_bundle import save_bundle

ERROR = ForecastError(quantile=0.5, floor_ml=2.0, patients=27, cohort="tests")
BLEED = Ball()
SPECK = Ball(radius_mm=1.5)


class WithGrowth(StandInModels):
    """The stand-in with a growth model beside it."""

    def __init__(self, displacement_zyx):
        self.forecaster = moving_forecaster(displacement_zyx, forecast_error=ERROR)


def analyst_of(models):
    return SeriesAnalyst(
        models, clock=lambda: datetime(2026, 1, 5, 9, 0, tzinfo=UTC), timer=lambda: 0.0
    )


def saved(folder, *, ball=BLEED, **options):
    series = build_ct_series(slices=30, shape_yx=(96, 96), balls=(ball,), **options)
    (found,) = folder_series(save_series(series, folder))
    return found


@pytest.fixture(scope="module", params=[0.0, 18.0], ids=["axial", "tilted"])
def forecast(request, tmp_path_factory):
    """Return the outcome of a line whose network moves everything 4 mm to the patient's left."""
    folder = tmp_path_factory.mktemp("line")
    series = saved(folder / "ct", tilt_deg=request.param)
    steps = []
    outcome = analyst_of(WithGrowth((0.0, 0.0, -1.0))).analyze(
        series.files, series_instance_uid=series.uid, summary=folder / "out", on_step=steps.append
    )
    assert isinstance(outcome, AnalyzedSeries)
    return outcome, steps, folder / "out"


def centroid_x_mm(segmentation):
    """Return the mean patient coordinate of all set pixels, from the object's own headers."""
    sums = np.zeros(2)
    spacing = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    groups = segmentation.PerFrameFunctionalGroupsSequence
    for frame, group in zip(unpack_frames(segmentation), groups, strict=True):
        left = float(group.PlanePositionSequence[0].ImagePositionPatient[0])
        _, columns = np.nonzero(frame)
        sums += (np.sum(left + columns * float(spacing[1])), columns.size)
    return sums[0] / sums[1]


def walked(item):
    """Yield every content item below one."""
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walked(child)


def test_the_forecast_lies_where_the_network_moved_it(forecast):
    """One voxel of 4 mm to the left, to half a pixel of 2.4 mm, in an object of its own."""
    objects = forecast[0].objects

    moved = centroid_x_mm(objects.forecast) - centroid_x_mm(objects.segmentation)

    assert moved == pytest.approx(4.0, abs=1.2)


def test_file_and_record_tell_the_forecast(forecast):
    """The range is half of (baseline + 2 mL) to either side, as the card says."""
    outcome, steps, summary = forecast
    told = json.loads((summary / "analysis.json").read_text())["forecast"]

    assert told == outcome.record["forecast"]
    assert told["volume_ml"] == pytest.approx(told["baseline_ml"], rel=0.05)
    assert told["baseline_ml"] == pytest.approx(BLEED.volume_ml, rel=0.05)
    reach = (told["baseline_ml"] + 2) / 2
    low, high = told["volume_range_ml"]
    assert high == pytest.approx(told["volume_ml"] + reach, abs=1e-3)
    assert low == pytest.approx(told["volume_ml"] - reach, abs=1e-3)
    assert steps.index(Step.FORECAST) == steps.index(Step.EXPLAIN) + 1


def test_the_report_names_segmentation_and_forecast_as_its_own(forecast):
    """Each segment is referred to once, the measured one first."""
    objects = forecast[0].objects
    references = [
        item.ReferencedSOPSequence[0]
        for item in walked(objects.report)
        if "ReferencedSOPSequence" in item
    ]
    segments = [
        str(one.ReferencedSOPInstanceUID) for one in references if "ReferencedSegmentNumber" in one
    ]

    assert segments == [objects.segmentation.SOPInstanceUID, objects.forecast.SOPInstanceUID]


def test_a_speck_is_analysed_without_a_forecast(tmp_path):
    """Ten cubic millimetres vanish on a grid of 4 mm: flagged, encoded, checked, told."""
    series = saved(tmp_path / "ct", ball=SPECK, positions_mm=np.arange(-60, 81, 1.0) * 1.0)

    outcome = analyst_of(WithGrowth((0.0, 0.0, 0.0))).analyze(
        series.files, series_instance_uid=series.uid, summary=tmp_path / "out"
    )

    assert isinstance(outcome, AnalyzedSeries)
    assert outcome.objects.forecast is None
    assert outcome.record["forecast"] is None
    assert "no_forecast" in outcome.record["flags"]
    assert outcome.record["model"]["growth"]["name"] == "toy"


def test_the_growth_model_enters_the_digest_only_where_there_is_one():
    """A site without one keeps the digest of before: two lines of name, version, weights."""
    plain, grown = analyst_of(StandInModels()), analyst_of(WithGrowth((0.0, 0.0, 0.0)))
    zeros = "0" * 64
    lines = f"stand-in segmentation 0 {zeros}\nstand-in classification 0 {zeros}"

    assert plain.model_digest == hashlib.sha256(lines.encode()).hexdigest()
    with_growth = f"{lines}\ntoy 1 "
    assert grown.model_digest == hashlib.sha256(with_growth.encode()).hexdigest()


@pytest.fixture
def bundle(tmp_path):
    network = moving_network((0.0, 0.0, 0.0))
    return save_bundle(tmp_path / "growth", growth_card(), network.state_dict())


def settings_with(bundle, tmp_path, **results):
    worker = WorkerSettings(
        device="cpu", segmentation_bundle="demo-segmentation", growth_bundle=str(bundle.path)
    )
    settings = Settings(
        worker=worker,
        node=NodeSettings(data_dir=tmp_path / "data", port=1),
        web=WebSettings(enabled=False),
    )
    return settings.model_copy(update={"results": settings.results.model_copy(update=results)})


@pytest.mark.weights
def test_the_bundle_of_the_settings_is_loaded_and_warm(bundle, tmp_path):
    """The third card is the growth model's, and its facts enter the configuration's digest."""
    models = load_node_models(settings_with(bundle, tmp_path))
    models.warm_up()
    changed = replace(models.forecaster.card, probability_cutoff=0.4)
    before = series_analyst(settings_with(bundle, tmp_path), models).configuration_digest
    models.forecaster.card = changed

    assert [card.task for card in models.cards] == ["segmentation", "classification", "growth"]
    after = series_analyst(settings_with(bundle, tmp_path), models).configuration_digest
    assert before != after


@pytest.mark.weights
def test_a_site_that_wants_no_forecast_has_a_node_without_the_model(bundle, tmp_path):
    """The same digests, and so the same identifiers, as where no bundle is named."""
    off = settings_with(bundle, tmp_path, forecast=False)
    never = off.model_copy(update={"worker": off.worker.model_copy(update={"growth_bundle": ""})})
    analysts = [series_analyst(settings, load_node_models(settings)) for settings in (off, never)]

    assert analysts[0].model_digest == analysts[1].model_digest
    assert analysts[0].configuration_digest == analysts[1].configuration_digest


@pytest.mark.weights
def test_check_names_the_growth_model(bundle, tmp_path):
    """As it names the other two: name, version, device, and that it is for demonstration."""
    findings = {one.subject: one for one in findings_of(settings_with(bundle, tmp_path))}

    assert findings["growth model"].good
    assert findings["growth model"].detail.startswith("toy 1 on cpu; trained on simulated data")


def test_a_bundle_named_on_the_command_line_is_a_wish_for_a_forecast(bundle, tmp_path):
    """It wins over a site that wants none; an empty name leaves the forecast out."""
    off = settings_with(bundle, tmp_path, forecast=False)

    wanted = Wishes(growth="/models/growth").over(off)
    unwanted = Wishes(growth="").over(settings_with(bundle, tmp_path))

    assert (wanted.worker.growth_bundle, wanted.results.forecast) == ("/models/growth", True)
    assert unwanted.worker.growth_bundle == ""
    assert Wishes().over(off) == off
