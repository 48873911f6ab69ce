"""Import of a model folder of nnU-Net v2 as a bundle."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import ModelCard
from pipeline.segmentation.networks.nnunet import load_upstream_nnunet
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.networks.shared_weights import distinct_weights
from pipeline.segmentation.nnunet_plans import PlannedModel, planned_model

#: The function that pickles name to make a number of numpy's; it has no public name.
_SCALAR = np.float64(0).__reduce__()[0]

#: Harmless numbers in nnU-Net's checkpoints (its logs), under their old and new names.
_NUMBERS: list[Any] = [
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
    np.dtypes.BoolDType,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]

_IDENTITY = (0, 1, 2)


def bundle_from_nnunet(
    folder: Path,
    output: Path,
    *,
    fold: int | str = 0,
    checkpoint: str = "checkpoint_final.pth",
    hematoma: str | None = None,
    licence: str = "Unknown: ask whoever trained the weights",
) -> ModelBundle:
    """Write a bundle with the network of a trained nnU-Net v2 model.

    The bundle's card asks for nnU-Net's own resampling and padding, so that the network sees
    what it was trained on; only the orientation is fixed: rows run from front to back, as in
    DICOM. A model trained on files with rows from back to front (dcm2niix writes such) relies
    on its mirrored training images.

    Parameters
    ----------
    folder : Path
        Model folder: ``plans.json``, ``dataset.json`` and ``fold_N``.
    output : Path
        Bundle folder to write.
    fold : int or str
        Number of the fold, or ``all``.
    checkpoint : str
        File in the fold's folder.
    hematoma : str, optional
        Label of the hematoma; needed if there are several and none is called ``hematoma``.
    licence : str
        Terms of the weights, for the card.

    Returns
    -------
    ModelBundle
        What was written.

    Raises
    ------
    ModelBundleError
        If a file cannot be read or would have to be trusted, the model needs what the pipeline
        does not do, or the weights do not fit the plans.
    """
    plans, dataset = _json(folder / "plans.json"), _json(folder / "dataset.json")
    path = folder / f"fold_{fold}" / checkpoint
    stored = _checkpoint(path)
    try:
        trainer, configuration = stored["trainer_name"], stored["init_args"]["configuration"]
        model = planned_model(
            plans, dataset, configuration=configuration, trainer=trainer, hematoma=hematoma
        )
        weights = _weights(model, stored["network_weights"])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelBundleError(f"{folder} is no model of nnU-Net v2: {error!r}") from error
    mirrored = stored.get("inference_allowed_mirroring_axes") or ()
    origin = (
        f"Imported from nnU-Net: data set {plans.get('dataset_name', 'unnamed')}, "
        f"{dataset.get('numTraining', 'an unknown number of')} training scans, {trainer}, "
        f"{configuration}, fold {fold}, {checkpoint}; trained with mirrored copies over axes "
        f"{sorted(model.axes[axis] for axis in mirrored)} (0 = z)."
    )
    return save_bundle(
        output, _card(model, name=output.name, origin=origin, licence=licence), weights
    )


def _card(model: PlannedModel, *, name: str, origin: str, licence: str) -> ModelCard:
    return ModelCard(
        name=name,
        version="imported",
        task="segmentation",
        architecture=model.architecture,
        architecture_arguments=model.arguments,
        spacing_zyx_mm=model.spacing_zyx_mm,
        patch_size_zyx=model.patch_size_zyx,
        intensity=model.intensity,
        sampling="nnunet",
        class_names=model.class_names,
        # nnU-Net takes the most probable class and drops nothing.
        probability_cutoff=0.5,
        minimum_component_ml=0.0,
        training_cohort=origin,
        licence=licence,
        intended_use="RESEARCH USE ONLY. Imported weights, not judged on held-out patients here.",
        demonstration=True,
    )


def _weights(model: PlannedModel, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under our names, each once, axes in the order z, y, x."""
    network = build_network(model.architecture, model.arguments)
    turned = {key: _axes_in_zyx(value, model.axes) for key, value in stored.items()}
    if model.architecture.startswith("UMamba"):
        from pipeline.segmentation.networks.umamba import (
            UMambaBot,
            UMambaEnc,
            load_upstream_umamba,
        )

        assert isinstance(network, UMambaEnc | UMambaBot)  # noqa: S101  by the registry
        load_upstream_umamba(network, turned)
    else:
        load_upstream_nnunet(network, turned)
    return distinct_weights(network)


def _axes_in_zyx(weight: Tensor, axes: tuple[int, int, int]) -> Tensor:
    """Return a kernel (out, in, 3 axes of nnU-Net) with its axes in the order z, y, x."""
    if weight.ndim != 5 or axes == _IDENTITY:  # noqa: PLR2004  only kernels have five axes
        return weight
    return weight.permute(0, 1, *(2 + axes.index(axis) for axis in _IDENTITY)).contiguous()


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelBundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelBundleError(f"{path} must be a JSON object")
    return content


def _checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content, without running any code that it may hold."""
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelBundleError(f"{path} cannot be read without trusting it: {reason}") from error
    if not isinstance(content, dict):
        raise ModelBundleError(f"{path} must hold a dictionary")
    return content
