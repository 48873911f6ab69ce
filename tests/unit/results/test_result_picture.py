"""The burned-in picture shows what was found and never who the patient is."""

import dataclasses
import typing

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_node.results.capture_drawing import draw_capture
from dicom_node.results.capture_layout import capture_layout
from dicom_node.results.capture_style import CaptureStyle
from dicom_node.results.orientation_letters import direction_letters, edge_letters
from dicom_node.results.picture import CapturePicture, heat_color, overlay
from dicom_node.results.wording import in_plain_words, probability_and_range
from pipeline.prediction import HePrediction
from pipeline.triplet import RegionOfInterest, TripletPosition

ROI = RegionOfInterest(y0=200, y1=300, x0=220, x1=330)


def picture(shape=(512, 512), **changed):
    mask = np.zeros(shape, dtype=bool)
    mask[230:260, 250:290] = True
    heat = np.zeros((ROI.y1 - ROI.y0, ROI.x1 - ROI.x0), dtype=np.float32)
    heat[50, 60] = 1.0
    values = {
        "hu_yx": np.full(shape, 40, dtype=np.int16),
        "mask_yx": mask,
        "roi": ROI,
        "heat_yx": heat,
        "position": TripletPosition.MAX,
        "slice_number": 16,
        "slice_count": 30,
        "edges": ("R", "L", "A", "P"),
        "column_spacing_mm": 0.45,
        "height_mm": 12.5,
        "tilt_deg": 0.0,
        "style": CaptureStyle.CONTOUR,
        "volume_ml": 23.4,
        "volume_range_ml": (20.0, 27.0),
        "prediction": HePrediction(slice_probabilities=(0.6,), threshold=0.5),
        "slice_probability": 0.6,
        "node": "ichnode 0.1.0",
        "segmentation_model": "ich-seg 1.2.0",
        "classification_model": "he-vit 1.2.0",
        "is_demonstration": True,
    }
    return CapturePicture(**(values | changed))


def test_nothing_that_is_drawn_could_hold_a_patient():
    """The drawing takes arrays, numbers, enums and four names of software, by type."""
    allowed = {
        NDArray[np.int16],
        NDArray[np.bool_],
        NDArray[np.float32],
        RegionOfInterest,
        TripletPosition,
        HePrediction,
        int,
        float,
        bool,
        NDArray[np.bool_] | None,
        float | None,
        CaptureStyle,
        tuple[str, str, str, str],  # letters of directions, computed from cosines
        tuple[float, float] | None,
    }
    hints = typing.get_type_hints(CapturePicture)

    assert {name for name, hint in hints.items() if hint is str} == {
        "node",
        "segmentation_model",
        "classification_model",
        "growth_model",
    }
    assert {hint for hint in hints.values() if hint is not str} <= allowed
    assert list(typing.get_type_hints(draw_capture)) == ["picture", "return"]


def test_the_outline_hides_no_hematoma_pixel():
    """The line lies on the pixels just outside; inside, grey 128 shows through."""
    mask = picture().mask_yx
    pixels = overlay(
        picture().hu_yx, mask, RegionOfInterest(y0=0, y1=1, x0=0, x1=1), np.zeros((1, 1))
    )

    magenta = (pixels == (255, 0, 255)).all(axis=-1)
    assert not (magenta & mask).any()
    assert magenta[229, 250:290].all()
    assert magenta[260, 250:290].all()
    assert magenta[230:260, 249].all()
    assert magenta[230:260, 290].all()


def test_the_forecast_is_dashed_outside_its_mask_and_under_the_measured_outline():
    """White and black by turns of 4 pixels just outside; where both meet, magenta is seen."""
    mask = picture().mask_yx
    forecast = np.zeros_like(mask)
    forecast[230:270, 250:300] = True
    nowhere = RegionOfInterest(y0=0, y1=1, x0=0, x1=1)

    pixels = overlay(picture().hu_yx, mask, nowhere, np.zeros((1, 1)), forecast)

    white = (pixels == 255).all(axis=-1)
    black = (pixels == 0).all(axis=-1)
    assert not ((white | black) & forecast).any()
    assert (white | black)[270, 250:300].all()
    runs = np.diff(np.flatnonzero(np.diff(white[270, 250:300].astype(int))))
    assert set(runs.tolist()) <= {3, 4, 5}
    assert (pixels[229, 250:290] == (255, 0, 255)).all()


def test_a_slice_that_the_forecast_does_not_reach_has_no_dashes_but_its_volume():
    """Round the measured hematoma nothing changes; volume and legend are written elsewhere."""
    plain = draw_capture(picture())
    empty = np.zeros_like(picture().mask_yx)
    told = draw_capture(
        picture(forecast_yx=empty, forecast_ml=30.0, growth_model="growth-unet 0.3.0")
    )

    assert (slice_of(told) == slice_of(plain)).all()
    assert (told != plain).any()


def test_heat_stays_inside_the_region():
    """What the classifier did not see is not coloured."""
    plain = picture()
    heat = np.ones_like(plain.heat_yx)
    pixels = overlay(plain.hu_yx, np.zeros_like(plain.mask_yx), ROI, heat).astype(int)

    coloured = np.ptp(pixels, axis=-1) > 0
    inside = np.zeros_like(coloured)
    inside[ROI.y0 : ROI.y1, ROI.x0 : ROI.x1] = True
    assert not coloured[~inside].any()
    assert coloured[ROI.y0 + 1 : ROI.y1 - 1, ROI.x0 + 1 : ROI.x1 - 1].all()


def test_red_is_important_and_blue_is_not():
    """The legend runs from 0 to 1 as the overlay does."""
    none, most = heat_color(np.array([0.0, 1.0]))

    assert most[0] > 4 * most[2]
    assert none[2] > 4 * none[0]


