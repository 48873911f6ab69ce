"""A small nnU-Net model, trained for seconds on bright balls, with all its files."""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn
from torch.nn import functional

TRAINER = "nnUNetTrainer"
CONFIGURATION = "3d_fullres"
INTENSITY = {"mean": 30.0, "std": 20.0, "percentile_00_5": -20.0, "percentile_99_5": 100.0}


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What nnU-Net keeps of a model."""

    plans: dict
    dataset: dict
    network: nn.Module

    @property
    def checkpoint(self) -> dict:
        return {
            "network_weights": self.network.state_dict(),
            "trainer_name": TRAINER,
            "init_args": {"configuration": CONFIGURATION, "fold": 0},
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "_best_ema": np.float64(0.5),
            "logging": {"ema_fg_dice": [np.float64(0.1), np.float32(0.2)]},
        }

    def save(self, folder: Path) -> Path:
        import json

        (folder / "fold_0").mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(self.plans))
        (folder / "dataset.json").write_text(json.dumps(self.dataset))
        torch.save(self.checkpoint, folder / "fold_0" / "checkpoint_final.pth")
        return folder


def planned(
    *, patch=(8, 32, 32), spacing=(5.0, 1.0, 1.0), features=(4, 8, 16), strides=None, kernels=None
) -> dict:
    """Return plans as nnU-Net 2.8 writes them, for one small network."""
    stages = len(features)
    return {
        "dataset_name": "Dataset001_Balls",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(spacing),
        "original_median_shape_after_transp": list(patch),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITY},
        "configurations": {
            CONFIGURATION: {
                "data_identifier": "nnUNetPlans_3d_fullres",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": list(patch),
                "median_image_size_in_voxels": list(patch),
                "spacing": list(spacing),
                "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [False],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": _resampling(3, is_seg=False),
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_seg_kwargs": _resampling(1, is_seg=True),
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": _resampling(1, is_seg=False),
                "batch_dice": False,
                "architecture": {
                    "network_class_name": "dynamic_network_architectures.architectures.unet."
                    "PlainConvUNet",
                    "arch_kwargs": {
                        "n_stages": stages,
                        "features_per_stage": list(features),
                        "conv_op": "torch.nn.modules.conv.Conv3d",
                        "kernel_sizes": kernels or [[1, 3, 3]] + [[3, 3, 3]] * (stages - 1),
                        "strides": strides or [[1, 1, 1]] + [[1, 2, 2]] * (stages - 1),
                        "n_conv_per_stage": [2] * stages,
                        "n_conv_per_stage_decoder": [2] * (stages - 1),
                        "conv_bias": True,
                        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                        "dropout_op": None,
                        "dropout_op_kwargs": None,
                        "nonlin": "torch.nn.LeakyReLU",
                        "nonlin_kwargs": {"inplace": True},
                    },
                    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
                },
            }
        },
    }


DATASET = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "bleed": 1},
    "numTraining": 7,
    "file_ending": ".nii.gz",
}


def trained_model(*, steps: int = 120, seed: int = 0, **plan) -> TrainedModel:
    """Return a network that has learnt to find bright balls in noise, whatever its sizes."""
    plans = planned(**plan)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # before the network is built: its biases are drawn, too
    network = build(plans)
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, a=0.01)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    configuration = plans["configurations"][CONFIGURATION]
    patch, spacing = configuration["patch_size"], configuration["spacing"]
    heads = [_head([round(2.2 * n) for n in patch], spacing, seed=case) for case in range(3)]
    for step in range(steps):
        image, truth = _crop(*heads[step % 3], patch, generator)
        loss = functional.cross_entropy(network(image), truth, weight=torch.tensor([0.3, 1.0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return TrainedModel(plans=plans, dataset=copy.deepcopy(DATASET), network=network.eval())


def build(plans: dict) -> nn.Module:
    stated = dict(plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"])
    stated |= {"conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d, "nonlin": nn.LeakyReLU}
    return PlainConvUNet(input_channels=1, num_classes=2, deep_supervision=False, **stated)


def head_hu(shape_zyx, spacing_zyx, *, seed=0) -> np.ndarray:
    """Return a noisy elliptic head in air with two bright balls, in HU, int16."""
    return _head(shape_zyx, spacing_zyx, seed=seed)[0]


def _head(shape_zyx, spacing_zyx, *, seed):
    """Return the head in HU and where its balls are."""
    random = np.random.default_rng(seed)
    size = np.multiply(shape_zyx, spacing_zyx)
    axes = [np.linspace(-0.5, 0.5, count) for count in shape_zyx]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((z / 0.7) ** 2 + (y / 0.42) ** 2 + (x / 0.36) ** 2)
    hu = np.where(radius < 1.0, 900, -1000)
    hu = np.where(radius < 0.92, 30 + random.normal(0, 5, shape_zyx), hu)
    truth = np.zeros(shape_zyx, dtype=bool)
    for share, off in ((0.14, 0.1), (0.08, -0.16)):
        place = np.stack([z - off, y - off, x + off / 2]) * size[:, None, None, None]
        truth |= np.linalg.norm(place, axis=0) < share * min(size[1:])
    hu = np.where(truth, 70 + random.normal(0, 5, shape_zyx), hu)
    return hu.astype(np.int16), truth


def _crop(hu, truth, patch, generator):
    starts = [
        int(torch.randint(size - tile + 1, (), generator=generator))
        for size, tile in zip(hu.shape, patch, strict=True)
    ]
    place = tuple(slice(start, start + tile) for start, tile in zip(starts, patch, strict=True))
    clipped = np.clip(hu[place], INTENSITY["percentile_00_5"], INTENSITY["percentile_99_5"])
    image = (clipped.astype(np.float32) - INTENSITY["mean"]) / INTENSITY["std"]
    return torch.from_numpy(image)[None, None], torch.from_numpy(truth[place])[None].long()


def _resampling(order: int, *, is_seg: bool) -> dict:
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
