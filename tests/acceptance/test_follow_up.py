"""A patient is scanned twice: the node compares, wherever the first scan was."""

import itertools
import json
from collections import Counter

import pydicom
import pytest
from acceptance.node_process import NodeProcess, wait_until
from acceptance.orthanc_process import Orthanc
from ct_builder import POISON_BIRTH_DATE, POISON_NAME, Ball, build_ct_series, save_series
from growth_builder import growth_card, moving_network

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import outgoing_file, send_files
from pipeline.model_bundle import save_bundle

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

PATIENT = "POISON-PAIR"

#: A patient for each test.
NUMBERS = itertools.count(1)

#: Two comparisons at once take turns on a small machine.
PATIENCE_S = 300


def scan(folder, patient, number, *, day, radius_mm):
    """Write a scan of a patient in a study of its own; return its files."""
    study = f"1.2.826.0.1.3680043.8.498.77.{patient}.{number}"
    series = build_ct_series(
        slices=30,
        shape_yx=(96, 96),
        balls=(Ball(radius_mm=radius_mm),),
        noise_hu=3.0,
        seed=10 * patient + number,
        patient_id=f"{PATIENT}-{patient}",
        study_uid=study,
    )
    for image in series:
        image.AcquisitionDate = image.StudyDate = day
        image.AcquisitionTime = image.StudyTime = "080000"
    return save_series(series, folder / f"scan{number}")


@pytest.fixture
def scans(tmp_path):
    """Return the files of a baseline of 14 mL and, a day later, of a follow-up of 24 mL."""
    patient = next(NUMBERS)
    return (
        scan(tmp_path, patient, 1, day="20260104", radius_mm=15.0),
        scan(tmp_path, patient, 2, day="20260105", radius_mm=18.0),
    )


def changed(text, **lines):
    """Return settings with other lines in the first tables of these names."""
    for table, added in lines.items():
        head = f"[{table}]\n" if table != "peers" else "[[peers]]\n"
        assert head in text
        text = text.replace(head, f"{head}{added}\n", 1)
    return text


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    """Return a node that runs, its settings, and an Orthanc that has it as move destination."""
    folder = tmp_path_factory.mktemp("with-orthanc")
    node = NodeProcess(folder, pacs_port=0, pacs_title="ORTHANC")
    orthanc = Orthanc(folder / "orthanc", node_port=node.dicom_port)
    text = node.config.read_text().replace("port = 0\n", f"port = {orthanc.dicom_port}\n")
    text = text.replace('"MODALITY"]', '"MODALITY", "ORTHANC"]')
    node.config.write_text(text)
    node.start()
    yield node, text, orthanc
    node.stop()
    orthanc.stop()


def compared(node, files):
    """Return the row of a follow-up once its comparison was delivered."""
    series_uid = pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID

    def row():
        for one in node.rows():
            comparison = one["comparison"]
            if one["series_instance_uid"] == series_uid and comparison is not None:
                assert comparison["state"] not in {"failed", "rejected"}, comparison["reason"]
                return one if comparison["state"] == "delivered" else None
        return None

    return wait_until(row, timeout_s=PATIENCE_S)


def modalities(orthanc, study_uid):
    """Return how many objects of which modality Orthanc has of a study."""
    found = Counter()
    for study in orthanc.ask("/studies?expand"):
        if study["MainDicomTags"]["StudyInstanceUID"] != study_uid:
            continue
        for uid in study["Series"]:
            series = orthanc.ask(f"/series/{uid}")
            found[series["MainDicomTags"]["Modality"]] += len(series["Instances"])
    return found


def study_of(files):
    return pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID


def series_of(files):
    return pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID


def row_of(node, files):
    """Return the row of a series, an empty one while there is none."""
    uid = series_of(files)
    rows = (row for row in node.rows() if row["series_instance_uid"] == uid)
    return next(rows, {"state": "", "searches": []})


