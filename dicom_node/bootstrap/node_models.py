"""The models that the settings name, and what their cards say that can change a result."""

import dataclasses
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.settings.schema import Settings
from pipeline.errors import ModelBundleError

if TYPE_CHECKING:
    from pipeline.model_card import ModelCard
    from pipeline.models import Models

#: Fields of a card that cannot change a result, or whose digest the models' own is.
_WORDS = frozenset(
    {
        "name",
        "version",
        "training_cohort",
        "metrics",
        "licence",
        "intended_use",
        "demonstration",
        "weights_sha256",
        "card_format",
        "training_statistics",
    }
)


def fitted_facts(card: "ModelCard") -> tuple[str, ...]:
    """Return what a card says beside words and weights: all of it can change a result."""
    return tuple(
        f"{card.task} {item.name} {getattr(card, item.name)}"
        for item in dataclasses.fields(card)
        if item.name not in _WORDS
    )


def load_node_models(settings: Settings) -> "Models":
    """Return the models that the settings name.

    Raises
    ------
    ModelBundleError
        If a bundle or the device cannot be used; says which the settings name.
    """
    from pipeline.kept_memory import keep_freed_memory
    from pipeline.models import load_models

    keep_freed_memory()
    worker = settings.worker
    try:
        return load_models(
            segmentation=parts.bundle_path(worker.segmentation_bundle),
            classification=parts.bundle_path(worker.classification_bundle),
            growth=parts.growth_bundle(settings),
            device=worker.device,
        )
    except ModelBundleError as error:
        names = [worker.segmentation_bundle, worker.classification_bundle, worker.growth_bundle]
        raise ModelBundleError(
            f"{error} ([worker] in the settings: bundles {', '.join(filter(None, names))}; device "
            f"{worker.device})"
        ) from error