def test_what_must_be_read_is_there():
    """Leaving a statement out changes the pixels where it stands."""
    drawn = draw_capture(picture())

    assert (drawn[-20:] == (255, 90, 80)).all(axis=-1).sum() > 100  # research line in red
    for changed in (
        {"is_demonstration": False},
        {"volume_ml": 24.4},
        {"slice_probability": 0.7},
        {"prediction": HePrediction(slice_probabilities=(0.4,), threshold=0.5)},
        {"node": "ichnode 0.2.0"},
        {"segmentation_model": "ich-seg 1.3.0"},
        {"classification_model": "he-vit 1.3.0"},
        {"position": TripletPosition.MAX_PLUS_1},
        {"slice_number": 17},
        {"edges": ("L", "R", "A", "P")},
        {"column_spacing_mm": 0.9},
        {"height_mm": 13.5},
        {"tilt_deg": 18.0},
        {"volume_range_ml": None},
    ):
        assert not np.array_equal(draw_capture(picture(**changed)), drawn), changed


def test_drawing_twice_gives_the_same_pixels():
    """Results are reproducible to the byte."""
    assert np.array_equal(draw_capture(picture()), draw_capture(picture()))


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_any_matrix_can_be_drawn(size):
    """Text scales with the matrix; the slice lies in the margins with every pixel."""
    roi = RegionOfInterest(y0=1, y1=9, x0=1, x1=9)
    small = dataclasses.replace(
        picture(),
        hu_yx=np.zeros((size, size), dtype=np.int16),
        mask_yx=np.zeros((size, size), dtype=bool),
        roi=roi,
        heat_yx=np.zeros((8, 8), dtype=np.float32),
    )
    layout = capture_layout(size, size)

    drawn = draw_capture(small)

    assert drawn.shape == (layout.height, layout.width, 3)
    assert slice_of(drawn, size).shape == (size, size, 3)


def slice_of(drawn, size=512):
    layout = capture_layout(size, size)
    return drawn[layout.top : layout.top + size, layout.left : layout.left + size]


@pytest.mark.parametrize("style", CaptureStyle)
def test_no_word_lies_on_anatomy(style):
    """Inside the slice stands exactly what the overlay is: all words are in the margins."""
    shown = picture(style=style, forecast_ml=30.0, growth_model="growth-unet 0.3.0")

    pixels = overlay(shown.hu_yx, shown.mask_yx, shown.roi, shown.heat_yx, style=style)

    assert np.array_equal(slice_of(draw_capture(shown)), pixels)


def test_words_can_be_read_on_a_small_tile():
    """A slice of 512 pixels with its margins, shown 512 pixels high: letters of 11 and more."""
    layout = capture_layout(512, 512)

    assert layout.text * 512 / max(layout.height, layout.width) >= 11


def test_paint_colours_the_hematoma_and_nothing_else():
    """Grey 128 turns magenta inside the mask, by 35 %; elsewhere both styles are one."""
    shown = picture()
    nowhere = (RegionOfInterest(y0=0, y1=1, x0=0, x1=1), np.zeros((1, 1)))
    contour = overlay(shown.hu_yx, shown.mask_yx, *nowhere)
    paint = overlay(shown.hu_yx, shown.mask_yx, *nowhere, style=CaptureStyle.PAINT)

    changed = (contour != paint).any(axis=-1)
    grey = int(contour[245, 270, 0])
    assert np.array_equal(changed, shown.mask_yx)
    expected = (
        round(0.65 * grey + 0.35 * 255),
        round(0.65 * grey),
        round(0.65 * grey + 0.35 * 255),
    )
    assert tuple(paint[245, 270]) == expected


def test_letters_say_which_way_the_patient_lies():
    """PS3.3, C.7.6.1.1.1: the larger part first; a tilted gantry adds head and feet."""
    assert edge_letters((1, 0, 0), (0, 1, 0)) == ("R", "L", "A", "P")
    assert edge_letters((-1, 0, 0), (0, -1, 0)) == ("L", "R", "P", "A")
    leans = (0, np.cos(np.radians(18)), -np.sin(np.radians(18)))
    assert edge_letters((1, 0, 0), leans) == ("R", "L", "AH", "PF")
    assert direction_letters((0, np.cos(np.radians(3)), np.sin(np.radians(3)))) == "P"


def test_the_scale_bar_is_as_long_as_it_says():
    """At 0.45 mm a pixel, 50 mm are 111 pixels, from the slice's left edge on."""
    layout = capture_layout(512, 512)
    below = draw_capture(picture())[layout.top + 512 : layout.top + 512 + layout.line]
    middle = (below[:, : layout.left + 250] == 240).all(axis=-1).sum(axis=1)
    columns = np.flatnonzero((below[int(middle.argmax()), layout.left :] == 240).all(axis=-1))
    run = columns[: int(np.argmax(np.diff(np.append(columns, 9999)) > 1)) + 1]

    assert abs(np.ptp(run) - 50 / 0.45) <= 2


def test_a_probability_has_a_range_and_plain_words():
    """Networks if there are several, slices otherwise; disagreement is said."""
    alone = HePrediction(slice_probabilities=(0.5, 0.7), threshold=0.5)
    several = HePrediction(
        slice_probabilities=(0.5, 0.7), threshold=0.5, member_probabilities=(0.45, 0.75)
    )

    assert "0.60 (0.50-0.70 among its slices), cut-off 0.50" in probability_and_range(alone)
    assert "(0.45-0.75 among its networks)" in probability_and_range(several)
    assert in_plain_words(alone) == "The model expects this hematoma to expand."
    assert "do not agree" in in_plain_words(several)
