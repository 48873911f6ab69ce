"""``ichnode models`` as a newcomer tries it."""

import copy
import hashlib
import json

import pytest
import torch
from blast_ct_builder import published_checkpoint
from growth_builder import growth_card, moving_network
from nnunet_model import DATASET, TrainedModel, build, planned

from pipeline.forecast_error import ForecastError
from pipeline.model_bundle import builtin_bundle_path, load_bundle, load_card, save_bundle
from pipeline.segmentation.blast_ct import published


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("blast") / "model_1.pt"
    torch.save(published_checkpoint(seed=1), path)
    return path


@pytest.fixture(scope="module")
def nnunet(tmp_path_factory):
    """Return a model folder as nnU-Net leaves it, in the folder of its data set."""
    torch.manual_seed(0)
    plans = planned()
    model = TrainedModel(plans=plans, dataset=copy.deepcopy(DATASET), network=build(plans).eval())
    folder = tmp_path_factory.mktemp("results") / "Dataset001_Balls" / "trainer__plans__3d"
    return model.save(folder)


def test_list_shows_what_came_along_and_what_is_in_a_folder(call, checkpoint, tmp_path):
    """One line each, with the folder to name elsewhere."""
    call("models", "import", "blast-ct", checkpoint, "--output", tmp_path / "models" / "mine")

    code, out, _ = call("models", "list", tmp_path / "models")

    lines = out.splitlines()
    assert code == 0
    assert any(line.startswith("demo-segmentation") for line in lines)
    assert any(
        "BlastCt" in line and line.endswith(str(tmp_path / "models/mine")) for line in lines
    )


def test_show_knows_a_growth_model_and_whom_its_range_was_fitted_on(call, tmp_path):
    """A range says nothing about patients of another kind, so the card's cohort is told."""
    error = ForecastError(quantile=0.5, floor_ml=2.0, patients=27, cohort="simulated heads")
    card = growth_card(forecast_error=error)
    save_bundle(tmp_path / "growth", card, moving_network((0.0, 0.0, 0.0)).state_dict())

    code, out, _ = call("models", "show", tmp_path / "growth")

    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert "task growth" in lines
    assert "95 % range of the forecast fitted on 27 patients: simulated heads" in lines


def test_list_goes_on_after_a_bundle_that_cannot_be_read(call, tmp_path):
    """It is named with the reason, and the exit code says so."""
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "card.json").write_text("{}")

    code, out, _ = call("models", "list", tmp_path)

    assert code == 1
    assert "unreadable" in out
    assert str(bad / "card.json") in out
    assert "demo-segmentation" in out


def test_a_folder_without_bundles_is_a_wrong_argument(call, tmp_path):
    """Exit code 2."""
    code, _, err = call("models", "list", tmp_path)

    assert code == 2
    assert "holds no model bundle" in err


def test_show_prints_what_the_card_says(call):
    """Input, cohort, scores, use and licence of a shipped model."""
    folder = builtin_bundle_path("demo-segmentation")
    card = load_card(folder)

    code, out, _ = call("models", "show", "demo-segmentation")

    assert code == 0
    for text in (str(folder), card.training_cohort, card.licence, card.weights_sha256):
        assert text in out


def test_an_unknown_name_is_answered_with_the_known_ones(call):
    """The operator sees what to type."""
    code, _, err = call("models", "show", "blast")

    assert code == 2
    assert "demo-segmentation" in err


def test_blast_ct_is_imported_from_files_and_the_next_step_is_told(call, checkpoint, tmp_path):
    """The folder is a bundle that loads; the last lines say how to use it."""
    output = tmp_path / "bundle"

    code, out, _ = call("models", "import", "blast-ct", checkpoint, "--output", output)

    assert code == 0
    assert load_bundle(output, task="segmentation").card.architecture == "BlastCt"
    assert "RESEARCH USE ONLY" in out
    assert f"ichnode analyze DIR --segmentation {output}" in out
    assert f'segmentation_bundle = "{output}"' in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "--fetch"),
        (("model_1.pt", "--fetch"), "not both"),
        (("--fetch", "--networks", "1,13"), "from 1 to 12"),
        (("--fetch", "--networks", "2,2"), "different numbers"),
        (("--fetch", "--networks", ""), "such as 1,2"),
    ],
)
def test_wrong_wishes_are_explained_before_anything_is_done(call, arguments, reason, tmp_path):
    """Exit code 2, no folder made."""
    output = tmp_path / "bundle"

    code, _, err = call("models", "import", "blast-ct", *arguments, "--output", output)

    assert code == 2
    assert reason in err
    assert not output.exists()


