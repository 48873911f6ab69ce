"""The whole circle: a node's own follow-ups teach a model that takes over at that node.

Everything is the product's own, networks among them; the heads are ellipsoids with balls of
blood, which the demonstration segmentation finds. What four patients teach is worth nothing: it
is the way round that is tested.
"""

import csv
import json
import sys
from pathlib import Path

import pydicom
import pytest
from acceptance.conftest import Archive
from acceptance.node_process import NodeProcess, wait_until
from ct_builder import POISON_BIRTH_DATE, POISON_NAME, Ball, build_ct_series, save_series
from node_builders import opened_ledger
from typer.testing import CliRunner

from dicom_node.jobs.pairs import PairLedger
from training.cli import application
from training.cohort.folder import SPLIT_FILE

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

#: A small machine that does other things takes its time.
PATIENCE_S = 900

#: Radius in mm at admission and a day later.
PATIENTS = {"GROWS1": (15, 19), "GROWS2": (16, 20), "STAYS1": (15, 15), "STAYS2": (17, 17)}

RECIPE = """\
name = "circle"
seed = 1
validation_share = 0.5

[network]
architecture = "vit"
input_size = 32
[network.arguments]
img_size = 32
patch_size = 8
in_chans = 1
embed_dim = 16
depth = 1
num_heads = 2

[slices]
roi = "square"
margin_mm = 10.0
resizing = "pad"
mean = [0.5]
sd = [0.5]

[schedule]
epochs = 2
batch_size = 4
warmup_epochs = 1
learning_rate = 1e-3
final_learning_rate = 1e-4
weight_decay = 0.0
averaging = 0.5
gradient_limit = 1.0

[balance]
he_share = 0.5
prevalence = 0.5
signs_weight = 0.0
signs_only_epochs = 0
label_smoothing = 0.0

[augmentation]
flip = true
rotation_deg = 0.0
shift = 0.0
scale = 0.0
contrast = 0.0
brightness = 0.0
noise = 0.0

[validation]
calibration = "temperature"
sensitivities = [0.9]
familiar_share = 0.95
"""


def scan(folder, patient, *, radius_mm, day, seed):
    """Write a scan of a patient in a study of its own; return its files."""
    series = build_ct_series(
        slices=16,
        shape_yx=(64, 64),
        balls=(Ball(radius_mm=float(radius_mm)),),
        noise_hu=3.0,
        seed=seed,
        patient_id=f"POISON-{patient}",
        study_uid=f"1.2.826.0.1.3680043.8.498.88{seed}",
    )
    for image in series:
        image.AcquisitionDate = image.StudyDate = day
        image.AcquisitionTime = image.StudyTime = "080000"
    return save_series(series, folder / f"{patient}-{day}")


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "pacs")
    archive.scp.start()
    yield archive
    archive.scp.stop()


@pytest.fixture
def node(tmp_path, archive):
    """Return a running node with the shipped demonstration models."""
    node = NodeProcess(tmp_path, pacs_port=archive.scp.port)
    node.patience_s = PATIENCE_S
    node.program = [sys.executable, "-m", "dicom_node", "serve"]
    bundles = 'segmentation_bundle = "demo-segmentation"  # ours\ndevice = "cpu"\n'
    text = node.config.read_text().replace("[worker]\n", f"[worker]\n{bundles}")
    node.config.write_text(text.replace("lease_s = 3.0", "lease_s = 60.0"))
    try:
        node.start()
        yield node
    finally:
        if node.process.poll() is None:
            node.stop()


def restart(node):
    assert node.stop() == 0
    node.start()


def train(*arguments):
    """Run a command of ``ichtrain``; here, for its libraries are loaded already."""
    done = CliRunner().invoke(application(), [str(one) for one in arguments])
    assert done.exit_code == 0, (done.output, done.exception)


def row_of(node, files):
    uid = pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID
    return next((row for row in node.rows() if row["series_instance_uid"] == uid), None)


def delivered(node, files, *, compared=False):
    """Return the row of a series once it, or its comparison, has come to its end."""

    def ended():
        row = row_of(node, files)
        what = row["comparison"] if row and compared else row
        assert not what or what["state"] not in {"failed", "rejected"}, what["reason"]
        return row if what and what["state"] == "delivered" else None

    return wait_until(ended, timeout_s=PATIENCE_S)


