"""Shapes of nnFormer: how grids, windows and strides follow from the patch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

Size = tuple[int, int, int]

_STAGES = 4

#: From this stage on attention is global: the window is the grid.
_GLOBAL_FROM = 2

#: Channels per attention head in all released layouts.
_HEAD_WIDTH = 32

#: Windows of the local stages that head CT aims at, near the 3x5x5 of the released ACDC layout.
_LOCAL: Size = (4, 5, 5)

#: Windows of the deep stages where the grid itself would be too large for one window.
_DEEP: Size = (7, 10, 10)

#: Most tokens of a window; the released layouts use up to 700. Memory grows with the square.
_MOST_TOKENS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StageShape:
    """What one resolution of nnFormer looks like.

    Attributes
    ----------
    width, heads : int
        Channels of a token and attention heads.
    grid_zyx, window_zyx, shift_zyx : tuple of int
        Tokens per axis of the volume, of a window, and of the shift of every second block.
    offsets_collide : bool
        Whether different offsets share a bias, as in the released code.
    shift_unmasked : bool
        Whether shifted windows mix opposite borders of the volume, as in the released code
        for ACDC.
    """

    width: int
    heads: int
    grid_zyx: Size
    window_zyx: Size
    shift_zyx: Size
    offsets_collide: bool = False
    shift_unmasked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NnFormerShape:
    """What a whole nnFormer looks like.

    Attributes
    ----------
    patch_zyx, embedding_zyx : tuple of int
        Voxels per axis of the input and of a token.
    strides : tuple of tuple of int
        From each stage to the next.
    stages : tuple of StageShape
        Finest first.
    supervised : bool
        Whether the coarser decoder levels have heads of their own.
    """

    patch_zyx: Size
    embedding_zyx: Size
    strides: tuple[Size, ...]
    stages: tuple[StageShape, ...]
    supervised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """What tells the layouts apart."""

    embedding_zyx: Size
    first_stride: Size
    width: int
    supervised: bool
    windows: Callable[[int, Size], tuple[Size, Size]]
    masked_as_released: bool


def nnformer_shape(
    layout: str,
    patch_size_zyx: Sequence[int],
    *,
    width: int | None = None,
    supervised: bool | None = None,
    as_released: bool = False,
) -> NnFormerShape:
    """Return the shapes of a layout for a patch.

    Parameters
    ----------
    layout : {"head_ct", "synapse", "acdc"}
        The latter two are the released ones, of 64x128x128 and 14x160x160 voxels.
    patch_size_zyx : sequence of int
        Voxels of the input.
    width : int, optional
        Channels of the finest tokens; the layout's own if not given.
    supervised : bool, optional
        Whether coarser decoder levels have heads; as the layout if not given.
    as_released : bool
        Whether to repeat the flaws that released weights depend on.

    Raises
    ------
    ValueError
        If the layout is unknown or the patch does not fit it.
    """
    rules = LAYOUTS.get(layout)
    if rules is None:
        raise ValueError(f"Layout {layout!r} is unknown; known: {', '.join(LAYOUTS)}")
    patch = _fitting_patch(patch_size_zyx, rules)
    grids, strides = _grids(patch, rules)
    first = rules.width if width is None else width
    if first <= 0 or first % 2:
        raise ValueError(f"Width must be even and positive, got {first}")
    heads = max(1, first // _HEAD_WIDTH)
    stages = []
    for stage, grid in enumerate(grids):
        window, shift = rules.windows(stage, grid)
        stages.append(
            StageShape(
                width=first * 2**stage,
                heads=heads * 2**stage,
                grid_zyx=grid,
                window_zyx=window,
                shift_zyx=shift,
                offsets_collide=as_released,
                shift_unmasked=as_released and not rules.masked_as_released,
            )
        )
    return NnFormerShape(
        patch_zyx=patch,
        embedding_zyx=rules.embedding_zyx,
        strides=strides,
        stages=tuple(stages),
        supervised=rules.supervised if supervised is None else supervised,
    )


def _fitting_patch(patch_size_zyx: Sequence[int], rules: _Layout) -> Size:
    if len(patch_size_zyx) != 3:  # noqa: PLR2004  three axes
        raise ValueError(f"A patch has three axes, got {tuple(patch_size_zyx)}")
    z, y, x = patch_size_zyx
    for found, unit in zip((z, y, x), rules.embedding_zyx, strict=True):
        if found < unit or found % unit:
            raise ValueError(
                f"Patch must be a multiple of {rules.embedding_zyx} voxels, got {(z, y, x)}"
            )
    return z, y, x


def _grids(patch: Size, rules: _Layout) -> tuple[list[Size], tuple[Size, ...]]:
    """Return the grid of every stage and the strides between them.

    Raises
    ------
    ValueError
        If an axis is used up before the last stage.
    """
    grids = [_divided(patch, rules.embedding_zyx)]
    strides: list[Size] = []
    while len(grids) < _STAGES:
        stride = rules.first_stride if not strides else (2, 2, 2)
        grid = _divided(grids[-1], stride)
        if min(grid) < 1:
            raise ValueError(
                f"Patch {patch} is too small: after {len(strides)} halvings {grids[-1]} tokens "
                f"are left, at least 2 along each axis are needed"
            )
        grids.append(grid)
        strides.append(stride)
    return grids, tuple(strides)


def _divided(size: Size, by: Size) -> Size:
    z, y, x = (length // step for length, step in zip(size, by, strict=True))
    return z, y, x


def _head_ct_windows(stage: int, grid: Size) -> tuple[Size, Size]:
    """Return windows that divide the grid; an axis that is one window is not shifted."""
    if stage >= _GLOBAL_FROM and prod(grid) <= _MOST_TOKENS:
        return grid, (0, 0, 0)
    aims = _LOCAL if stage < _GLOBAL_FROM else _DEEP
    z, y, x = (_dividing(length, aim) for length, aim in zip(grid, aims, strict=True))
    window = (z, y, x)
    pairs = zip(grid, window, strict=True)
    sz, sy, sx = (0 if length == size else size // 2 for length, size in pairs)
    return window, (sz, sy, sx)


def _dividing(length: int, aim: int) -> int:
    """Return the divisor nearest to the aim, or the aim itself (padded) if none is near."""
    divisors = [size for size in range(min(2, length), 2 * aim + 1) if length % size == 0]
    return min(divisors, key=lambda size: abs(size - aim), default=aim)


def _synapse_windows(stage: int, grid: Size) -> tuple[Size, Size]:
    """Return cubes; where one does not fit the grid it shrinks and nothing is shifted."""
    size = (4, 4, 8, 4)[stage]
    if min(grid) <= size:
        least = min(grid)
        return (least, least, least), (0, 0, 0)
    return (size, size, size), (size // 2, size // 2, size // 2)


def _acdc_windows(stage: int, grid: Size) -> tuple[Size, Size]:
    """Return flat windows; a window that is the whole grid is not shifted."""
    window: Size = ((3, 5, 5), (3, 5, 5), (7, 10, 10), (3, 5, 5))[stage]
    if grid == window:
        return window, (0, 0, 0)
    return window, _divided(window, (2, 2, 2))


#: Source of the released ones: nnFormer's trainers for Synapse and ACDC. Head CT of 5 mm has
#: the strides of ACDC, the nearest in anisotropy.
LAYOUTS: MappingProxyType[str, _Layout] = MappingProxyType(
    {
        "head_ct": _Layout(
            embedding_zyx=(1, 4, 4),
            first_stride=(1, 2, 2),
            width=96,
            supervised=True,
            windows=_head_ct_windows,
            masked_as_released=True,
        ),
        "synapse": _Layout(
            embedding_zyx=(2, 4, 4),
            first_stride=(2, 2, 2),
            width=192,
            supervised=True,
            windows=_synapse_windows,
            masked_as_released=True,
        ),
        "acdc": _Layout(
            embedding_zyx=(1, 4, 4),
            first_stride=(1, 2, 2),
            width=96,
            supervised=False,
            windows=_acdc_windows,
            masked_as_released=False,
        ),
    }
)
