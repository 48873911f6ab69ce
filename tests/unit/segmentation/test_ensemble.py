"""Several networks as one: what their joint says, and how a bundle holds them."""

import itertools
import json

import numpy as np
import pytest
import torch
from blast_ct_builder import blast_ct_card, ensemble, threshold_network
from typer.testing import CliRunner

from pipeline.errors import ModelBundleError
from pipeline.finding import Compartment
from pipeline.model_bundle import load_bundle, save_bundle
from pipeline.model_card import Intensity
from pipeline.segmentation.ensemble import EnsemblePredictor, Rule, ensemble_predictor
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.predictor import ClassMaps
from pipeline.segmentation.predictors import build_predictor
from pipeline.segmentation.segmenter import load_segmenter
from pipeline.volume import AIR_HU, CtVolume, regular_grid
from training.cli import application
from training.segmentation.ensemble import join_segmenters

CPU = torch.device("cpu")
GRID = regular_grid((1, 1, 4), (5.0, 1.0, 1.0))
VOLUME = CtVolume(hu_zyx=np.zeros((1, 1, 4), dtype=np.int16), grid=GRID)
FACTS = {"name": "both", "version": "2", "intended_use": "tests", "probability_cutoff": 0.4}


class Says:
    """A predictor with a fixed opinion, which tells its progress in halves."""

    def __init__(self, probabilities, **compartments):
        self._maps = ClassMaps(
            hematoma_zyx=np.array([[probabilities]], dtype=np.float32),
            compartments={
                Compartment(name): np.array([[voxels]], dtype=bool)
                for name, voxels in compartments.items()
            },
        )
        self.warmed = 0

    def warm_up(self):
        self.warmed += 1

    def predict(self, volume, *, on_progress):
        assert volume is VOLUME
        on_progress(0.5)
        on_progress(1.0)
        return self._maps


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(Rule.MEAN, [0.0, 0.5, 0.4, 0.9]), (Rule.LARGEST, [0.0, 1.0, 0.6, 0.9])],
)
def test_the_joint_probability_is_mean_or_largest(rule, expected):
    """By hand, voxel by voxel."""
    members = [Says([0.0, 1.0, 0.2, 0.9]), Says([0.0, 0.0, 0.6, 0.9])]

    maps = EnsemblePredictor(members, rule=rule, cutoff=0.5).predict(VOLUME)

    np.testing.assert_allclose(maps.hematoma_zyx[0, 0], expected, atol=1e-7)
    assert maps.entropy_zyx is None


def test_a_voxel_is_hematoma_or_what_the_first_member_says_it_is():
    """Hematoma goes first, then the members in their order; nothing is two things at once."""
    first = Says(
        [0.9, 0.1, 0.0, 0.0],
        extra_axial_hemorrhage=[1, 1, 0, 0],
        intraventricular_hemorrhage=[0, 0, 1, 0],
    )
    second = Says(
        [0.9, 0.1, 0.0, 0.0],
        extra_axial_hemorrhage=[0, 0, 1, 1],
        perihematomal_edema=[1, 1, 0, 0],
    )

    found = EnsemblePredictor([first, second], rule=Rule.MEAN, cutoff=0.5).predict(VOLUME)

    voxels = {str(name): found.compartments[name][0, 0].tolist() for name in found.compartments}
    assert voxels == {
        "extra_axial_hemorrhage": [False, True, False, True],
        "intraventricular_hemorrhage": [False, False, True, False],
        "perihematomal_edema": [False, False, False, False],
    }


def test_progress_follows_the_members_efforts():
    """The first takes three quarters of the time."""
    told = []
    predictor = EnsemblePredictor(
        [Says([0] * 4), Says([0] * 4)], rule=Rule.MEAN, cutoff=0.5, efforts=[3, 1]
    )

    predictor.predict(VOLUME, on_progress=told.append)

    assert told == [0.375, 0.75, 0.875, 1.0, 1.0]
    assert all(a <= b for a, b in itertools.pairwise(told))