def models_of(node, row):
    """Return which models an analysis names."""
    record = node.folder / "data" / "summaries" / str(row["job_id"]) / "analysis.json"
    models = json.loads(record.read_text())["model"]
    return models["segmentation"]["name"], models["classification"]["name"]


def shadows(node):
    """Return what the watch says of models on trial, once they have seen something."""
    with opened_ledger(node.folder / "data" / "ledger.sqlite") as ledger:
        pairs = PairLedger(ledger.database)
        wait_until(lambda: pairs.watched().shadows, timeout_s=PATIENCE_S)
    return json.loads(node.run("watch", "--json").stdout)["shadows"]


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def follow(node, folder):
    """Have every patient scanned twice, and wait for the comparisons."""
    for later, day in enumerate(("20260104", "20260105")):
        scans = [
            scan(folder, patient, radius_mm=radii[later], day=day, seed=2 * seed + later)
            for seed, (patient, radii) in enumerate(PATIENTS.items())
        ]
        for files in scans:
            assert node.send(files)
        for files in scans:
            delivered(node, files, compared=bool(later))


def divide(pairs, path):
    """Put one hematoma that grew and one that stayed on each side."""
    grew = [row["patient_id"] for row in pairs if row["expanded"] == "yes"]
    stayed = [row["patient_id"] for row in pairs if row["expanded"] == "no"]
    assert (len(grew), len(stayed)) == (2, 2)
    parts = {"train": [grew[0], stayed[0]], "validation": [grew[1], stayed[1]], "test": []}
    path.write_text(json.dumps(parts))


def fit(export, folder):
    """Make a classifier of an export, by the commands that its manual names."""
    division = folder / SPLIT_FILE
    divide(rows_of(export / "pairs.csv"), division)
    recipe = folder / "circle.toml"
    recipe.write_text(RECIPE)
    cohort, triplets, run = (folder / name for name in ("cohort", "triplets", "run"))
    train(
        *("cohort", "import", export, "--output", cohort, "--clinical", export / "clinical.csv"),
        *("--need-follow-up", "--keep-ids", "--split", division),
    )
    train("classification", "triplets", "--cohort", cohort, "--output", triplets)
    train(
        *("classification", "train", "--recipe", recipe, "--triplets", triplets),
        *("--output", run, "--cohort-name", "export of the circle test"),
    )
    return run / "bundle"


def test_a_node_learns_from_its_own_follow_ups(node, archive, tmp_path):
    """Follow-ups, export, training, trial in shadow, promotion, and a result by the new model."""
    follow(node, tmp_path / "ct")
    export = tmp_path / "export"
    done = node.run("export-cohort", "--output", str(export))
    assert done.returncode == 0, done.stderr
    content = b"".join(path.read_bytes() for path in export.rglob("*") if path.is_file())
    for secret in (POISON_NAME, "POISON", POISON_BIRTH_DATE, "20260104", "20260105"):
        assert secret.encode() not in content
    bundle = fit(export, tmp_path)

    done = node.run("models", "shadow", str(bundle))
    assert done.returncode == 0, done.stderr
    node.in_force(1)  # without a restart; the promotion outlasts one
    tried = scan(tmp_path / "ct", "TRIED", radius_mm=18, day="20260201", seed=50)
    assert node.send(tried)
    row = delivered(node, tried)
    (trial,) = shadows(node)
    assert models_of(node, row) == ("demo-segmentation", "demo-classification")
    assert trial["scans"] == 1
    assert "circle" in trial["shadow"]
    sent = archive.of_study(pydicom.dcmread(tried[0]).StudyInstanceUID)
    assert len(sent) == 5  # three captures, segmentation, report: the trial has sent nothing

    done = node.run("models", "promote", "--yes")
    assert done.returncode == 0, done.stderr
    assert "scans seen by both" in done.stdout
    assert "# ours" in node.config.read_text()
    restart(node)
    following = scan(tmp_path / "ct", "FOLLOWING", radius_mm=18, day="20260202", seed=51)
    assert node.send(following)
    row = delivered(node, following)

    assert models_of(node, row) == ("demo-segmentation", "circle")
    assert row["he_probability"] is not None
    assert Path(json.loads(last_line(node))["models"]["classification_bundle"]["to"]) == bundle


def last_line(node):
    history = node.folder / "data" / "models-history.jsonl"
    return history.read_text().splitlines()[-1]
