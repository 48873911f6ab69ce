"""Which models an opinion comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Digits of a digest that people read.
_SHORT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """The models behind an opinion; opinions of different ones are never counted together.

    Attributes
    ----------
    segmentation, classification : str
        Name and version.
    segmentation_sha256, classification_sha256 : str
        Digests of the weights, hexadecimal.
    demonstration : bool
        Whether one of them only shows that the line works.
    """

    segmentation: str
    classification: str
    segmentation_sha256: str
    classification_sha256: str
    demonstration: bool

    def __str__(self) -> str:
        return (
            f"{self.segmentation} ({self.segmentation_sha256[:_SHORT]}) and "
            f"{self.classification} ({self.classification_sha256[:_SHORT]})"
        )

    @property
    def weights(self) -> frozenset[str]:
        """Digests of all weights."""
        return frozenset({self.segmentation_sha256, self.classification_sha256})


def version_of(record: Mapping[str, Any]) -> ModelVersion:
    """Return the models that an analysis record names."""
    models = record.get("model", {})
    first, second = models.get("segmentation", {}), models.get("classification", {})
    return ModelVersion(
        segmentation=_name(first),
        classification=_name(second),
        segmentation_sha256=str(first.get("weights_sha256", "")),
        classification_sha256=str(second.get("weights_sha256", "")),
        demonstration=bool(first.get("demonstration")) or bool(second.get("demonstration")),
    )


def _name(model: Mapping[str, Any]) -> str:
    return f"{model.get('name', 'unnamed')} {model.get('version', '')}".strip()
