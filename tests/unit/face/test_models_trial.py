"""Models are put on trial and promoted by commands that leave the settings file a person's own."""

import json
import shutil
import sys
import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dicom_node.cli import app as cli
from dicom_node.configuration.edits import SetValue
from dicom_node.configuration.toml_text import edited
from pipeline.model_bundle import builtin_bundle_path, load_bundle, save_bundle

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)

SITE = """\
# The site's own words.
[worker]
device = "cpu"  # no GPU here
segmentation_bundle = "demo-segmentation"
classification_bundle = "demo-classification"

[node]
port = 11113    # moved in 2025
"""


@pytest.fixture(scope="module")
def rival(tmp_path_factory):
    """Return the folder of a classifier that is not the one in use."""
    folder = tmp_path_factory.mktemp("models") / "he-2027"
    bundle = load_bundle(builtin_bundle_path("demo-classification"))
    weights = {name: value.clone() for name, value in bundle.weights.items()}
    next(iter(weights.values())).mul_(1.01)
    save_bundle(folder, replace(bundle.card, name="he-2027", version="2"), weights)
    return folder


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(SITE)
    path.chmod(0o640)
    return path


@pytest.fixture
def call(monkeypatch, capsys, tmp_path, config):
    """Run ``ichnode models`` with arguments; returns exit code, output and error output."""
    monkeypatch.setenv("ICHNODE_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments):
        told = ["ichnode", "models", *map(str, arguments), "--config", str(config)]
        monkeypatch.setattr(sys, "argv", told)
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


def set_worker(config, key, value):
    """Change the file as an editor would."""
    config.write_text(edited(config.read_text(), [SetValue(table="worker", key=key, value=value)]))


def worker_of(config):
    return tomllib.loads(config.read_text())["worker"]


def test_a_model_is_tried_and_then_takes_over(call, config, rival, tmp_path):
    """Both commands change what they must in the file, keep the rest and say what they did."""
    assert call("shadow", rival)[0] == 0

    on_trial = worker_of(config)
    assert on_trial["shadow_classification_bundle"] == str(rival)
    assert on_trial["shadow_segmentation_bundle"] == ""
    assert on_trial["classification_bundle"] == "demo-classification"

    code, out, _ = call("promote", "--yes")

    promoted = worker_of(config)
    assert code == 0
    assert promoted["classification_bundle"] == str(rival)
    assert promoted["segmentation_bundle"] == "demo-segmentation"
    assert promoted["shadow_classification_bundle"] == ""
    for line in ("# The site's own words.", 'device = "cpu"  # no GPU here', "# moved in 2025"):
        assert line in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o640
    assert "he-2027 2" in out
    assert "before its next job" in out
    kept = sorted((tmp_path / "data" / "configuration").glob("*.toml"))
    assert kept[0].read_text() == SITE
    assert len(kept) == 3
    history = (tmp_path / "data" / "models-history.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in history] == ["on trial", "promoted"]
    change = json.loads(history[1])["models"]["classification_bundle"]
    assert (change["from"], change["to"]) == ("demo-classification", str(rival))
    assert len(change["weights_sha256"]) == 64


def test_a_bundle_that_cannot_be_loaded_does_not_take_over(call, config, rival, tmp_path):
    """It was fine when the trial began and is damaged now: nothing changes, the fault is named."""
    copy = tmp_path / "copy"
    shutil.copytree(rival, copy)
    set_worker(config, "shadow_classification_bundle", str(copy))
    before = config.read_text()
    (copy / "weights.safetensors").write_bytes(b"damaged")

    code, _, err = call("promote", "--yes")

    assert code == 1
    assert "cannot be used" in err
    assert config.read_text() == before


def test_nobody_is_promoted_unasked(call, config, rival, monkeypatch):
    """Without a terminal --yes is needed; a terminal is asked, and no is the default."""
    set_worker(config, "shadow_classification_bundle", str(rival))
    monkeypatch.setattr("dicom_node.commands.models_trial._check", lambda _: None)
    before = config.read_text()

    assert call("promote")[0] == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, default: default)
    code, out, _ = call("promote")

    assert code == 1
    assert "nothing was changed" in out
    assert config.read_text() == before


def test_what_cannot_be_tried_is_refused_with_the_reason(call, config, tmp_path):
    """The model in use, two for one task, nothing, a folder without a model."""
    before = config.read_text()

    for arguments, code, words in (
        (("shadow", "demo-classification"), 2, "in use already"),
        (("shadow", "compact-segmentation", "compact-segmentation"), 2, "two bundles"),
        (("shadow",), 2, "name one or two bundles"),
        (("shadow", tmp_path / "nothing"), 1, "nothing"),
        (("promote", "--yes"), 2, "no model is on trial"),
    ):
        found, _, err = call(*arguments)
        assert (found, words in err) == (code, True), err
        assert "Traceback" not in err

    assert config.read_text() == before


def test_a_trial_can_be_ended(call, config, rival):
    """The two lines are empty again."""
    set_worker(config, "shadow_classification_bundle", str(rival))

    code, out, _ = call("shadow", "--off")

    assert code == 0
    assert worker_of(config)["shadow_classification_bundle"] == ""
    assert "no model is on trial" in out
