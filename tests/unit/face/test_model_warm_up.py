"""Models are tried in a process of their own, which says what is wrong in one line."""

import shutil

import pytest

from dicom_node.bootstrap.model_warm_up import UnusableModelsError, try_models_apart
from dicom_node.settings.schema import Settings
from pipeline.model_bundle import builtin_bundle_path


def with_models(**bundles):
    return Settings.model_validate({"worker": {"device": "cpu", **bundles}})


def test_a_damaged_bundle_is_named_by_the_other_process(tmp_path):
    """Its digest is another than the card's; the message is one line."""
    folder = tmp_path / "damaged"
    shutil.copytree(builtin_bundle_path("demo-segmentation"), folder)
    (folder / "weights.safetensors").write_bytes(b"damaged")

    with pytest.raises(UnusableModelsError, match="has digest"):
        try_models_apart(with_models(segmentation_bundle=str(folder)))


def test_good_models_are_loaded_and_warmed_up_elsewhere():
    """Nothing is said, and nothing of them stays in this process."""
    try_models_apart(with_models(segmentation_bundle="demo-segmentation"))
