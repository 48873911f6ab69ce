"""nnU-Net's model folders, read as bundles."""

import copy
import json

import pytest
import torch
from nnunet_model import CONFIGURATION, DATASET, INTENSITY, TrainedModel, build, planned

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import load_bundle
from pipeline.segmentation.nnunet_import import bundle_from_nnunet
from pipeline.segmentation.nnunet_plans import planned_model
from pipeline.segmentation.predictors import load_network


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    torch.manual_seed(0)
    plans = planned()
    return TrainedModel(plans=plans, dataset=copy.deepcopy(DATASET), network=build(plans).eval())


def read(plans, dataset=DATASET, **choices):
    return planned_model(
        plans, dataset, configuration=CONFIGURATION, trainer="nnUNetTrainer", **choices
    )


def changed(**settings) -> dict:
    """Return plans with other settings of the configuration."""
    plans = planned()
    plans["configurations"][CONFIGURATION] |= settings
    return plans


def test_the_card_says_what_the_plans_say(model, tmp_path):
    """Percentiles become the clip range; sampling is nnU-Net's own."""
    bundle_from_nnunet(model.save(tmp_path / "model"), tmp_path / "ball-finder")

    card = load_bundle(tmp_path / "ball-finder", task="segmentation").card
    assert card.name == "ball-finder"
    assert card.architecture == "PlainConvUNet"
    assert card.spacing_zyx_mm == (5.0, 1.0, 1.0)
    assert card.patch_size_zyx == (8, 32, 32)
    assert card.intensity.clip_low_hu == INTENSITY["percentile_00_5"]
    assert card.intensity.clip_high_hu == INTENSITY["percentile_99_5"]
    assert (card.intensity.mean, card.intensity.sd) == (INTENSITY["mean"], INTENSITY["std"])
    assert card.class_names == ("background", "hematoma")
    assert card.sampling == "nnunet"
    assert "Dataset001_Balls" in card.training_cohort


def test_the_imported_network_is_the_trained_one(model, tmp_path):
    """Same tile in, same logits out."""
    bundle = bundle_from_nnunet(model.save(tmp_path / "model"), tmp_path / "bundle")
    tile = torch.randn(1, 1, 8, 32, 32, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        found, expected = load_network(bundle).eval()(tile), model.network(tile)

    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 0, 1), (1, 2, 0)])
def test_weights_trained_on_transposed_axes_are_turned_back(axes, tmp_path):
    """A network on transposed input equals the turned network on the input as it is."""
    back = [axes.index(axis) for axis in range(3)]
    patch, spacing = (8, 32, 16), (5.0, 1.0, 2.0)
    strides, kernels = [[1, 1, 1], [1, 2, 2], [2, 2, 1]], [[1, 3, 3], [3, 3, 3], [3, 3, 1]]
    plans = planned(
        patch=[patch[axis] for axis in axes],
        spacing=[spacing[axis] for axis in axes],
        strides=[[stride[axis] for axis in axes] for stride in strides],
        kernels=[[kernel[axis] for axis in axes] for kernel in kernels],
    )
    plans |= {"transpose_forward": list(axes), "transpose_backward": back}
    torch.manual_seed(1)
    model = TrainedModel(plans=plans, dataset=DATASET, network=build(plans).eval())
    tile = torch.randn(1, 1, *patch, generator=torch.Generator().manual_seed(0))

    bundle = bundle_from_nnunet(model.save(tmp_path / "model"), tmp_path / "bundle")
    with torch.no_grad():
        found = load_network(bundle).eval()(tile)
        turned = model.network(tile.permute(0, 1, *(2 + axis for axis in axes)))

    assert bundle.card.patch_size_zyx == patch
    assert bundle.card.spacing_zyx_mm == spacing
    expected = turned.permute(0, 1, *(2 + axis for axis in back))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_settings_may_be_inherited():
    """A configuration has what it does not say from the one it inherits from."""
    plans = planned()
    plans["configurations"]["3d_small"] = {
        "inherits_from": CONFIGURATION,
        "patch_size": [4, 16, 16],
    }

    found = planned_model(plans, DATASET, configuration="3d_small", trainer="nnUNetTrainer")

    assert found.patch_size_zyx == (4, 16, 16)
    assert found.spacing_zyx_mm == (5.0, 1.0, 1.0)


def test_older_plans_name_the_same_network():
    """Before version 2.4 plans gave sizes only; nnU-Net's own conversion fills in the rest."""
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

    settings = changed()["configurations"][CONFIGURATION]
    del settings["architecture"]
    older = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 12,
        "n_conv_per_stage_encoder": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "num_pool_per_axis": [0, 2, 2],
        "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [1, 2, 2]],
        "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    }
    plans = planned()
    plans["configurations"][CONFIGURATION] = {**settings, **older}

    found = read(plans).arguments
    with pytest.warns(UserWarning, match="old nnU-Net plans"):
        expected = ConfigurationManager({**settings, **older}).network_arch_init_kwargs

    told = {key: value for key, value in expected.items() if value is not None}
    assert found == {**told, "input_channels": 1, "num_classes": 2}


