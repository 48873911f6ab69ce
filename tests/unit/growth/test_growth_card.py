"""Cards of forecasts, and the range of a forecast volume."""

import dataclasses
import json

import pytest

from pipeline.card_json import card_from_json, card_to_json
from pipeline.errors import ModelBundleError
from pipeline.forecast_error import ForecastError
from pipeline.model_card import Intensity, ModelCard

ERROR = ForecastError(quantile=0.5, floor_ml=2.0, patients=27, cohort="tests")
CARD = ModelCard(
    name="toy",
    version="1",
    task="growth",
    architecture="GrowthUNet",
    architecture_arguments={"widths": [2, 2]},
    spacing_zyx_mm=(1.0, 1.0, 1.0),
    patch_size_zyx=(64, 64, 64),
    intensity=Intensity(clip_low_hu=0, clip_high_hu=100, mean=0, sd=100),
    class_names=("background", "hematoma"),
    probability_cutoff=0.5,
    forecast_error=ERROR,
    training_cohort="none",
    licence="Apache-2.0",
    intended_use="tests",
    demonstration=True,
    weights_sha256="ab" * 32,
)


def test_a_card_of_a_forecast_survives_the_round_trip():
    """What was stated is read, the fitted error included."""
    assert card_from_json(card_to_json(CARD), where="card.json") == CARD


def test_a_card_of_format_4_has_no_forecast():
    """Format 4 had no forecast_error; everything else is as it was."""
    today = dataclasses.replace(
        CARD, task="segmentation", minimum_component_ml=0.1, forecast_error=None
    )
    old = json.loads(card_to_json(today)) | {"card_format": 4}
    del old["forecast_error"], old["training_statistics"]

    assert card_from_json(json.dumps(old), where="card.json") == today


def test_a_segmentation_has_no_forecast_error():
    """A card that states what its task cannot have is refused."""
    text = card_to_json(CARD).replace('"growth"', '"segmentation"')

    with pytest.raises(ModelBundleError, match="segmentation has no forecast_error"):
        card_from_json(text, where="card.json")


@pytest.mark.parametrize(
    "change",
    [
        {"spacing_zyx_mm": None},
        {"patch_size_zyx": None},
        {"intensity": None},
        {"probability_cutoff": None},
        {"threshold": 0.5, "window": [40, 80], "members": 3},
        {"architecture_arguments": {"patch_size_zyx": [32, 32, 32]}},
        {"forecast_error": {"quantile": 1.0}},
        {"forecast_error": {"quantile": 1.0, "floor_ml": 0.0, "patients": 27, "cohort": "x"}},
        {"forecast_error": {"quantile": 1.0, "floor_ml": 1.0, "patients": 2.5, "cohort": "x"}},
        {"forecast_error": {"quantile": 1.0, "floor_ml": 1.0, "patients": 18, "cohort": "x"}},
        {"forecast_error": {"quantile": 1.0, "floor_ml": 1.0, "patients": 27, "cohort": ""}},
    ],
)
def test_a_card_that_cannot_be_is_refused(change):
    """Grid, patch and normalisation are needed, a classifier's fields are not; errors are whole.

    18 patients vouch for 18/19 = 94.7 % at most, less than the 95 % of every range.
    """
    content = json.loads(card_to_json(CARD)) | change

    with pytest.raises(ModelBundleError):
        card_from_json(json.dumps(content), where="card.json")


def test_the_range_grows_with_the_baseline_and_ends_at_zero():
    """0.5 x (10 + 2) = 6 mL to either side of 15 mL; 0.5 x (40 + 2) = 21 mL reaches below 0."""
    near = ERROR.range_of(15.0, baseline_ml=10.0)
    far = ERROR.range_of(15.0, baseline_ml=40.0)

    assert (near.low_ml, near.high_ml, near.level) == (9.0, 21.0, 0.95)
    assert (far.low_ml, far.high_ml) == (0.0, 36.0)