def test_every_member_is_warmed_up():
    """So that the first scan pays for none of them."""
    members = [Says([0] * 4), Says([0] * 4)]

    EnsemblePredictor(members, rule=Rule.LARGEST, cutoff=0.5).warm_up()

    assert [member.warmed for member in members] == [1, 1]


@pytest.mark.parametrize(
    ("count", "efforts", "reason"),
    [(1, None, "two members"), (2, [1.0], "as many"), (2, [1.0, 0.0], "positive")],
)
def test_an_ensemble_that_is_none_is_refused(count, efforts, reason):
    """One member, or efforts that do not fit."""
    with pytest.raises(ModelBundleError, match=reason):
        EnsemblePredictor([Says([0] * 4)] * count, rule=Rule.MEAN, cutoff=0.5, efforts=efforts)


def compact_bundle(folder, *, seed, spacing_zyx_mm):
    arguments = {"features": [4, 8], "slice_strides": [1], "fold": 2}
    card = blast_ct_card(
        name="small",
        architecture="CompactUNet",
        architecture_arguments=arguments,
        spacing_zyx_mm=spacing_zyx_mm,
        patch_size_zyx=(4, 32, 32),
        intensity=Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30),
        class_names=("background", "hematoma"),
        licence="CC0",
    )
    torch.manual_seed(seed)
    return save_bundle(folder, card, build_network("CompactUNet", arguments).state_dict())


def blast_bundle(folder, *, certainty=1.0):
    card = blast_ct_card(
        architecture_arguments={
            "networks": 1,
            "features": [1] * 8,
            "joint_features": [4, 4],
        }
    )
    network = threshold_network()
    with torch.no_grad():
        network.joint[-1].conv.weight *= certainty
    return save_bundle(folder, card, ensemble(network).state_dict())


@pytest.fixture
def bundles(tmp_path):
    return [
        blast_bundle(tmp_path / "one"),
        compact_bundle(tmp_path / "two", seed=1, spacing_zyx_mm=(5.0, 1.0, 1.0)),
    ]


@pytest.fixture
def head():
    hu = np.full((8, 60, 50), AIR_HU, dtype=np.int16)
    hu[:, 5:55, 5:45] = 1000
    hu[:, 9:51, 9:41] = 35
    hu[3:5, 20:30, 15:25] = 70
    return CtVolume(hu_zyx=hu, grid=regular_grid(hu.shape, (5.0, 1.0, 1.0)))


def join(folder, bundles, **changes):
    chosen = {"rule": Rule.MEAN, "efforts": [1.0, 1.0], "facts": FACTS, **changes}
    return join_segmenters(folder, bundles, **chosen)


def test_a_joined_bundle_says_the_mean_of_what_its_members_say_alone(tmp_path, bundles, head):
    """Networks of two kinds on two grids, from one file of weights."""
    join(tmp_path / "both", bundles)
    options = InferenceOptions(device=CPU, bfloat16=False)

    joined = ensemble_predictor(load_bundle(tmp_path / "both", task="segmentation"), options)

    first, second = (build_predictor(bundle, options).predict(head) for bundle in bundles)
    both = joined.predict(head)
    assert first.hematoma_zyx[3, 25, 20] > 0.9 > second.hematoma_zyx[3, 25, 20]
    np.testing.assert_allclose(
        both.hematoma_zyx, (first.hematoma_zyx + second.hematoma_zyx) / 2, atol=1e-6
    )
    assert set(both.compartments) == set(Compartment)


def test_a_joined_bundle_is_loaded_like_any_other(tmp_path, bundles, head):
    """Through the same door, with the ensemble's own cutoff."""
    join(tmp_path / "both", [bundles[0], blast_bundle(tmp_path / "unsure", certainty=0.5)])

    segmenter = load_segmenter(load_bundle(tmp_path / "both"), device=CPU)
    segmenter.warm_up()
    found = segmenter.predict(head).hematoma_zyx >= segmenter.card.probability_cutoff

    assert segmenter.card.probability_cutoff == 0.4
    assert found[3, 22:28, 17:23].all()
    assert not found[3, 32:48, 12:38].any()


