"""The Kolmogorov-Arnold layer against B-splines of scipy."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from training.synthesis.kan import KanLinear


@pytest.mark.parametrize("reach", [1.0, 3.0])
def test_the_bases_are_cubic_b_splines(reach):
    """Scipy evaluates the same knots by the recursion of Cox and de Boor."""
    layer = KanLinear(1, 1, reach=reach)
    knots = np.linspace(-reach - 6 * reach / 5, reach + 6 * reach / 5, 12)
    values = np.linspace(-2.5 * reach, 2.5 * reach, 501)

    bases = layer.bases(torch.tensor(values, dtype=torch.float32)[:, None])[:, 0].numpy()

    for j in range(8):
        element = BSpline.basis_element(knots[j : j + 5], extrapolate=False)
        assert bases[:, j] == pytest.approx(np.nan_to_num(element(values)), abs=2e-6)


def test_the_output_is_the_sum_over_connections():
    """Each output is written out as base plus scaled spline, input by input."""
    torch.manual_seed(1)
    layer = KanLinear(3, 2).requires_grad_(requires_grad=False)
    knots = np.linspace(-2.2, 2.2, 12)
    elements = [BSpline.basis_element(knots[j : j + 5], extrapolate=False) for j in range(8)]
    values = [0.2, -0.7, 1.5]
    expected = np.zeros(2)
    for o in range(2):
        for i, value in enumerate(values):
            coefficients = layer.spline_weight[o, i].tolist()
            pieces = np.nan_to_num([float(element(value)) for element in elements])
            swish = value / (1 + np.exp(-value))
            expected[o] += float(layer.base_weight[o, i]) * swish
            expected[o] += float(layer.spline_scaler[o, i]) * float(pieces @ coefficients)

    found = layer(torch.tensor([values]))[0].numpy()

    assert found == pytest.approx(expected, abs=1e-5)


def test_the_splines_start_as_faint_noise():
    """At the inner knots they are within 0.1 / 5 / 2 = 0.01 of zero, and not all zero."""
    torch.manual_seed(2)
    layer = KanLinear(4, 6)
    knots = torch.linspace(-1, 1, 6)[:, None].expand(-1, 4)

    start = torch.einsum("nic,oic->nio", layer.bases(knots), layer.spline_weight)

    assert 0.005 < float(start.detach().abs().max()) <= 0.01 + 1e-6


def test_far_values_reach_no_spline():
    """Beyond three intervals outside the range only the base is left."""
    layer = KanLinear(1, 1)

    assert torch.count_nonzero(layer.bases(torch.tensor([[2.21], [-2.21]]))) == 0
    assert torch.count_nonzero(layer.bases(torch.tensor([[2.19]]))) == 1
