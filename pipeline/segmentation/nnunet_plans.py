"""What nnU-Net's plans and dataset files say of a model, in the terms of a model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ModelBundleError
from pipeline.model_card import Intensity
from pipeline.volume import Vector

#: Class of the network in the plans -> name in our registry.
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")

#: Trainers that build their network themselves, whatever the plans name.
_TRAINERS = {"nnUNetTrainerUMambaEnc": "UMambaEnc", "nnUNetTrainerUMambaBot": "UMambaBot"}

#: Arguments that plans may give as dotted names; the registry checks the names.
_OPERATORS = {"conv_op", "norm_op", "dropout_op", "nonlin"}

#: What nnU-Net's planner writes, and `sample_like_nnunet` does.
_RESAMPLING = "resample_data_or_seg_to_shape"
_ORDERS = {"resampling_fn_data": 3, "resampling_fn_probabilities": 1}

_IDENTITY = (0, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """A network and its input, as nnU-Net's files state them.

    Attributes
    ----------
    architecture : str
        Name in the registry of networks.
    arguments : dict
        What the registry builds the network with, axes in the order z, y, x.
    spacing_zyx_mm, patch_size_zyx, intensity
        As on a model card.
    axes : tuple of int
        nnU-Net's ``transpose_forward``: which of z, y, x each axis of the weights is.
    class_names : tuple of str
        The hematoma is called so, whatever its label is called in the data set.
    """

    architecture: str
    arguments: dict[str, Any]
    spacing_zyx_mm: Vector
    patch_size_zyx: tuple[int, int, int]
    intensity: Intensity
    axes: tuple[int, int, int]
    class_names: tuple[str, ...]


def planned_model(
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    *,
    configuration: str,
    trainer: str,
    hematoma: str | None = None,
) -> PlannedModel:
    """Return the model that plans and data set describe.

    Parameters
    ----------
    plans, dataset : mapping
        Content of ``plans.json`` and ``dataset.json``.
    configuration : str
        Which of the plans' configurations was trained, e.g. ``3d_fullres``.
    trainer : str
        Class name of the trainer; those of U-Mamba bring their own network.
    hematoma : str, optional
        Label of the hematoma; needed if there are several and none is called ``hematoma``.

    Raises
    ------
    ModelBundleError
        If the files ask for anything that the pipeline does not do: another normalisation than
        for CT, several channels, two dimensions, a cascade, regions, or another resampling.
    """
    planned = _configuration(plans, configuration)
    axes = _axes(plans)
    classes = _class_names(dataset, hematoma)
    _refuse_what_is_done_otherwise(planned, dataset)
    architecture, arguments = _network(planned, trainer, axes=axes, classes=len(classes))
    z, y, x = _in_zyx(planned["spacing"], axes)
    depth, rows, columns = _in_zyx(planned["patch_size"], axes)
    return PlannedModel(
        architecture=architecture,
        arguments=arguments,
        spacing_zyx_mm=(float(z), float(y), float(x)),
        patch_size_zyx=(int(depth), int(rows), int(columns)),
        intensity=_intensity(plans),
        axes=axes,
        class_names=classes,
    )


def _configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with what it inherits."""
    found = plans.get("configurations", {}).get(name)
    if found is None:
        known = ", ".join(plans.get("configurations", {})) or "none"
        raise ModelBundleError(f"The plans have no configuration {name!r}; they have: {known}")
    parent = found.get("inherits_from")
    inherited = _configuration(plans, parent) if parent else {}
    return {**inherited, **found}


def _axes(plans: Mapping[str, Any]) -> tuple[int, int, int]:
    axes = tuple(int(axis) for axis in plans.get("transpose_forward", _IDENTITY))
    if sorted(axes) != list(_IDENTITY):
        raise ModelBundleError(f"transpose_forward must order three axes, got {axes}")
    return axes[0], axes[1], axes[2]


