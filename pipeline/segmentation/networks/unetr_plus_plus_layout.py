"""Shapes of UNETR++: how grids and strides follow from the patch, and how layouts differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

Size = tuple[int, int, int]

_STAGES = 4

#: Without two halvings within the slice, attention runs over far more tokens than it is made
#: for (every token has projection weights of its own).
_LEAST_HALVINGS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockKind:
    """What tells the blocks of the layouts apart.

    Attributes
    ----------
    convolutions : int
        Residual units after the attention.
    keys_and_values : {"one", "two", "bare"}
        One linear layer projects keys and values over the tokens, each has its own, or one
        matrix without offset does.
    summed : bool
        Whether the two branches are summed, instead of each giving half of the channels.
    dropout : float
        Share of attention weights dropped in training.
    """

    convolutions: int
    keys_and_values: str
    summed: bool
    dropout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnetrPlusPlusShape:
    """What a whole UNETR++ looks like.

    Attributes
    ----------
    patch_zyx, stem_zyx : tuple of int
        Voxels per axis of the input and of a token.
    grids : tuple of tuple of int
        Tokens per axis of every stage, finest first.
    strides : tuple of tuple of int
        From each stage to the next.
    block : BlockKind
        How a block is made.
    """

    patch_zyx: Size
    stem_zyx: Size
    grids: tuple[Size, ...]
    strides: tuple[Size, ...]
    block: BlockKind

    @property
    def tokens(self) -> tuple[int, ...]:
        """Number of tokens of every stage."""
        return tuple(prod(grid) for grid in self.grids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """A layout's rules."""

    stem_zyx: Size
    block: BlockKind
    #: Whether an axis with an odd number of tokens keeps them, instead of being refused.
    keeps_odd_axes: bool = False


def unetr_plus_plus_shape(layout: str, patch_size_zyx: Sequence[int]) -> UnetrPlusPlusShape:
    """Return the shapes of a layout for a patch.

    Parameters
    ----------
    layout : {"head_ct", "synapse", "acdc", "lung", "tumor"}
        All but the first are released ones.
    patch_size_zyx : sequence of int
        Voxels of the input.

    Raises
    ------
    ValueError
        If the layout is unknown or the patch does not fit it.
    """
    rules = LAYOUTS.get(layout)
    if rules is None:
        raise ValueError(f"Layout {layout!r} is unknown; known: {', '.join(LAYOUTS)}")
    if len(patch_size_zyx) != 3:  # noqa: PLR2004  three axes
        raise ValueError(f"A patch has three axes, got {tuple(patch_size_zyx)}")
    z, y, x = patch_size_zyx
    patch: Size = (z, y, x)
    _check_patch(patch, layout, rules)
    grids = [_divided(patch, rules.stem_zyx)]
    strides: list[Size] = []
    while len(grids) < _STAGES:
        sz, sy, sx = (2 if length % 2 == 0 else 1 for length in grids[-1])
        strides.append((sz, sy, sx))
        grids.append(_divided(grids[-1], strides[-1]))
    return UnetrPlusPlusShape(
        patch_zyx=patch,
        stem_zyx=rules.stem_zyx,
        grids=tuple(grids),
        strides=tuple(strides),
        block=rules.block,
    )


def _check_patch(patch: Size, layout: str, rules: _Layout) -> None:
    """Raise ValueError unless the patch is a multiple of what the layout reduces it by."""
    z, y, x = rules.stem_zyx
    whole = 2 ** (_STAGES - 1)
    unit = (z * whole, y * whole, x * whole)
    if rules.keeps_odd_axes:
        unit = (z, y * 2**_LEAST_HALVINGS, x * 2**_LEAST_HALVINGS)
    pairs = zip(patch, unit, strict=True)
    if any(found < needed or found % needed for found, needed in pairs):
        raise ValueError(f"Layout {layout!r} needs a multiple of {unit} voxels, got {patch}")


def _divided(size: Size, by: Size) -> Size:
    z, y, x = (length // step for length, step in zip(size, by, strict=True))
    return z, y, x


_ACDC = BlockKind(convolutions=2, keys_and_values="two", summed=False, dropout=0.1)

#: Source of the released ones: the four network files of UNETR++. Head CT of 5 mm has the block
#: and the stem of ACDC, the nearest in anisotropy.
LAYOUTS: MappingProxyType[str, _Layout] = MappingProxyType(
    {
        "head_ct": _Layout(stem_zyx=(1, 4, 4), block=_ACDC, keeps_odd_axes=True),
        "synapse": _Layout(
            stem_zyx=(2, 4, 4),
            block=BlockKind(convolutions=1, keys_and_values="one", summed=False, dropout=0.15),
        ),
        "acdc": _Layout(stem_zyx=(1, 4, 4), block=_ACDC),
        "lung": _Layout(stem_zyx=(1, 4, 4), block=_ACDC),
        "tumor": _Layout(
            stem_zyx=(4, 4, 4),
            block=BlockKind(convolutions=1, keys_and_values="bare", summed=True, dropout=0.1),
        ),
    }
)
