"""What a bundle must be to be loaded."""

import dataclasses
import json

import pytest
import torch

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import builtin_bundle_path, load_bundle, save_bundle
from pipeline.model_card import Intensity, ModelCard


def segmentation_card(**changes: object) -> ModelCard:
    fields = {
        "name": "toy",
        "version": "1",
        "task": "segmentation",
        "architecture": "CompactUNet",
        "architecture_arguments": {"features": [8, 8]},
        "spacing_zyx_mm": (5.0, 0.5, 0.5),
        "patch_size_zyx": (12, 64, 64),
        "intensity": Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30),
        "class_names": ("background", "hematoma"),
        "probability_cutoff": 0.5,
        "minimum_component_ml": 0.1,
        "training_cohort": "none",
        "metrics": {"dice": {"mean": 0.5, "low": 0.4, "high": 0.6}},
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "demonstration": True,
    }
    return ModelCard(**{**fields, **changes})


@pytest.fixture
def bundle_path(tmp_path):
    save_bundle(tmp_path / "toy", segmentation_card(), {"a": torch.arange(4.0)})
    return tmp_path / "toy"


def edit_card(path, change):
    card = json.loads((path / "card.json").read_text())
    change(card)
    (path / "card.json").write_text(json.dumps(card))


def test_bundle_survives_the_round_trip(bundle_path):
    """What was saved is loaded: card field by field, weights value by value."""
    bundle = load_bundle(bundle_path)

    stated = dataclasses.replace(bundle.card, weights_sha256="")
    assert stated == segmentation_card()
    assert torch.equal(bundle.weights["a"], torch.arange(4.0))
    assert len(bundle.digest) == 64


def test_altered_weights_are_refused(bundle_path):
    """One changed byte of the weights is noticed."""
    weights = bundle_path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))

    with pytest.raises(ModelBundleError, match="digest"):
        load_bundle(bundle_path)


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(ModelCard)])
def test_missing_field_is_refused(bundle_path, name):
    """A card names every field, also those that are null."""
    edit_card(bundle_path, lambda card: card.pop(name))

    with pytest.raises(ModelBundleError, match=f"missing {name}"):
        load_bundle(bundle_path)


def test_unknown_field_is_refused(bundle_path):
    """A misspelt field cannot pass unnoticed."""
    edit_card(bundle_path, lambda card: card.update(probabilty_cutoff=0.4))

    with pytest.raises(ModelBundleError, match="unknown probabilty_cutoff"):
        load_bundle(bundle_path)


def test_other_task_is_refused(bundle_path):
    """A segmentation model does not classify."""
    with pytest.raises(ModelBundleError, match="is for segmentation"):
        load_bundle(bundle_path, task="classification")


def test_other_patch_size_is_refused(bundle_path):
    """Weights are only used with the patch size that the card states."""
    with pytest.raises(ModelBundleError, match="patch size"):
        load_bundle(bundle_path, patch_size_zyx=(16, 64, 64))


def test_card_that_contradicts_a_bound_patch_is_refused(bundle_path):
    """An architecture whose weights depend on the patch states it; the card must agree."""
    edit_card(
        bundle_path, lambda card: card["architecture_arguments"].update(img_size=[8, 64, 64])
    )

    with pytest.raises(ModelBundleError, match="bound to patch size"):
        load_bundle(bundle_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("probability_cutoff", 1.5),
        ("minimum_component_ml", -1.0),
        ("spacing_zyx_mm", [5.0, 0.5]),
        ("spacing_zyx_mm", None),
        ("patch_size_zyx", [0, 64, 64]),
        ("intensity", {"clip_low_hu": 0, "clip_high_hu": 80, "mean": 30}),
        ("intensity", {"clip_low_hu": 0, "clip_high_hu": 80, "mean": 30, "sd": 0}),
        ("task", "guessing"),
        ("demonstration", "yes"),
        ("card_format", 99),
        ("weights_sha256", "abc"),
        ("class_names", []),
        ("licence", ""),
    ],
)
def test_impossible_value_is_refused(bundle_path, field, value):
    """A value that cannot be is named when the card is read."""
    edit_card(bundle_path, lambda card: card.update({field: value}))

    with pytest.raises(ModelBundleError):
        load_bundle(bundle_path)


def test_absent_file_is_refused(tmp_path):
    """A folder without a card is no bundle."""
    with pytest.raises(ModelBundleError, match=r"card\.json cannot be read"):
        load_bundle(tmp_path)


def test_pickled_weights_are_refused(bundle_path):
    """A pickle under the right name and digest is still no safetensors file."""
    import hashlib

    weights = bundle_path / "weights.safetensors"
    torch.save({"a": torch.zeros(1)}, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    edit_card(bundle_path, lambda card: card.update(weights_sha256=digest))

    with pytest.raises(ModelBundleError, match="no safetensors file"):
        load_bundle(bundle_path)


def test_card_is_readable_text(bundle_path):
    """The card is indented JSON with one field per line."""
    text = (bundle_path / "card.json").read_text()

    assert '\n  "licence": "Apache-2.0",\n' in text


def test_unknown_shipped_bundle_is_refused():
    """The message lists the bundles that exist."""
    with pytest.raises(ModelBundleError, match="there are"):
        builtin_bundle_path("nothing")
