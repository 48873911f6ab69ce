"""The Kolmogorov-Arnold layer: a learned cubic spline on every connection."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Order of the splines; the truncated powers below are those of a cubic.
ORDER = 3

#: Scale of the noise that the splines start from, before division by the number of intervals.
INITIAL_NOISE = 0.1


class KanLinear(nn.Module):
    """A linear layer whose every weight is a function, in the efficient formulation.

    Output ``o`` is the sum over inputs ``i`` of ``base[o, i] * silu(x_i)`` and of a cubic
    spline of ``x_i`` with coefficients ``spline_weight[o, i] * spline_scaler[o, i]``. There is
    no bias. The splines share uniform knots, so their values need no recursion and no
    intermediate arrays: a uniform cubic B-spline is a sum of two truncated powers.

    Parameters
    ----------
    inputs, outputs : int
        Features in and out.
    intervals : int
        Grid intervals within the range.
    reach : float
        The grid spans ``-reach..reach``; splines are zero from 3 intervals beyond it.

    References
    ----------
    .. [1] Z. Liu et al., "KAN: Kolmogorov-Arnold Networks", arXiv:2404.19756 (2024).
    .. [2] C. Li et al., "U-KAN Makes Strong Backbone for Medical Image Segmentation and
       Generation", Proc. AAAI 39 (2025).
    """

    grid: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, intervals: int = 5, reach: float = 1.0
    ) -> None:
        super().__init__()
        self._step = 2 * reach / intervals
        self._intervals = intervals
        knots = torch.arange(-ORDER, intervals + ORDER + 1) * self._step - reach
        # One row for each input, as released checkpoints store it.
        self.register_buffer("grid", knots.expand(inputs, -1).contiguous())
        self.base_weight = nn.Parameter(torch.empty(outputs, inputs))
        self.spline_weight = nn.Parameter(torch.empty(outputs, inputs, intervals + ORDER))
        self.spline_scaler = nn.Parameter(torch.empty(outputs, inputs))
        if not self.base_weight.is_meta:
            self._initialise()

    def bases(self, values: Tensor) -> Tensor:
        """Return the B-splines at some values, shape (..., inputs, intervals + 3).

        Parameters
        ----------
        values : Tensor, shape (..., inputs)
        """
        centres = self.grid[:, 2:-2]  # of spline j, which lives on knots j..j+4
        distance = ((values[..., None] - centres) / self._step).abs()
        outer = functional.relu(2 - distance) ** 3
        inner = functional.relu(1 - distance) ** 3
        return (outer - 4 * inner) / 6

    def forward(self, values: Tensor) -> Tensor:
        """Return the outputs, shape (..., outputs), for values of shape (..., inputs)."""
        weight = self.spline_weight * self.spline_scaler[..., None]
        base = functional.linear(functional.silu(values), self.base_weight)
        return base + functional.linear(self.bases(values).flatten(-2), weight.flatten(1))

    @torch.no_grad()
    def _initialise(self) -> None:
        """Start from the smallest splines through faint noise at the inner knots."""
        nn.init.kaiming_uniform_(self.base_weight, a=math.sqrt(5))
        nn.init.kaiming_uniform_(self.spline_scaler, a=math.sqrt(5))
        outputs, inputs = self.base_weight.shape
        noise = torch.rand(self._intervals + 1, inputs, outputs) - 0.5
        noise *= INITIAL_NOISE / self._intervals
        inner_knots = self.grid[:, ORDER:-ORDER].T
        fit = torch.linalg.pinv(self.bases(inner_knots)[:, 0])
        self.spline_weight.copy_(torch.einsum("ck,kio->oic", fit, noise))
