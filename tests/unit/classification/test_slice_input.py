"""How slices are cut and resized: the card says it, the released code as a named mode."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from mask_builder import ball, bleeding_brain
from PIL import Image
from torchvision import transforms  # type: ignore[import-untyped]
from vit_builder import TINY_VIT, tiny_vit

from pipeline.card_json import card_from_json, card_to_json
from pipeline.classification.classifier import Classifier
from pipeline.classification.transform import to_input, to_roi
from pipeline.classification.vit import as_channels, build_vit
from pipeline.errors import EmptyHematomaError, ModelBundleError
from pipeline.model_bundle import ModelBundle, ModelCard
from pipeline.released_triplet import FACTOR, crop_released_triplet
from pipeline.slice_input import AS_RELEASED, Resizing, RoiShape, SliceInput
from pipeline.triplet import TripletPosition, crop_triplet
from pipeline.volume import CtVolume, HematomaMask, regular_grid

CARD = ModelCard(
    name="tiny",
    version="1",
    task="classification",
    architecture="vit",
    architecture_arguments=TINY_VIT,
    window=(40.0, 80.0),
    input_size=32,
    class_names=("HE", "NHE"),
    threshold=0.3,
    training_cohort="none",
    licence="Apache-2.0",
    intended_use="test",
    demonstration=True,
    weights_sha256="ab" * 32,
)


def lesion() -> tuple[CtVolume, HematomaMask]:
    """Return a ball of 12 mm radius on 5 x 0.5 x 0.5 mm."""
    mask = ball(
        radius_mm=12,
        spacing_zyx_mm=(5.0, 0.5, 0.5),
        shape_zyx=(9, 120, 140),
        centre_zyx_mm=(20.0, 30.0, 35.0),
    )
    return bleeding_brain(mask), mask


def ramp(height: int, width: int) -> np.ndarray:
    """Return an image whose grey level rises with row and column."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows * 3 + columns * 2) % 200 + 20).astype(np.uint8)


def test_the_margin_of_the_card_is_brain_around_the_hematoma():
    """A ball of 24 mm with margins of 0, 10 and 20 mm gives squares of 24, 44 and 64 mm."""
    volume, mask = lesion()

    for margin_mm, side_mm in ((0, 24), (10, 44), (20, 64)):
        largest = crop_triplet(volume, mask, how=SliceInput(margin_mm=margin_mm)).slices[1]
        # half a pixel of half a mm is lost or won on either side
        assert largest.image_yx.shape[1] * 0.5 == pytest.approx(min(side_mm, 70), abs=1)


def test_a_box_follows_the_outline():
    """Twice as wide as high: the box is, the square is not."""
    voxels = np.zeros((3, 60, 80), dtype=bool)
    voxels[1, 20:30, 20:40] = True
    mask = HematomaMask(voxels_zyx=voxels, grid=regular_grid((3, 60, 80), (5.0, 0.5, 0.5)))
    volume = CtVolume(hu_zyx=np.zeros((3, 60, 80), np.int16), grid=mask.grid)

    box = crop_triplet(volume, mask, how=SliceInput(roi=RoiShape.BOX, margin_mm=0)).slices[0]
    square = crop_triplet(volume, mask, how=SliceInput(margin_mm=0)).slices[0]

    assert (box.roi.y0, box.roi.y1, box.roi.x0, box.roi.x1) == (20, 30, 20, 40)
    assert square.image_yx.shape[0] == square.image_yx.shape[1] == 20


def test_the_released_transform_is_torchvisions():
    """Resize(256), CenterCrop(224) of the released code, up to the rounding of grey levels."""
    released = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])

    for height, width in ((90, 140), (301, 250), (64, 64)):
        image = ramp(height, width)
        expected = np.asarray(released(Image.fromarray(image)), dtype=float)
        found = to_input(image, input_size=224, resizing=Resizing.CROP)[0].numpy()
        assert np.abs((found + 1) * 127.5 - expected).max() <= 1