def test_a_u_mamba_trainer_brings_its_own_network():
    """U-Mamba's trainers ignore the network that the plans name."""
    for trainer, architecture in (
        ("nnUNetTrainerUMambaEnc", "UMambaEnc"),
        ("nnUNetTrainerUMambaBot", "UMambaBot"),
    ):
        found = planned_model(planned(), DATASET, configuration=CONFIGURATION, trainer=trainer)

        assert found.architecture == architecture
        assert found.arguments["features_per_stage"] == [4, 8, 16]
        assert found.arguments["patch_size_zyx"] == [8, 32, 32]


def test_a_u_mamba_checkpoint_is_imported_by_its_own_names(tmp_path):
    """Keys as U-Mamba stores them, the encoder once more inside the decoder."""
    from pipeline.segmentation.networks.registry import build_network

    torch.manual_seed(0)
    wanted = planned_model(
        planned(), DATASET, configuration=CONFIGURATION, trainer="nnUNetTrainerUMambaBot"
    )
    network = build_network(wanted.architecture, wanted.arguments)
    own = network.state_dict()
    repeated = {
        f"decoder.{key}": value for key, value in own.items() if key.startswith("encoder.")
    }
    model = TrainedModel(plans=planned(), dataset=DATASET, network=network)
    model.save(tmp_path / "model")
    stored = model.checkpoint | {"trainer_name": "nnUNetTrainerUMambaBot"}
    stored["network_weights"] = own | repeated
    torch.save(stored, tmp_path / "model" / "fold_0" / "checkpoint_final.pth")

    bundle = bundle_from_nnunet(tmp_path / "model", tmp_path / "bundle")

    assert bundle.card.architecture == "UMambaBot"
    for name, value in load_network(bundle).state_dict().items():
        torch.testing.assert_close(value, own[name], atol=0, rtol=0)


def test_of_several_labels_the_hematoma_must_be_known():
    """A label called hematoma is it; otherwise somebody has to say which."""
    labels = {"background": 0, "perihematomal_edema": 1, "hematoma": 2}
    other = {"background": 0, "ivh": 1, "ich": 2}

    assert read(planned(), {**DATASET, "labels": labels}).class_names == (
        "background",
        "perihematomal_edema",
        "hematoma",
    )
    assert read(planned(), {**DATASET, "labels": other}, hematoma="ich").class_names == (
        "background",
        "ivh",
        "hematoma",
    )
    with pytest.raises(ModelBundleError, match=r"which label is the hematoma; .* ivh, ich"):
        read(planned(), {**DATASET, "labels": other})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"normalization_schemes": ["ZScoreNormalization"]}, "normalization_schemes"),
        ({"previous_stage": "3d_lowres"}, "previous_stage"),
        ({"patch_size": [32, 32]}, "dimensions"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, "resampling_fn_data"),
        (
            {"resampling_fn_probabilities_kwargs": {"order": 3, "order_z": 0}},
            "resampling_fn_probabilities_kwargs",
        ),
    ],
)
def test_what_the_pipeline_does_otherwise_is_refused(settings, words):
    """A network is not given an input that it was not trained on."""
    with pytest.raises(ModelBundleError, match=words):
        read(changed(**settings))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({**DATASET, "channel_names": {"0": "CT", "1": "CTA"}}, "channels"),
        ({**DATASET, "labels": {"background": 0, "whole": [1, 2], "core": 2}}, "regions"),
    ],
)
def test_other_kinds_of_data_sets_are_refused(dataset, words):
    """One channel in, one label a voxel out."""
    with pytest.raises(ModelBundleError, match=words):
        read(planned(), dataset)


def test_a_foreign_network_is_refused_by_name():
    """Only networks of the registry are built; nothing is imported because a file says so."""
    plans = planned()
    plans["configurations"][CONFIGURATION]["architecture"]["network_class_name"] = "os.system"

    with pytest.raises(ModelBundleError, match="Network system is unknown"):
        read(plans)


class Trap:
    """What a malicious checkpoint would hold."""

    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_a_checkpoint_with_code_is_refused_and_not_run(model, tmp_path, capsys):
    """Only tensors, plain values and numbers are unpickled."""
    folder = model.save(tmp_path / "model")
    torch.save(model.checkpoint | {"extra": Trap()}, folder / "fold_0" / "checkpoint_final.pth")

    with pytest.raises(ModelBundleError, match="without trusting it"):
        bundle_from_nnunet(folder, tmp_path / "bundle")

    assert "never" not in capsys.readouterr().out
    assert not (tmp_path / "bundle").exists()


def test_missing_files_and_wrong_weights_are_named(model, tmp_path):
    """The message says which file, or which key."""
    folder = model.save(tmp_path / "model")

    with pytest.raises(ModelBundleError, match="fold_3"):
        bundle_from_nnunet(folder, tmp_path / "bundle", fold=3)

    wider = planned(features=(4, 8, 12))
    (folder / "plans.json").write_text(json.dumps(wider))
    with pytest.raises(ModelBundleError, match="has shape"):
        bundle_from_nnunet(folder, tmp_path / "bundle")