def test_nothing_is_written_over(call, checkpoint, tmp_path):
    """A folder with anything in it is left as it is."""
    (tmp_path / "notes.txt").write_text("mine")

    code, _, err = call("models", "import", "blast-ct", checkpoint, "--output", tmp_path)

    assert code == 2
    assert "not an empty folder" in err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_networks_are_fetched_from_a_mirror(call, server, checkpoint, monkeypatch, tmp_path):
    """Files with the expected checksums become the bundle; each is told."""
    content = checkpoint.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    server.files["/mirror/model_3.pt"] = content
    monkeypatch.setattr(published, "PUBLISHED_SHA256", {3: digest})

    code, out, _ = call(
        *("models", "import", "blast-ct", "--fetch", "--networks", "3"),
        *("--source", f"{server.address}/mirror", "--output", tmp_path / "bundle"),
    )

    assert code == 0
    assert f"model_3.pt: published network 3, SHA-256 {digest}" in out
    assert load_card(tmp_path / "bundle").metrics["networks"][0]["published_number"] == 3


def test_a_mirror_with_other_files_gives_no_bundle(call, server, checkpoint, tmp_path):
    """The checksums of the release decide, whoever sends."""
    server.files["/model_1.pt"] = checkpoint.read_bytes()

    code, _, err = call(
        *("models", "import", "blast-ct", "--fetch", "--networks", "1"),
        *("--source", server.address, "--output", tmp_path / "bundle"),
    )

    assert code == 1
    assert published.PUBLISHED_SHA256[1] in err
    assert not (tmp_path / "bundle").exists()


def test_an_nnunet_model_is_imported(call, nnunet, tmp_path):
    """Its weights, its terms as given, and what it was trained on."""
    output = tmp_path / "mine"

    code, out, _ = call(
        "models", "import", "nnunet", nnunet, "--output", output, "--licence", "CC-BY-4.0"
    )

    card = load_bundle(output, task="segmentation").card
    assert code == 0
    assert (card.name, card.architecture, card.licence) == ("mine", "PlainConvUNet", "CC-BY-4.0")
    assert "Dataset001_Balls" in out
    assert f"ichnode analyze DIR --segmentation {output}" in out


def test_one_folder_too_high_is_answered_with_the_right_one(call, nnunet, tmp_path):
    """nnU-Net keeps models in folders within the data set's."""
    code, _, err = call("models", "import", "nnunet", nnunet.parent, "--output", tmp_path / "mine")

    assert code == 2
    assert f"perhaps you mean {nnunet}" in err


def test_a_fold_that_is_not_there_is_answered_with_those_that_are(call, nnunet, tmp_path):
    """As options to type."""
    code, _, err = call(
        "models", "import", "nnunet", nnunet, "--fold", "all", "--output", tmp_path / "mine"
    )

    assert code == 2
    assert "--fold 0 --checkpoint checkpoint_final.pth" in err


def test_a_model_that_needs_another_normalisation_is_refused(call, nnunet, tmp_path):
    """The reason comes from the plans; no bundle is left."""
    plans = json.loads((nnunet / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["ZScoreNormalization"]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "plans.json").write_text(json.dumps(plans))
    for name in ("dataset.json", "fold_0"):
        (folder / name).symlink_to(nnunet / name)

    code, _, err = call("models", "import", "nnunet", folder, "--output", tmp_path / "mine")

    assert code == 1
    assert "ZScoreNormalization" in err
    assert not (tmp_path / "mine").exists()
