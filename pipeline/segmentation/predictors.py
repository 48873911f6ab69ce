"""From the architecture on a model card to the predictor that runs it."""

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.networks.shared_weights import load_weights
from pipeline.segmentation.predictor import Predictor

if TYPE_CHECKING:
    from torch import nn

    from pipeline.segmentation.inference_options import InferenceOptions

PredictorFactory = Callable[[ModelBundle, "InferenceOptions"], Predictor]

#: Module and factory by architecture; an architecture that is not named is run tile by tile.
FACTORIES: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "BlastCt": ("pipeline.segmentation.blast_ct.predictor", "blast_ct_predictor"),
        "Ensemble": ("pipeline.segmentation.ensemble", "ensemble_predictor"),
        "SlexNet": ("pipeline.segmentation.slex_predictor", "slex_predictor"),
    }
)

_TILED = ("pipeline.segmentation.tiled_predictor", "tiled_predictor")


def build_predictor(bundle: ModelBundle, options: "InferenceOptions") -> Predictor:
    """Return the predictor for a bundle's architecture, weights loaded.

    Raises
    ------
    ModelBundleError
        If the architecture is unknown or the weights do not fit it.
    """
    module, name = FACTORIES.get(bundle.card.architecture, _TILED)
    factory = cast("PredictorFactory", getattr(import_module(module), name))
    return factory(bundle, options)


def load_network(bundle: ModelBundle) -> "nn.Module":
    """Return the network that a bundle's card describes, with the bundle's weights.

    Raises
    ------
    ModelBundleError
        If the architecture is unknown or the weights do not fit it.
    """
    network = build_network(bundle.card.architecture, bundle.card.architecture_arguments)
    try:
        load_weights(network, bundle.weights)
    except RuntimeError as error:
        raise ModelBundleError(
            f"Weights of {bundle.card.name} do not fit its card: {error}"
        ) from error
    return network
