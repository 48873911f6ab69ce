"""The slice of largest area shows the hematoma's outline, and nothing else over the brain."""

import numpy as np
import pytest
from result_cases import case_with_hematoma

from dicom_node.results.key_slice import draw_key_slice
from dicom_node.results.picture import CONTOUR


@pytest.fixture(scope="module")
def drawn():
    case = case_with_hematoma()
    image = draw_key_slice(case.analysis, case.volume, is_demonstration=True)
    return np.asarray(image).astype(int)


def test_the_outline_lies_round_the_blood_on_the_patient_s_left(drawn):
    """The ball of blood lies left: right of the middle of the picture, as radiologists hang it."""
    brain = drawn[70 : 70 + 1024]
    magenta = (abs(brain - CONTOUR) < 60).all(axis=-1)
    rows, columns = np.nonzero(magenta)

    assert columns.mean() > 512 + 50
    inside = brain[round(rows.mean()), round(columns.mean())]
    assert inside.max() - inside.min() == 0  # grey: blood, without paint or heat


def test_nothing_but_outline_and_letters_has_a_colour(drawn):
    """A heat map would have blue, green and red pixels without magenta."""
    brain = drawn[70 : 70 + 1024]
    coloured = brain[(brain.max(axis=-1) - brain.min(axis=-1)) > 60]

    assert len(coloured) > 500
    assert (coloured[:, 1] < coloured[:, 0]).all()
    assert (abs(coloured[:, 0] - coloured[:, 2]) < 30).all()


def test_the_picture_says_what_it_may_be_used_for(drawn):
    """Below the brain: red for research, amber for the demonstration model."""
    foot = drawn[70 + 1024 :]
    red = (foot[..., 0] > 200) & (foot[..., 1] < 130) & (foot[..., 2] < 130)
    amber = (foot[..., 0] > 200) & (foot[..., 1] > 150) & (foot[..., 2] < 120)

    assert red.sum() > 500
    assert amber.sum() > 300
