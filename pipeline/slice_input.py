"""How the classifier's input is cut and brought to size: one statement for training and node."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import ModelBundleError
from pipeline.windowing import BRAIN_WINDOW, Window

#: Window of the released code's crop: its function has level 45 and width 90 as defaults, which
#: nothing overrides, where the paper says 40 and 80.
RELEASED_WINDOW = Window(level_hu=45, width_hu=90)

#: Grey levels lie between 0 and 1 here; the network takes one channel or three.
_CHANNELS = (1, 3)

#: Brain shown around the hematoma, in mm. The paper leaves it open; the released code takes
#: none. Oedema and satellites, which are signs of expansion, lie within this distance.
DEFAULT_MARGIN_MM = 10.0


class RoiShape(StrEnum):
    """Which rectangle is cut out of a slice. The values are stored; never rename one."""

    SQUARE = "square"  #: a square around the largest piece of hematoma, with the margin
    BOX = "box"  #: the bounding box of that piece, with the margin
    AS_RELEASED = "as-released"  #: what the released code of the npj study cuts


class Resizing(StrEnum):
    """How the cut becomes a square of the input's size. Stored; never rename one."""

    PAD = "pad"  #: black on the short sides, then scaled: keeps aspect and all of it
    STRETCH = "stretch"  #: both sides scaled to fit, as "resized to 224 x 224" reads
    CROP = "crop"  #: short side to 256/224 of the size, centre cut out: the released transform


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceInput:
    """From a slice to the network's input; a card without one means the defaults.

    Attributes
    ----------
    roi : RoiShape
        What is cut out.
    margin_mm : float
        Brain around the hematoma on every side.
    resizing : Resizing
        How the cut is brought to the size of the input.
    mean, sd : tuple of float
        Subtracted from and divided into grey levels 0..1, one value for all channels of the
        network or one for each of three. 0.5 and 0.5 are the statistics of
        ``vit_base_patch16_224.orig_in21k_ft_in1k``.

    Raises
    ------
    ModelBundleError
        If a value is impossible.
    ValueError
        If a word for roi or resizing is unknown.
    """

    roi: RoiShape = RoiShape.SQUARE
    margin_mm: float = DEFAULT_MARGIN_MM
    resizing: Resizing = Resizing.PAD
    mean: tuple[float, ...] = (0.5,)
    sd: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        # recipes give the words
        object.__setattr__(self, "roi", RoiShape(self.roi))
        object.__setattr__(self, "resizing", Resizing(self.resizing))
        if not 0 <= self.margin_mm < 100:  # noqa: PLR2004  farther than any head is wide
            raise ModelBundleError(f"Margin must lie in [0, 100) mm, got {self.margin_mm}")
        if self.roi is RoiShape.AS_RELEASED and self.margin_mm:
            raise ModelBundleError("The released crop has no margin")
        if len(self.mean) not in _CHANNELS or len(self.sd) != len(self.mean):
            raise ModelBundleError(f"Mean and sd need 1 or 3 values, got {self.mean}, {self.sd}")
        if not (all(0 <= value <= 1 for value in self.mean) and min(self.sd) > 0):
            raise ModelBundleError(f"Grey levels are 0..1, got mean {self.mean}, sd {self.sd}")

    @property
    def window(self) -> Window:
        """The window that makes grey levels of Hounsfield units."""
        return RELEASED_WINDOW if self.roi is RoiShape.AS_RELEASED else BRAIN_WINDOW


#: What the released code of the npj study does: its crop, its transform, ImageNet's statistics.
AS_RELEASED = SliceInput(
    roi=RoiShape.AS_RELEASED,
    margin_mm=0.0,
    resizing=Resizing.CROP,
    mean=(0.485, 0.456, 0.406),
    sd=(0.229, 0.224, 0.225),
)
