"""The fast way through a BLAST-CT network gives what the plain network gives."""

import numpy as np
import pytest
import torch
from blast_ct_builder import narrow_network, threshold_network
from network_formula import formula_image

from pipeline.segmentation.blast_ct import streaming
from pipeline.segmentation.blast_ct.engine import class_probabilities
from pipeline.segmentation.blast_ct.folding import fold, sum_keeping_bfloat16
from pipeline.segmentation.blast_ct.published import INTENSITY
from pipeline.segmentation.blast_ct.streaming import run_units, stream_units

CPU = torch.device("cpu")
#: No multiple of 3, 5 or 15 anywhere.
SHAPE = (23, 17, 19)
WHOLE = tuple(slice(0, size) for size in SHAPE)


@pytest.fixture(scope="module")
def image():
    return formula_image(SHAPE)


def plain(network, image):
    with torch.inference_mode():
        return network(image[None, None]).softmax(1)[0].numpy()


def fast(network, image, region, planes):
    folded = fold(network, device=CPU)
    return class_probabilities(folded, image, region=region, planes=planes)


@pytest.mark.parametrize(
    "planes",
    [list(range(23)), [0, 5, 10, 15, 20], [1, 2, 3, 11], [7], [0, 22], [4, 7, 10, 13]],
    ids=str,
)
def test_wanted_planes_of_the_whole_image_are_those_of_the_plain_network(image, planes):
    """Whatever the planes' distances, so whatever share of the units runs between them."""
    network = narrow_network()

    found = fast(network, image, WHOLE, planes)

    np.testing.assert_allclose(found, plain(network, image)[:, planes], atol=5e-6)


@pytest.mark.parametrize(
    "region",
    [
        (slice(3, 20), slice(2, 16), slice(5, 18)),
        (slice(0, 12), slice(9, 17), slice(0, 4)),
        (slice(11, 23), slice(0, 1), slice(18, 19)),
    ],
    ids=str,
)
def test_a_region_is_cut_out_of_the_whole_and_sees_what_is_around_it(image, region):
    """Its edge is no edge of the image, and its coarse groups are those of the whole image."""
    network = narrow_network()
    planes = list(range(region[0].start, region[0].stop, 4))

    found = fast(network, image, region, planes)

    expected = plain(network, image)[:, planes][:, :, region[1], region[2]]
    np.testing.assert_allclose(found, expected, atol=5e-6)


def test_vanished_filters_change_nothing_and_are_gone(image):
    """Filters of denormal floats count as zero: same softmax, fewer channels, none left."""
    network = narrow_network()
    with torch.no_grad():
        for pathway in network.pathways:
            # Units 3 to 6 are tied by shortcuts: a channel dies only if none writes to it.
            for number in (2, 3, 4, 5):
                pathway.units[number].conv.weight[1:3] = 1e-40
            pathway.units[3].conv.weight[2] = 1e-3
            for number in (6, 7):
                pathway.units[number].conv.weight[0] *= 1e-39
    folded = fold(network, device=CPU)

    found = class_probabilities(folded, image, region=WHOLE, planes=[2, 9, 16])

    np.testing.assert_allclose(found, plain(network, image)[:, [2, 9, 16]], atol=5e-6)
    fine = folded.pathways[-1].units
    assert [unit.outputs for unit in fine] == [4, 4, 5, 5, 5, 5, 7, 7]
    for unit in (unit for pathway in folded.pathways for unit in pathway.units):
        weights = unit.weight[unit.weight != 0].abs()
        assert weights.min() >= torch.finfo(torch.float32).tiny


def test_a_channel_that_only_the_shortcut_carries_stays(image):
    """A joint layer without weights still hands its input on."""
    network = narrow_network()
    with torch.no_grad():
        network.joint[1].conv.weight[:5] = 0.0

    found = fast(network, image, WHOLE, [3, 12])

    np.testing.assert_allclose(found, plain(network, image)[:, [3, 12]], atol=5e-6)


