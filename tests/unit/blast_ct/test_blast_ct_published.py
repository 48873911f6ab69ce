"""Published checkpoints become a bundle, and nothing else does."""

import hashlib
import pickle
import re

import numpy as np
import pytest
import torch
from blast_ct_builder import published_checkpoint

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import load_bundle
from pipeline.segmentation.blast_ct import published
from pipeline.segmentation.blast_ct.published import import_networks, read_checkpoint
from pipeline.segmentation.networks.blast_ct import DeepMedic, load_published
from pipeline.segmentation.predictors import load_network


def saved(path, *, seed):
    torch.save(published_checkpoint(seed=seed), path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return [saved(folder / f"model_{seed}.pt", seed=seed) for seed in (1, 2)]


class Malicious:
    """Unpickled it would write a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_the_bundle_holds_every_weight_of_every_file(files, tmp_path):
    """Read back from disk the members are the checkpoints, in the order of the files."""
    import_networks(files, tmp_path / "bundle")

    network = load_network(load_bundle(tmp_path / "bundle", task="segmentation"))
    for member, path in zip(network.networks, files, strict=True):
        expected = DeepMedic()
        load_published(expected, torch.load(path, weights_only=True))
        for name, value in expected.state_dict().items():
            assert torch.equal(member.state_dict()[name], value), name


def test_the_card_calls_only_blood_in_the_tissue_hematoma(files, tmp_path):
    """Class 1 of BLAST-CT is intraparenchymal; the others are told beside it."""
    card = import_networks(files, tmp_path / "bundle").card

    assert card.class_names == (
        "background",
        "hematoma",
        "extra_axial_hemorrhage",
        "perihematomal_edema",
        "intraventricular_hemorrhage",
    )
    assert not card.demonstration
    assert "trauma" in card.training_cohort
    assert "Apache-2.0" in card.licence


def test_the_input_is_clipped_as_published():
    """-15..100 HU becomes -1..1, as in the published configuration."""
    scale = published.INTENSITY
    hu = np.array([-1000.0, -15.0, 42.5, 100.0, 3000.0])

    clipped = np.clip(hu, scale.clip_low_hu, scale.clip_high_hu)

    assert ((clipped - scale.mean) / scale.sd).tolist() == [-1, -1, 0, 1, 1]


def test_a_file_that_is_not_of_the_first_release_is_told(files, tmp_path):
    """The cohort stated for the release is not claimed for weights of unknown origin."""
    card = import_networks(files[:1], tmp_path / "bundle").card

    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert card.metrics["networks"] == [
        {"file": "model_1.pt", "sha256": digest, "published_number": None}
    ]
    assert card.training_cohort.startswith("Not all files are networks of the first release")


def test_a_network_given_twice_is_refused(files, tmp_path):
    """Also under another name: an ensemble of equals is no ensemble."""
    copy = tmp_path / "copy.pt"
    copy.write_bytes(files[0].read_bytes())

    with pytest.raises(ModelBundleError, match=r"copy\.pt holds the same network as .*model_1"):
        import_networks([*files, copy], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_checkpoint_that_could_run_code_is_refused_and_does_not(tmp_path):
    """The file that its unpickling would write is not there afterwards."""
    victim, path = tmp_path / "written", tmp_path / "evil.pt"
    torch.save({"weight": Malicious(victim)}, path)

    with pytest.raises(ModelBundleError, match=r"evil\.pt: .*could run code"):
        import_networks([path], tmp_path / "bundle")

    assert not victim.exists()
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "checkpoint"),
        (b"<html>not found</html>", "checkpoint"),
        (pickle.dumps({"weight": [1.0, 2.0]}), "checkpoint"),
    ],
    ids=["empty", "page", "pickle"],
)
def test_what_is_no_checkpoint_is_told_so(content, reason, tmp_path):
    """A page saved instead of the file, an empty file, another pickle."""
    path = tmp_path / "model.pt"
    path.write_bytes(content)

    with pytest.raises(ModelBundleError, match=reason):
        read_checkpoint(path)


def test_a_checkpoint_must_hold_named_weights(tmp_path):
    """Neither a list of tensors nor names of something else."""
    path = tmp_path / "model.pt"
    for content in ([torch.ones(1)], {"epoch": 3}, {1: torch.ones(1)}):
        torch.save(content, path)
        with pytest.raises(ModelBundleError, match="no named weights"):
            read_checkpoint(path)


def test_unknown_keys_are_refused_with_file_and_key(tmp_path):
    """So that the reader knows which of several files is another network's."""
    path = tmp_path / "other.pt"
    torch.save(published_checkpoint(seed=0) | {"decoder.0.weight": torch.ones(1)}, path)

    with pytest.raises(ModelBundleError, match=r"other\.pt: .*unknown keys decoder\.0\.weight"):
        import_networks([path], tmp_path / "bundle")


def test_a_file_that_is_not_there_is_told_with_its_name(tmp_path):
    """And so is having named none."""
    missing = tmp_path / "model_9.pt"

    with pytest.raises(ModelBundleError, match=re.escape(f"{missing} cannot be read")):
        import_networks([missing], tmp_path / "bundle")
    with pytest.raises(ModelBundleError, match="at least one network"):
        import_networks([], tmp_path / "bundle")


@pytest.mark.data
def test_the_published_files_have_the_checksums_that_are_asked_for(data_dir):
    """Those in the reference data are networks 1 to 4 of the release."""
    folder = data_dir / "blast-ct-weights"

    for number in (1, 2, 3, 4):
        content = (folder / f"model_{number}.pt").read_bytes()
        assert hashlib.sha256(content).hexdigest() == published.PUBLISHED_SHA256[number]
