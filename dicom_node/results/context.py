"""Who made a result, with which models, when, under which configuration."""

from dataclasses import dataclass
from datetime import datetime

from dicom_node.results.capture_style import CaptureStyle
from dicom_node.results.identity import ModelIdentity, device_uid_of

#: Longest LO value (PS3.5, section 6.2).
_LONG_STRING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultContext:
    """What a result says about its maker; nothing here comes from the patient.

    Attributes
    ----------
    segmentation_card, classification_card : ModelIdentity
        Cards of the two models (`pipeline.model_bundle.ModelCard`).
    growth_card : ModelIdentity or None
        Card of the model that forecasts the follow-up; None where there is none.
    now : datetime
        One aware time for all objects of the result; it is stored with them.
    configuration_digest : str
        Digest of every setting that can change a result; enters the UIDs.
    manufacturer, model_name, device_serial_number : str
        Identity of the node, each 1 to 64 characters.
    software_versions : tuple of str
        Versions of the node's software, at least one.
    device_uid : str
        Device UID of the node; empty means one derived from name, version and models.
    with_uncertainty_map : bool
        Whether a map of the segmentation's doubt is made where there is a hematoma.
    with_pdf : bool
        Whether the one-page report is made.
    with_key_objects : bool
        Whether the selection of key objects is made where there is a hematoma.
    capture_style : CaptureStyle
        How captures show the hematoma.

    Raises
    ------
    ValueError
        If `now` is naive, or a text is empty or longer than 64 characters.
    """

    segmentation_card: ModelIdentity
    classification_card: ModelIdentity
    growth_card: ModelIdentity | None = None
    now: datetime
    configuration_digest: str
    manufacturer: str = "ichnode project"
    model_name: str = "ichnode"
    software_versions: tuple[str, ...]
    device_serial_number: str = "1"
    device_uid: str = ""
    with_uncertainty_map: bool = False
    with_pdf: bool = False
    with_key_objects: bool = False
    capture_style: CaptureStyle = CaptureStyle.CONTOUR

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError(f"The time of a result must be aware, got {self.now.isoformat()}")
        if not self.software_versions:
            raise ValueError("A result names at least one software version, got none")
        for text in (
            self.manufacturer,
            self.model_name,
            self.device_serial_number,
            *self.software_versions,
        ):
            if not 1 <= len(text) <= _LONG_STRING:
                raise ValueError(f"A device text has 1 to 64 characters, got {text!r}")

    @property
    def models(self) -> tuple[ModelIdentity, ...]:
        """Every card: segmentation, classification and, where there is one, growth."""
        both = (self.segmentation_card, self.classification_card)
        return both if self.growth_card is None else (*both, self.growth_card)

    @property
    def is_demonstration(self) -> bool:
        """Whether any model was trained on simulated data."""
        return any(card.demonstration for card in self.models)

    @property
    def observer_uid(self) -> str:
        """Device UID of the node with its models (IHE AIR: new whenever a model changes)."""
        return self.device_uid or device_uid_of(
            self.model_name, self.software_versions[0], self.models
        )