def test_a_stack_of_shortcuts_alone_hands_the_image_on(image):
    """Without convolutions each voxel is judged by its own density, by hand: 50 and 20 HU."""
    hu = image.numpy() * INTENSITY.sd + INTENSITY.mean

    found = fast(threshold_network(), image, WHOLE, list(range(23)))

    by_hand = np.where(hu > 50.1, 1, np.where(hu < 19.9, 3, 0))
    clear = (np.abs(hu - 50) > 0.2) & (np.abs(hu - 20) > 0.2)
    np.testing.assert_array_equal(found.argmax(axis=0)[clear], by_hand[clear])


@pytest.mark.parametrize("planes_per_step", [1, 2, 3, 5, 40])
def test_streaming_in_steps_is_running_at_once(planes_per_step, monkeypatch):
    """However few planes a step takes, no plane is lost, repeated or different."""
    units = fold(narrow_network(), device=CPU).pathways[-1].units[:6]
    volume = formula_image((1, 1, 31, 17, 18))
    bytes_per_plane = 16 * 17 * 18 * 4
    monkeypatch.setattr(streaming, "_STEP_BYTES", planes_per_step * bytes_per_plane)

    with torch.inference_mode():
        steps = list(stream_units(units, volume))
        whole = run_units(units, volume)

    assert max(step.shape[2] for step in steps) <= planes_per_step
    torch.testing.assert_close(torch.cat(steps, dim=2), whole, atol=2e-6, rtol=1e-5)


def test_progress_is_told_plane_by_plane(image):
    """Rising to one, once per wanted plane."""
    told = []
    class_probabilities(
        fold(narrow_network(), device=CPU),
        image,
        region=WHOLE,
        planes=[1, 6, 11, 16],
        on_progress=told.append,
    )

    assert told == [0.25, 0.5, 0.75, 1.0]


def test_a_network_in_bfloat16_says_nearly_the_same(image):
    """Eight bits of mantissa: some percent off at worst on noise, a thousandth on average."""
    network = narrow_network()
    folded = fold(network, device=CPU, bfloat16=True)

    found = class_probabilities(folded, image, region=WHOLE, planes=[2, 7, 12, 17])

    off = np.abs(found - plain(network, image)[:, [2, 7, 12, 17]])
    assert 1e-5 < off.max() < 5e-2
    assert off.mean() < 2e-3


def test_bfloat16_streams_as_it_runs_at_once(monkeypatch):
    """However many planes a step takes, the rounded units give the same planes."""
    units = fold(narrow_network(), device=CPU, bfloat16=True).pathways[-1].units[:6]
    volume = formula_image((1, 1, 31, 17, 18))
    monkeypatch.setattr(streaming, "_STEP_BYTES", 3 * 16 * 17 * 18 * 4)

    with torch.inference_mode():
        steps = list(stream_units(units, volume))
        whole = run_units(units, volume)

    torch.testing.assert_close(torch.cat(steps, dim=2), whole, atol=2e-2, rtol=2e-2)


def test_rounded_kernels_keep_their_sums():
    """Each weight within one step of bfloat16 (2^-7 of it), the sum within the smallest's step."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn((6, 5, 3, 3, 3), generator=generator)

    rounded = sum_keeping_bfloat16(weight)

    assert rounded.dtype == torch.bfloat16
    assert rounded.shape == weight.shape
    off = (rounded.double() - weight.double()).flatten(2)
    exact = weight.double().flatten(2)
    step = 2.0**-7 * exact.abs()
    assert (off.abs() <= step + step.max(dim=2, keepdim=True).values / 2).all()
    plainly = (weight.bfloat16().double() - weight.double()).flatten(2)
    assert off.sum(dim=2).abs().max() < plainly.sum(dim=2).abs().max() / 10
    assert (off.sum(dim=2).abs() <= step.amin(dim=2) + 2.0**-9 * exact.abs().amin(dim=2)).all()
