"""Native size and grain: the way back returns the image, and real slices' noise is given back."""

import numpy as np
import pytest
import torch

from pipeline.classification.transform import to_input
from training.synthesis.grain import add_grain
from training.synthesis.native_size import there_and_back, to_native


def noisy_slice(seed, *, side=150, deviation=12.0):
    """Return brain with a bright disc, bone and air, and white noise, as the window leaves it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    levels = np.where(np.hypot(y - side / 2, x - side / 2) < side / 4, 190.0, 110.0)
    levels += rng.normal(0, deviation, levels.shape)
    levels[:, : side // 8], levels[:, -side // 8 :] = 500, -500
    return np.rint(levels.clip(0, 255)).astype(np.uint8)


def bands_of(image):
    """Return the power in four rings of the spectrum, from coarse to fine."""
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    y, x = np.meshgrid(*(np.fft.fftfreq(side) for side in image.shape), indexing="ij")
    ring = np.minimum(np.hypot(y, x) * 8, 3.999).astype(int)
    return np.array([power[ring == number].mean() for number in range(4)])


@pytest.mark.parametrize("shape_yx", [(150, 150), (97, 97), (64, 64), (40, 40)])
def test_the_way_back_from_native_size_returns_the_image(shape_yx):
    """The classifier sees the drawn image; plain enlarging would give it a blurred one."""
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.uniform(-0.8, 0.8, (1, 1, 16, 16)))
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    drawn = smooth[0, 0].clamp(-1, 1).float().numpy()

    native = to_native(drawn, shape_yx)
    returned = to_input(np.rint(native).astype(np.uint8), input_size=32)[0].numpy()

    assert native.shape == shape_yx
    assert 0 <= native.min() <= native.max() <= 255
    # Two grey levels of 255, in units of -1..1.
    assert np.sqrt(np.mean((returned - drawn) ** 2)) < 4 / 255


def test_an_oblong_slice_is_the_middle_of_its_square():
    """The transform pads an oblong slice to a square; the way back takes that off."""
    rows = np.linspace(-0.5, 0.5, 32, dtype=np.float32)[:, None].repeat(32, axis=1)

    native = to_native(rows, (40, 80))

    assert native.shape == (40, 80)
    # Rows 20 to 59 of 80: a quarter to three quarters of the rise from 63.75 to 191.25.
    assert native[0].mean() == pytest.approx(95.6, abs=2)
    assert native[-1].mean() == pytest.approx(159.4, abs=2)


def test_grain_gives_back_the_noise_that_a_small_size_takes():
    """The finest three quarters of the spectrum, lost at 32 pixels, are there again."""
    real = noisy_slice(1)
    smooth = there_and_back(real, image_size=32)

    grained = add_grain(smooth, real, image_size=32, rng=np.random.default_rng(5))

    # Bone, which is another matter, is left out.
    inside = np.s_[10:-10, 25:-25]
    wanted, lost, found = (bands_of(one[inside])[1:] for one in (real, smooth, grained))
    assert (lost < wanted / 4).all()
    assert found == pytest.approx(wanted, rel=0.3)


def test_grain_holds_no_pixel_of_the_slice_it_is_like():
    """Two draws are as little alike as each is to the real noise: correlations of chance."""
    real = noisy_slice(1)
    smooth = there_and_back(real, image_size=32)

    first, second = (
        add_grain(smooth, real, image_size=32, rng=np.random.default_rng(seed)) - smooth
        for seed in (5, 6)
    )

    inside = np.s_[10:-10, 25:-25]
    noise = (real - smooth)[inside].ravel()
    # 130 x 100 pixels, nearly independent: chance has a deviation of about 0.01.
    assert abs(np.corrcoef(first[inside].ravel(), noise)[0, 1]) < 0.06
    assert abs(np.corrcoef(first[inside].ravel(), second[inside].ravel())[0, 1]) < 0.06


def test_bone_and_air_stay_without_grain():
    """The window cuts noise off where a scan is far outside it."""
    real = noisy_slice(2)
    smooth = np.full(real.shape, 120, np.float32)
    smooth[:50], smooth[100:] = 255, 0

    grained = add_grain(smooth, real, image_size=32, rng=np.random.default_rng(5))

    assert (grained[:50] == 255).all()
    assert (grained[100:] == 0).all()
    assert 8 < grained[50:100].std() < 16


def test_a_slice_without_noise_lends_none():
    """A slice that lies outside the window everywhere, or is all of one level, has no grain."""
    smooth = np.full((60, 60), 120, np.float32)

    for level in (0, 100, 255):
        real = np.full((60, 60), level, np.uint8)
        grained = add_grain(smooth, real, image_size=32, rng=np.random.default_rng(5))
        assert grained == pytest.approx(smooth, abs=0.01)


def test_grain_of_another_size_is_refused():
    """Spectra of two sizes do not fit each other."""
    with pytest.raises(ValueError, match="equal"):
        add_grain(
            np.zeros((8, 8), np.float32),
            np.zeros((9, 8), np.uint8),
            image_size=4,
            rng=np.random.default_rng(0),
        )