def _class_names(dataset: Mapping[str, Any], hematoma: str | None) -> tuple[str, ...]:
    """Return the network's classes in the order of its output."""
    labels = {name: value for name, value in dataset["labels"].items() if name != "ignore"}
    if any(not isinstance(value, int) for value in labels.values()) or sorted(
        labels.values()
    ) != list(range(len(labels))):
        raise ModelBundleError(f"Labels must be numbered from 0 without regions, got {labels}")
    names = sorted(labels, key=lambda name: int(labels[name]))[1:]
    chosen = hematoma or ("hematoma" if "hematoma" in names else None)
    if chosen is None and len(names) == 1:
        chosen = names[0]
    if chosen not in names:
        raise ModelBundleError(
            f"Say which label is the hematoma; the data set has: {', '.join(names)}"
        )
    return ("background", *("hematoma" if name == chosen else name for name in names))


def _refuse_what_is_done_otherwise(planned: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Raise ModelBundleError where the pipeline would not give the network its usual input."""
    channels = dataset.get("channel_names", dataset.get("modality", {}))
    wanted = {
        "number of channels": (len(channels), 1),
        "dimensions": (len(planned["patch_size"]), 3),
        "normalization_schemes": (list(planned["normalization_schemes"]), ["CTNormalization"]),
        "previous_stage": (planned.get("previous_stage"), None),
    }
    for name, order in _ORDERS.items():
        wanted[name] = (planned.get(name, _RESAMPLING), _RESAMPLING)
        orders = planned.get(f"{name}_kwargs", {})
        wanted[f"{name}_kwargs"] = (
            (orders.get("order", order), orders.get("order_z", 0), orders.get("force_separate_z")),
            (order, 0, None),
        )
    for what, (found, expected) in wanted.items():
        if found != expected:
            raise ModelBundleError(f"The plans' {what} must be {expected}, got {found}")


def _network(
    planned: Mapping[str, Any], trainer: str, *, axes: tuple[int, int, int], classes: int
) -> tuple[str, dict[str, Any]]:
    """Return the network's name in the registry and its arguments, axes in order z, y, x."""
    if trainer in _TRAINERS:
        from pipeline.segmentation.networks.umamba_layout import umamba_arguments

        if axes != _IDENTITY:
            raise ModelBundleError(
                f"{trainer} reads its tokens along the axes {axes}; only {_IDENTITY} is supported"
            )
        return _TRAINERS[trainer], umamba_arguments(planned, num_classes=classes)
    stated = planned.get("architecture") or _older_architecture(planned)
    name = stated["network_class_name"].rpartition(".")[2]
    if name not in _NETWORKS:
        raise ModelBundleError(f"Network {name} is unknown; known: {', '.join(_NETWORKS)}")
    imported = set(stated.get("_kw_requires_import", ()))
    if not imported <= _OPERATORS:
        raise ModelBundleError(f"The plans import {sorted(imported - _OPERATORS)} for {name}")
    arguments = dict(stated["arch_kwargs"])
    for key in ("kernel_sizes", "strides"):
        if isinstance(arguments[key], Sequence):
            arguments[key] = [
                list(_in_zyx(entry, axes)) if isinstance(entry, Sequence) else entry
                for entry in arguments[key]
            ]
    return name, {**arguments, "input_channels": 1, "num_classes": classes}


def _older_architecture(planned: Mapping[str, Any]) -> dict[str, Any]:
    """Return what plans before nnU-Net 2.4 leave to the defaults of their network."""
    name = planned["UNet_class_name"]
    blocks = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
    stages = len(planned["n_conv_per_stage_encoder"])
    base, most = planned["UNet_base_num_features"], planned["unet_max_num_features"]
    return {
        "network_class_name": name,
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": planned["conv_kernel_sizes"],
            "strides": planned["pool_op_kernel_sizes"],
            blocks: planned["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": planned["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "nonlin"],
    }


def _intensity(plans: Mapping[str, Any]) -> Intensity:
    stated = plans["foreground_intensity_properties_per_channel"]["0"]
    return Intensity(
        clip_low_hu=float(stated["percentile_00_5"]),
        clip_high_hu=float(stated["percentile_99_5"]),
        mean=float(stated["mean"]),
        sd=float(stated["std"]),
    )


def _in_zyx(values: Sequence[Any], axes: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    """Return values given along nnU-Net's axes in the order z, y, x."""
    return values[axes.index(0)], values[axes.index(1)], values[axes.index(2)]