def test_stretching_keeps_everything_but_the_aspect():
    """Left half dark, right half bright stays so, whatever the shape was."""
    image = np.zeros((20, 60), dtype=np.uint8)
    image[:, 30:] = 255

    found = to_input(image, input_size=32, resizing=Resizing.STRETCH)[0]

    assert found[:, :15].max() == pytest.approx(-1)
    assert found[:, 17:].min() == pytest.approx(1)


@pytest.mark.parametrize("resizing", list(Resizing))
def test_a_map_returns_to_where_it_was_made(resizing):
    """A spot of the input comes back to the pixels of the slice that it was made of."""
    image = np.zeros((50, 80), dtype=np.uint8)
    image[20:28, 36:44] = 255
    seen = to_input(image, input_size=64, resizing=resizing)[0].numpy()

    back = to_roi((seen + 1) / 2, roi_shape_yx=(50, 80), resizing=resizing)

    assert back.shape == (50, 80)
    assert back[22:26, 38:42].min() > 0.8
    assert back[:15].max() < 0.05
    assert back[:, :30].max() < 0.05


def test_grey_levels_are_normalised_as_the_card_says():
    """White (1) and black (0) by ImageNet's statistics of three channels."""
    network = build_vit("vit", {**TINY_VIT, "in_chans": 3})
    batch = torch.tensor([[[[-1.0, 1.0]]]])

    found = as_channels(network, batch, how=AS_RELEASED)

    assert found[0, :, 0, 0].tolist() == pytest.approx(
        [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    )
    assert found[0, :, 0, 1].tolist() == pytest.approx(
        [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]
    )
    with pytest.raises(ModelBundleError, match="do not fit a network of 1"):
        as_channels(build_vit("vit", TINY_VIT), batch, how=AS_RELEASED)


def test_the_statistics_of_the_papers_weights_change_nothing():
    """Mean and sd of 0.5 bring 0..1 to -1..1, where the slices lie already."""
    network = build_vit("vit", {**TINY_VIT, "in_chans": 3})
    batch = torch.linspace(-1, 1, 6).reshape(1, 1, 2, 3)

    assert torch.equal(as_channels(network, batch)[0, 2], batch[0, 0])


def enlarged_by_hand(values_zyx):
    """Return values enlarged 3.5 times by ITK, the whole stack at once."""
    import SimpleITK as itk  # noqa: N813  the name the door has in the test

    image = itk.GetImageFromArray(values_zyx)
    size = [int(side * 3.5) for side in image.GetSize()]
    return itk.GetArrayFromImage(
        itk.Resample(
            image,
            size,
            itk.Transform(),
            itk.sitkBSpline,
            image.GetOrigin(),
            [1 / 3.5] * 3,
            image.GetDirection(),
        )
    )


def test_the_released_crop_is_that_of_the_whole_stack():
    """Enlarging only the surroundings of the hematoma gives the pictures of enlarging all.

    The steps by hand: enlarge image and mask, take the section of largest sum, box its mask,
    bring 0..90 HU to 0..255.
    """
    volume, mask = lesion()
    hu_zyx = enlarged_by_hand(np.rint(volume.hu_zyx).astype(np.int16))
    lesion_zyx = enlarged_by_hand(mask.voxels_zyx.astype(np.uint8))
    largest = int(lesion_zyx.sum(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(lesion_zyx[largest])
    part = hu_zyx[largest, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]

    found = crop_released_triplet(volume, mask)

    middle = found.slices[1]
    assert [part.position for part in found.slices] == list(TripletPosition)
    assert middle.slice_index == pytest.approx(largest / FACTOR, abs=0.5)
    expected = np.clip(part.astype(float) * 255 / 90, 0, 255)
    assert middle.image_yx.shape == part.shape
    off = np.abs(middle.image_yx - expected)
    # where a spline value is a whole number its last digit decides: 1 HU is 2.8 grey levels
    assert off.max() < 255 / 90 + 1
    assert (off > 1).mean() < 0.02


def test_the_released_crop_loses_half_of_the_mask():
    """Values of the enlarged mask below 1 are cut down to 0: 40 to 60 % of a ball survives."""
    _, mask = lesion()

    survives = enlarged_by_hand(mask.voxels_zyx.astype(np.uint8)).sum() / (
        mask.voxels_zyx.sum() * FACTOR**3
    )

    assert 0.4 < survives < 0.6


def test_the_released_crop_covers_the_ball_on_the_native_grid():
    """A tight box around the ball, in native pixels; what the cut loses is 2 mm at most."""
    volume, mask = lesion()

    roi = crop_triplet(volume, mask, how=AS_RELEASED).slices[1].roi

    rows, columns = np.nonzero(mask.voxels_zyx.any(axis=0))
    assert roi.y0 == pytest.approx(rows.min(), abs=4)
    assert roi.y1 == pytest.approx(rows.max() + 1, abs=4)
    assert roi.x0 == pytest.approx(columns.min(), abs=4)
    assert roi.x1 == pytest.approx(columns.max() + 1, abs=4)


def test_what_the_released_crop_loses_wholly_is_refused():
    """A line one pixel wide has no enlarged value of 1 but on itself; an empty mask has none."""
    volume, mask = lesion()
    empty = HematomaMask(voxels_zyx=np.zeros_like(mask.voxels_zyx), grid=mask.grid)

    with pytest.raises(EmptyHematomaError):
        crop_released_triplet(volume, empty)


def test_the_classifier_cuts_resizes_and_explains_as_its_card_says(tmp_path):
    """The released mode end to end: its window, its crop, maps on native pixels."""
    volume, mask = lesion()
    arguments = {**TINY_VIT, "in_chans": 3}
    card = dataclasses.replace(
        CARD, slice_input=AS_RELEASED, window=(45.0, 90.0), architecture_arguments=arguments
    )
    torch.manual_seed(0)
    weights = build_vit("vit", arguments).state_dict()
    classifier = Classifier(
        ModelBundle(card=card, weights=weights, path=tmp_path), device=torch.device("cpu")
    )

    triplet = classifier.crop(volume, mask)
    maps = classifier.explain(triplet, classifier.classify(triplet))

    for part in maps.slices:
        shape = (part.roi.y1 - part.roi.y0, part.roi.x1 - part.roi.x0)
        assert part.heat_yx.shape == shape


def test_a_window_that_is_not_the_crops_is_refused(tmp_path):
    """The released crop has 45/90; a card that says 40/80 contradicts itself."""
    card = dataclasses.replace(CARD, slice_input=AS_RELEASED)
    bundle = ModelBundle(card=card, weights=tiny_vit().state_dict(), path=tmp_path)

    with pytest.raises(ModelBundleError, match=r"needed \(45, 90\)"):
        Classifier(bundle, device=torch.device("cpu"))


def test_the_input_survives_the_card():
    """What training used is what the node reads."""
    for how in (AS_RELEASED, SliceInput(roi=RoiShape.BOX, resizing=Resizing.STRETCH)):
        card = dataclasses.replace(CARD, slice_input=how)
        assert card_from_json(card_to_json(card), where="card.json") == card


def test_a_card_of_format_3_means_the_defaults():
    """Cards that say nothing were trained with squares, 10 mm and padding."""
    old = json.loads(card_to_json(CARD)) | {"card_format": 3}
    later = ("slice_input", "operating_points", "familiarity", "members")
    later += ("forecast_error", "training_statistics")
    for name in later:
        del old[name]

    card = card_from_json(json.dumps(old), where="card.json")

    assert card.slice_input is None
    assert SliceInput() == SliceInput(roi=RoiShape.SQUARE, margin_mm=10, resizing=Resizing.PAD)


@pytest.mark.parametrize(
    "change",
    [
        {"roi": "circle"},
        {"margin_mm": -1},
        {"margin_mm": 1000},
        {"resizing": "squash"},
        {"mean": [0.5, 0.5]},
        {"sd": [0.0]},
        {"mean": [127.5]},
        {"surprise": 1},
    ],
    ids=str,
)
def test_an_impossible_input_is_refused(change):
    """The fault is found when the card is read."""
    fields = json.loads(card_to_json(dataclasses.replace(CARD, slice_input=SliceInput())))
    fields["slice_input"] |= change

    with pytest.raises(ModelBundleError):
        card_from_json(json.dumps(fields), where="card.json")