def test_a_follow_up_is_compared_and_the_pacs_has_it(pacs, scans, tmp_path):
    """First results with a forecast, then report, SEGs and capture of both; the watch's pair."""
    node, settings, orthanc = pacs
    baseline, follow_up = scans
    network = moving_network((0.0, 0.0, -1.0))
    growth = save_bundle(tmp_path / "growth", growth_card(), network.state_dict())
    node.take(changed(settings, worker=f'growth_bundle = "{growth.path}"'))
    assert node.send(baseline)
    wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
    first = modalities(orthanc, study_of(baseline))
    assert node.send(follow_up)

    row = compared(node, follow_up)

    # Measured and forecast mask of each scan, and of each the mask that was compared.
    assert first == {"OT": 3, "SEG": 2, "SR": 1}
    assert modalities(orthanc, study_of(baseline)) == {"OT": 3, "SEG": 3, "SR": 1}
    assert modalities(orthanc, study_of(follow_up)) == {"OT": 4, "SEG": 3, "SR": 2}
    comparison = row["comparison"]
    assert comparison["outcome"] == "compared"
    assert comparison["baseline_series_instance_uid"] == series_of(baseline)
    assert comparison["elapsed_hours"] == 24
    assert comparison["baseline_volume_ml"] == pytest.approx(14.1, rel=0.05)  # 4/3 pi 1.5^3 cm
    assert comparison["follow_up_volume_ml"] == pytest.approx(24.4, rel=0.05)  # 4/3 pi 1.8^3 cm
    assert comparison["expanded"] is True
    page = node.get(f"/series/{series_of(follow_up)}")
    assert "Comparison with an earlier scan" in page
    assert "mL in 24.0 h: expanded" in page
    watched = node.run("watch", "--json").stdout
    (version,) = json.loads(watched)["versions"]
    assert (version["pairs"], version["expansions"], version["excluded"]) == (1, 1, {})
    assert version["predicted_ahead"] == 1
    assert version["outcomes"][0]["elapsed_h"] == 24
    watched += node.get("/watch")
    assert "of these with an outcome" in watched
    told = node.log.read_text() + page + watched + node.run("status", "--json").stdout
    for secret in (POISON_NAME, PATIENT, POISON_BIRTH_DATE):
        assert secret not in told


@pytest.mark.parametrize("way", ["move", "get"])
def test_a_baseline_that_only_the_pacs_has_is_fetched(pacs, scans, way):
    """By C-MOVE to the node, or by C-GET; its results go out, too, and then the comparison."""
    node, settings, orthanc = pacs
    baseline, follow_up = scans
    node.take(changed(settings, peers=f'gives_priors = "{way}"'))
    to_orthanc = Peer(
        name="orthanc",
        ae_title="ORTHANC",
        host="127.0.0.1",
        port=orthanc.dicom_port,
        calling_ae_title="MODALITY",
    )
    sent = send_files(to_orthanc, [outgoing_file(path) for path in baseline])
    assert all(outcome.accepted for outcome in sent)
    assert node.send(follow_up)

    row = compared(node, follow_up)

    assert row["comparison"]["baseline_series_instance_uid"] == series_of(baseline)
    (search,) = row["searches"]
    assert (search["peer"], search["state"]) == ("pacs", "done")
    assert search["reason"] == "fetched 30 images of 1 series"
    assert modalities(orthanc, study_of(baseline)) == {"CT": 30, "OT": 3, "SEG": 2, "SR": 1}
    assert modalities(orthanc, study_of(follow_up)) == {"OT": 4, "SEG": 2, "SR": 2}
    assert PATIENT not in node.log.read_text()


def test_a_kill_during_a_comparison_leaves_one_result_set(node, archive, scans):
    """The worker dies while it registers; its successor compares, and nothing is there twice.

    The follow-up is sent before its baseline: the time of acquisition orders the two.
    """
    baseline, follow_up = scans
    assert node.send(follow_up)
    wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
    assert node.send(baseline)
    wait_until(
        lambda: any(
            row["comparison"] and row["comparison"]["state"] == "analyzing" for row in node.rows()
        ),
        timeout_s=PATIENCE_S,
    )
    node.kill_role("worker")
    comparison = compared(node, follow_up)["comparison"]

    assert comparison["baseline_series_instance_uid"] == series_of(baseline)
    assert comparison["expanded"] is True
    kinds = Counter(one.sop_class_uid for one in archive.distinct().values())
    assert kinds == {
        "1.2.840.10008.5.1.4.1.1.7": 7,  # three captures each, one of both
        "1.2.840.10008.5.1.4.1.1.66.4": 4,  # one each, two of the comparison
        "1.2.840.10008.5.1.4.1.1.88.34": 3,
    }
    assert "Traceback" not in node.log.read_text()


def test_a_dead_pacs_holds_up_no_result(node, scans):
    """The peer that is searched does not answer; the results arrive elsewhere all the same."""
    _, follow_up = scans
    dead = '[[peers]]\nname = "dead"\nae_title = "DEAD"\nhost = "127.0.0.1"\nport = 9\n'
    node.take(f'{node.config.read_text()}\n{dead}gives_priors = "get"\n')
    assert node.send(follow_up)
    wait_until(lambda: row_of(node, follow_up)["state"] == "delivered")
    row = wait_until(
        lambda: (
            (one := row_of(node, follow_up))
            and one["searches"]
            and one["searches"][0]["reason"]
            and one
        )
    )

    (search,) = row["searches"]
    assert (search["state"], search["attempts"]) == ("pending", 1)
    assert "No connection to dead" in search["reason"]