def test_the_card_says_whose_networks_they_are(tmp_path, bundles):
    """Terms, cohorts and names of all members; in halves it takes less room."""
    whole = join(tmp_path / "whole", bundles)
    halved = join(tmp_path / "half", bundles, half=True)

    card = whole.card
    assert card.licence == "Apache-2.0 | CC0"
    assert [one["name"] for one in card.architecture_arguments["members"]] == ["toy 1", "small 1"]
    assert card.demonstration
    assert card.volume_error is None
    sizes = [(bundle.path / "weights.safetensors").stat().st_size for bundle in (whole, halved)]
    assert sizes[1] < sizes[0]
    assert {value.dtype for value in halved.weights.values() if value.ndim > 1} == {torch.float16}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"facts": {}}, "lack intended_use, name, probability_cutoff, version"),
        ({"facts": {**FACTS, "spacing_zyx_mm": [1, 1, 1]}}, "spacing_zyx_mm of the card"),
        ({"efforts": [1.0]}, "as many positive efforts"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path, bundles, changes, reason):
    """Each with what is wrong."""
    with pytest.raises(ValueError, match=reason):
        join(tmp_path / "both", bundles, **changes)


def test_an_ensemble_is_no_member_of_another(tmp_path, bundles):
    """Their members can be joined instead."""
    joined = join(tmp_path / "both", bundles)

    with pytest.raises(ValueError, match="ensemble already"):
        join(tmp_path / "more", [joined, bundles[0]])
    with pytest.raises(ValueError, match="two bundles"):
        join(tmp_path / "more", [bundles[0]])
    with pytest.raises(ValueError, match="given twice"):
        join(tmp_path / "more", [bundles[0], bundles[0]])


def _without(card, name):
    card["architecture_arguments"]["members"][1].pop(name)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda card: card["architecture_arguments"].update(rule="median"), "known: mean"),
        (lambda card: card["architecture_arguments"].pop("rule"), "a rule and a list"),
        (lambda card: _without(card, "effort"), "member 1 has exactly"),
        (
            lambda card: card["architecture_arguments"]["members"][1].update(effort="long"),
            "effort of member 1",
        ),
        (
            lambda card: card["architecture_arguments"]["members"][1].update(
                architecture="Ensemble"
            ),
            "itself an ensemble",
        ),
        (
            lambda card: card["architecture_arguments"]["members"][1].update(spacing_zyx_mm=None),
            "member 1.*spacing_zyx_mm",
        ),
        (
            lambda card: card["architecture_arguments"]["members"].pop(),
            "belongs to no member",
        ),
    ],
)
def test_a_card_that_does_not_describe_its_members_is_refused(tmp_path, bundles, spoil, reason):
    """With the member and the field."""
    path = join(tmp_path / "both", bundles).path
    card = json.loads((path / "card.json").read_text())
    spoil(card)
    (path / "card.json").write_text(json.dumps(card))

    with pytest.raises(ModelBundleError, match=reason):
        load_segmenter(load_bundle(path), device=CPU)


def test_the_command_joins_bundles(tmp_path, bundles):
    """From the folders to a folder that loads."""
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(FACTS))
    paths = [str(bundle.path) for bundle in bundles]
    asked = ["--facts", str(facts), "--rule", "largest", "--effort", "8", "--effort", "1"]

    done = CliRunner().invoke(
        application(), ["segmentation", "join", *paths, *asked, "--output", str(tmp_path / "both")]
    )

    assert done.exit_code == 0, done.output
    card = load_bundle(tmp_path / "both").card
    assert card.architecture_arguments["rule"] == "largest"
    assert [one["effort"] for one in card.architecture_arguments["members"]] == [8.0, 1.0]
    assert card.probability_cutoff == 0.4
