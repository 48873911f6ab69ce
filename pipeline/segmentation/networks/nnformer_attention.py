"""Attention within windows of a volume, with a learned bias for every offset of two tokens."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.networks.nnformer_layout import Size

#: Added to the score of two tokens that may not see each other, as in the released code; after
#: the softmax nothing of such a pair is left.
_APART = -100.0


class WindowAttention(nn.Module):
    """Multi-head attention among the tokens of a window.

    Parameters
    ----------
    width : int
        Channels of a token; divisible by `heads`.
    heads : int
        Attention heads.
    window_zyx : tuple of int
        Tokens per axis of a window.
    cross : bool
        Whether keys and values come from other tokens than the queries. The queries are then
        used without a projection, as in the decoder of nnFormer.
    as_released : bool
        Whether different offsets share a bias as in the released code, see
        `relative_position_index`.

    Raises
    ------
    ValueError
        If the heads do not divide the width.

    References
    ----------
    .. [1] Zhou et al., "nnFormer: Volumetric Medical Image Segmentation via a 3D Transformer",
       IEEE TIP 2023.
    """

    relative_position_index: Tensor

    def __init__(
        self, *, width: int, heads: int, window_zyx: Size, cross: bool, as_released: bool
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{width} channels cannot be shared among {heads} heads")
        self.heads = heads
        self.cross = cross
        offsets = 1
        for size in window_zyx:
            offsets *= 2 * size - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(offsets, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        # Follows from the window, so it is no weight and not saved.
        self.register_buffer(
            "relative_position_index",
            relative_position_index(window_zyx, as_released=as_released),
            persistent=False,
        )
        if cross:
            self.kv = nn.Linear(width, 2 * width)
        else:
            self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """Return attended tokens.

        Parameters
        ----------
        queries, keys : Tensor, shape (B * W, T, C)
            Tokens of the W windows of every sample; the same ones without `cross`.
        mask : Tensor of bool or None, shape (W, T, T)
            Which pairs may not see each other.

        Returns
        -------
        Tensor, shape (B * W, T, C)
        """
        windows, tokens, width = queries.shape
        shape = (windows, tokens, -1, self.heads, width // self.heads)
        if self.cross:
            parts = torch.cat([queries.view(shape), self.kv(keys).view(shape)], dim=2)
        else:
            parts = self.qkv(queries).view(shape)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B * W, heads, T, C / heads)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=self._bias(windows, mask).to(query.dtype)
        )
        mixed: Tensor = self.proj(attended.transpose(1, 2).reshape(windows, tokens, width))
        return mixed

    def _bias(self, windows: int, mask: Tensor | None) -> Tensor:
        table = self.relative_position_bias_table
        bias = table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask is None:
            return bias
        each = bias + mask[:, None] * _APART  # (W, heads, T, T)
        return each.repeat(windows // len(mask), 1, 1, 1)


def relative_position_index(window_zyx: Size, *, as_released: bool) -> Tensor:
    """Return for each pair of tokens the row of their offset in the table of biases.

    Parameters
    ----------
    window_zyx : tuple of int
        Tokens per axis of a window, T in all.
    as_released : bool
        In the released code one step in depth moves ``3 * y - 1`` rows, where it takes
        ``(2 * y - 1) * (2 * x - 1)`` to give every offset a row of its own. Released weights
        have learned with the collisions and need them.

    Returns
    -------
    Tensor of int64, shape (T, T)
    """
    depth, rows, columns = window_zyx
    per_row = 2 * columns - 1
    per_plane = (2 * rows - 1) * per_row
    if as_released:
        per_row, per_plane = 2 * rows - 1, 3 * rows - 1
    places = np.indices(window_zyx).reshape(3, -1)
    offsets = places[:, :, None] - places[:, None, :]
    z, y, x = offsets + np.array([depth - 1, rows - 1, columns - 1])[:, None, None]
    return torch.from_numpy(z * per_plane + y * per_row + x)


def shift_mask(grid_zyx: Size, window_zyx: Size, shift_zyx: Size) -> Tensor | None:
    """Return which tokens of a window only a cyclic shift brought together.

    Parameters
    ----------
    grid_zyx : tuple of int
        Tokens per axis; padded up to whole windows here as in `split_windows`.
    window_zyx, shift_zyx : tuple of int
        Tokens per axis of a window, and of the shift towards lower indices.

    Returns
    -------
    Tensor of bool or None, shape (W, T, T)
        True for pairs that do not lie together in the volume; None if nothing is shifted.
    """
    if not any(shift_zyx):
        return None
    regions = np.zeros((1, 1, 1, 1, 1), dtype=np.int64)
    for axis, (grid, window, shift) in enumerate(
        zip(grid_zyx, window_zyx, shift_zyx, strict=True), start=1
    ):
        length = -(-grid // window) * window
        # The last window holds what was there before and, after `shift` wrapped to the end, what
        # came round from the beginning.
        region = np.arange(length) >= length - shift
        shape = [1] * 5
        shape[axis] = length
        regions = regions * 2 + region.reshape(shape)
    labels = split_windows(torch.from_numpy(regions), window_zyx).squeeze(-1)
    return labels[:, :, None] != labels[:, None, :]


def split_windows(features: Tensor, window_zyx: Size) -> Tensor:
    """Return (B, Z, Y, X, C) as windows (B * W, T, C); each axis is a multiple of the window."""
    b, z, y, x, c = features.shape
    wz, wy, wx = window_zyx
    tiles = features.reshape(b, z // wz, wz, y // wy, wy, x // wx, wx, c)
    return tiles.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, wz * wy * wx, c)


def join_windows(windows: Tensor, window_zyx: Size, grid_zyx: Size) -> Tensor:
    """Return windows (B * W, T, C) as the volume (B, Z, Y, X, C) that they were split from."""
    z, y, x = grid_zyx
    wz, wy, wx = window_zyx
    tiles = windows.reshape(-1, z // wz, y // wy, x // wx, wz, wy, wx, windows.shape[-1])
    return tiles.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, z, y, x, windows.shape[-1])
