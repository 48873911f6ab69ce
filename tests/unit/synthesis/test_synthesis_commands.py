"""The commands `ichtrain synthesis ...`, from triplets to the readers' table."""

import json
from pathlib import Path

import pytest
import torch
from diffusion_builder import write_triplets
from typer.testing import CliRunner

from training.cli import application
from training.synthesis.readers.answers import Answer, record_answer
from training.synthesis.readers.kit import read_key, read_kit
from training.synthesis.recipe import read_synthesis_recipe
from training.synthesis.ukan import UKanDiffusion

ROOT = Path(__file__).parents[3]

RECIPE = """
image_size = 16
[network]
width = 8
multipliers = [1, 2]
token_widths = [8, 8]
residual_blocks = 1
kan_layers = 1
[noise]
steps = 10
[course]
epochs = 1
batch_size = 12
"""


def called(*arguments):
    return CliRunner().invoke(application(), ["synthesis", *map(str, arguments)])


def test_from_triplets_to_the_readers_table(tmp_path):
    """Each command takes up what the one before has left."""
    cases, study = tmp_path / "cases", tmp_path / "study"
    write_triplets(cases, held_out=(0, 12))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    common = ("--triplets", cases, "--threads", 1)

    trained = called(
        "train", *common, "--recipe", tmp_path / "recipe.toml", "--output", tmp_path / "run"
    )
    sampled = called(
        *("sample", *common, "--generator", tmp_path / "run" / "generator"),
        *("--output", tmp_path / "set", "--ratio", "1:1"),
    )
    judged = called(
        "evaluate", *common, "--set", tmp_path / "set", "--output", tmp_path / "quality"
    )
    made = called(
        *("reader-study", "make", "--triplets", cases, "--set", tmp_path / "set"),
        *("--output", study, "--count", 3),
    )
    key = read_key(study)
    for reader, codes in read_kit(study).orders.items():
        for code in codes:
            record_answer(
                study, reader, Answer(code=code, quality=3, authenticity=3, verdict=key[code])
            )
    tabulated = called("reader-study", "table", study)

    for result in (trained, sampled, judged, made, tabulated):
        assert result.exit_code == 0, result.output
    assert "15 slices of 5 patients" in trained.stdout
    assert "9 synthetic HE slices beside 15 real HE and 24 NHE" in sampled.stdout
    quality = json.loads((tmp_path / "quality" / "quality.json").read_text())
    assert "not Inception" in quality["features"]
    assert (study / "table2.md").exists()


def test_what_the_user_has_to_change_is_one_line(tmp_path):
    """No traceback for a folder without triplets, a ratio that is none, an absent generator."""
    write_triplets(tmp_path / "cases", expanding=2, others=2)
    (tmp_path / "empty").mkdir()

    nothing = called("train", "--triplets", tmp_path / "empty", "--output", tmp_path / "run")
    absent = called(
        *("sample", "--triplets", tmp_path / "cases", "--generator", tmp_path / "none"),
        *("--output", tmp_path / "set"),
    )

    assert (nothing.exit_code, absent.exit_code) == (2, 2)
    assert "No triplet" in nothing.stderr
    assert "no card of a generator" in absent.stderr


def test_a_released_checkpoint_becomes_a_generator_and_nothing_else_does(tmp_path):
    """A file that is no checkpoint of the released code is refused in one line."""
    network = UKanDiffusion(width=8, multipliers=(1, 2), token_widths=(8, 8), residual_blocks=1)
    torch.save(network.state_dict(), tmp_path / "other.pt")
    (tmp_path / "broken.pt").write_bytes(b"nothing")

    other = called("import", tmp_path / "other.pt", "--output", tmp_path / "generator")
    broken = called("import", tmp_path / "broken.pt", "--output", tmp_path / "generator")

    assert (other.exit_code, broken.exit_code) == (2, 2)
    assert "does not fit UKanDiffusion" in other.stderr
    assert "cannot be read as weights" in broken.stderr


@pytest.mark.parametrize("name", ["synthesis", "synthesis_as_released", "synthesis_small"])
def test_the_shipped_recipes_are_readable(name):
    """Each can be trained with; the paper's and the released network have their sizes."""
    recipe = read_synthesis_recipe(ROOT / "config" / "training" / f"{name}.toml")

    course = recipe.course
    if name == "synthesis":
        assert (course.epochs, course.batch_size, course.learning_rate) == (1000, 32, 1e-4)
        assert (recipe.image_size, recipe.network["image_channels"]) == (256, 1)
        assert course.ema_decay > 0
        assert not recipe.flip_up_down
    if name == "synthesis_as_released":
        assert recipe.network == {"image_channels": 3, "as_released": True}
        assert recipe.flip_up_down
    assert recipe.noise.steps == 1000
