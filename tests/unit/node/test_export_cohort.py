"""The folder that leaves the site: who is in it, what is in it, and that it can be made again."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from export_builder import ADMISSION, GROWN_BALL, FollowedSite
from poison import marked, poisoned

from dicom_node.errors import ExportError
from dicom_node.export.cohort import ExportOptions, export_cohort
from dicom_node.export.exclusion import Exclusion
from dicom_node.export.key import ExportKey, open_key
from pipeline.ct_series import read_ct_series
from training.cohort.intake.import_cohort import ImportOptions, import_cohort
from training.cohort.intake.mask_seg import read_mask_seg

KEY = ExportKey(secret=bytes(range(32)))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a site whose scans tests share; none of them changes a file of it."""
    return FollowedSite(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def pair(site):
    return site.followed("ANNA-SMITH-4711")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "export"


def options_of(site, output, **changed):
    return ExportOptions(output=output, spool=site.spool, outbox=site.outbox, **changed)


def names(output):
    return sorted(path.name for path in (output / "patients").iterdir())


def rows(output, name="pairs.csv"):
    with (output / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def content_of(folder):
    """Return every byte of a folder, names among them."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return files, b"".join(name.encode() + data for name, data in sorted(files.items()))


def test_an_export_holds_scans_masks_and_what_became_of_them(site, pair, output):
    """One folder a patient, one row a follow-up, and a chart that the import understands."""
    report = export_cohort([pair], KEY, options_of(site, output))

    (name,) = names(output)
    (row,) = rows(output)
    folder = output / "patients" / name
    assert (report.found, report.patients, report.pairs, report.expansions) == (1, 1, 1, 1)
    assert len(list((folder / "baseline" / "ct").glob("*.dcm"))) == 14
    assert pydicom.dcmread(folder / "follow_up_1" / "mask.dcm").Modality == "SEG"
    assert (row["patient_id"], row["expanded"], row["elapsed_hours"]) == (name, "yes", "6")
    assert (output / row["follow_up"] / "ct").is_dir()
    assert row["mask_source"] == "model ich-seg 1.2.0"
    assert rows(output, "clinical.csv") == [{"patient_id": name, "age_years": "90", "sex": "O"}]
    manifest = json.loads((output / "manifest.json").read_text())
    assert [one["code"] for one in manifest["de_identification"]] == ["113100", "113107", "113108"]
    assert manifest["complete"]
    assert not (output / ".partial").exists()


def test_no_byte_of_an_export_names_the_patient(site, pair, output):
    """Neither numbers nor names nor UIDs nor the day of the scan are in files or file names."""
    export_cohort([pair], KEY, options_of(site, output))

    _, everything = content_of(output)
    source = site.scans[pair.baseline.series_uid].series[0]
    for secret in (
        *("ANNA", "SMITH", "4711", "ACC1", "HEAD WITHOUT", "Synthetic", "Ellipsoid", "20260105"),
        *(source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID),
        *(source.FrameOfReferenceUID, "19340217", str(site.folder)),
    ):
        assert secret.encode() not in everything


def test_a_marker_in_every_text_of_files_is_nowhere_in_the_folder(site, pair, output, tmp_path):
    """Images and masks full of it give an export without it, in names and tables too."""
    bad = FollowedSite(tmp_path / "bad")
    # A series holds together by these; their markers are searched for in single objects.
    spared = frozenset({"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"})
    for root, folder, paths in (
        (site.spool, bad.spool, [*pair.baseline.files, *pair.follow_up.files]),
        (site.outbox, bad.outbox, [*pair.baseline.masks, *pair.follow_up.masks]),
    ):
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            source = pydicom.dcmread(root / path)
            (folder / path).write_bytes(poisoned(source, spared=spared))

    report = export_cohort([pair], KEY, options_of(bad, output))

    _, everything = content_of(output)
    assert report.patients == 1
    assert len(list(output.rglob("*.dcm"))) == 30
    assert marked(everything) == []


def test_the_import_of_training_reads_an_export(site, pair, output, tmp_path):
    """Patient, order in time, volumes and label come out as the node has measured them."""
    export_cohort([pair], KEY, options_of(site, output))

    imported = import_cohort(
        ImportOptions(
            source=output,
            output=tmp_path / "cohort",
            clinical=output / "clinical.csv",
            need_follow_up=True,
            keep_ids=True,
        ),
        on_progress=lambda *_: None,
    )

    first, second = sorted(imported.included, key=lambda one: one.hours_after_baseline)
    assert imported.strays == ()
    assert (first.time_point, second.time_point) == ("baseline", "follow_up")
    assert second.hours_after_baseline == 6.0
    assert first.patient_id == names(output)[0]
    assert second.hematoma_ml == pytest.approx(GROWN_BALL.volume_ml, rel=0.1)
    assert imported.clinical[first.patient_id].sex == "O"


def test_the_exported_mask_lies_where_the_node_has_drawn_it(site, pair, output):
    """Voxel by voxel on the exported images."""
    export_cohort([pair], KEY, options_of(site, output))

    folder = output / "patients" / names(output)[0] / "baseline"
    volume = read_ct_series([pydicom.dcmread(path) for path in (folder / "ct").iterdir()])
    drawn = site.scans[pair.baseline.series_uid].analysis.mask.voxels_zyx
    assert np.array_equal(read_mask_seg(folder / "mask.dcm", volume), drawn)


def test_the_same_key_gives_the_same_export(site, pair, output, tmp_path):
    """A second export of the same patients is byte by byte the first; another key names others."""
    export_cohort([pair], KEY, options_of(site, output))
    export_cohort([pair], KEY, options_of(site, tmp_path / "again"))
    export_cohort([pair], ExportKey(secret=bytes(32)), options_of(site, tmp_path / "other"))

    assert content_of(output)[0] == content_of(tmp_path / "again")[0]
    assert names(output) != names(tmp_path / "other")
    assert not set(content_of(tmp_path / "other")[0].values()) & {
        data for name, data in content_of(output)[0].items() if name.endswith(".dcm")
    }


def test_a_repeat_writes_only_what_is_new(site, pair, output):
    """An export that was cut off goes on; what is there already is left as it is."""
    export_cohort([pair], KEY, options_of(site, output))
    (image,) = (output / "patients").glob("*/baseline/ct/0001.dcm")
    before = image.stat().st_mtime_ns
    other = site.followed("BERTA")
    (output / ".partial" / "P1" / "baseline").mkdir(parents=True)

    report = export_cohort([pair, other], KEY, options_of(site, output))

    assert (report.new, report.patients) == (1, 2)
    assert image.stat().st_mtime_ns == before
    assert len(rows(output)) == 2
    assert not (output / ".partial").exists()


def test_a_patient_whose_verdict_is_withdrawn_leaves_the_export(site, pair, output):
    """A later look at the pair suspects surgery: the next call takes the folder out."""
    export_cohort([pair], KEY, options_of(site, output))

    withdrawn = site.pair("x", pair.baseline, pair.follow_up, status="no_verdict", expanded=None)
    report = export_cohort([withdrawn], KEY, options_of(site, output))

    assert names(output) == []
    assert rows(output) == []
    assert report.excluded == {Exclusion.NO_VERDICT: 1}
    assert [row["criterion"] for row in rows(output, "exclusions.csv")] == ["no_verdict"]


def test_several_follow_ups_go_along_and_later_hemorrhages_do_not(site, pair, output):
    """One hemorrhage a patient, so that patients are independent."""
    patient = "ANNA-SMITH-4711"
    next_day = site.scan(patient, ball=GROWN_BALL, at=ADMISSION + timedelta(hours=24))
    months_on = site.scan(patient, at=ADMISSION + timedelta(days=90))
    then = site.scan(patient, ball=GROWN_BALL, at=ADMISSION + timedelta(days=90, hours=6))
    pairs = [
        site.pair(pair.patient_key, months_on, then),
        site.pair(pair.patient_key, pair.baseline, next_day, elapsed_hours=24.0),
        pair,
    ]

    report = export_cohort(pairs, KEY, options_of(site, output))

    assert [row["elapsed_hours"] for row in rows(output)] == ["6", "24"]
    assert report.excluded == {Exclusion.LATER_EPISODE: 1}


def _burn(ds):
    ds.BurnedInAnnotation = "YES"


def _reformat(ds):
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]


def _nobody(ds):
    ds.PatientID = ""


def _break(ds):
    ds.RescaleSlope = "0"


@pytest.mark.parametrize(
    ("change", "exclusion"),
    [
        (_burn, Exclusion.BURNED_IN),
        (_reformat, Exclusion.SECONDARY),
        (_nobody, Exclusion.SEVERAL_PATIENTS),
        (_break, Exclusion.UNREADABLE),
    ],
)
def test_images_that_may_show_a_name_or_are_nobodys_stay(site, output, change, exclusion):
    """They are counted, and no file of them is written."""
    report = export_cohort([site.followed("CARL", change=change)], KEY, options_of(site, output))

    assert report.excluded == {exclusion: 1}
    assert names(output) == []


def test_secondary_images_go_if_somebody_has_looked_at_them(site, output):
    """An option states it; the manifest repeats it."""
    pair = site.followed("DORA", change=_reformat)

    report = export_cohort([pair], KEY, options_of(site, output, with_secondary=True))

    assert report.patients == 1
    assert json.loads((output / "manifest.json").read_text())["secondary_images"]


def test_dose_pages_within_a_series_stay(site, output):
    """Scanners put a page with the patient's name into the CT series; only slices go."""

    def page(ds):
        if ds.InstanceNumber == 1:
            ds.ImageType = ["DERIVED", "SECONDARY", "DOSE_INFO"]
            ds.BurnedInAnnotation = "YES"

    export_cohort([site.followed("EMIL", change=page)], KEY, options_of(site, output))

    assert len(list((output / "patients").glob("*/baseline/ct/*.dcm"))) == 13


@pytest.mark.parametrize(
    ("record", "exclusion"),
    [
        ({"status": "refused", "expanded": None}, Exclusion.REFUSED),
        ({"status": "no_verdict", "expanded": None}, Exclusion.NO_VERDICT),
        ({"baseline_volume_ml": 0.0}, Exclusion.NO_HEMATOMA),
    ],
)
def test_pairs_without_a_verdict_stay(site, pair, output, record, exclusion):
    """They teach nothing about expansion."""
    told = site.pair("x", pair.baseline, pair.follow_up, **record)

    assert export_cohort([told], KEY, options_of(site, output)).excluded == {exclusion: 1}


def test_files_that_are_gone_and_masks_that_are_missing_are_counted(site, pair, output):
    """The spool may have been cleaned; a scan without hematoma has no mask."""
    gone = replace(pair.follow_up, files=(Path("nowhere.dcm"),))
    bare = replace(pair.follow_up, masks=())
    pairs = [
        site.pair("x", pair.baseline, gone),
        site.pair("x", pair.baseline, bare),
    ]

    report = export_cohort(pairs, KEY, options_of(site, output))

    assert report.excluded == {Exclusion.FILES_GONE: 1, Exclusion.NO_MASK: 1}


def test_since_leaves_earlier_comparisons_out(site, pair, output):
    """The comparison was made on 7 January."""
    options = options_of(site, output, since=datetime(2026, 1, 8, tzinfo=UTC))

    report = export_cohort([pair], KEY, options)

    assert report.excluded == {Exclusion.OUTSIDE_TIME: 1}


def test_a_dry_run_writes_nothing(site, pair, output):
    """It looks at everything and counts."""
    report = export_cohort([pair], KEY, options_of(site, output, dry_run=True))

    assert (report.patients, report.expansions, report.new) == (1, 1, 0)
    assert not output.exists()


def test_an_export_goes_into_a_folder_of_its_own(site, pair, output):
    """Somebody else's folder, and one of another key, are left alone."""
    output.mkdir()
    (output / "thesis.docx").write_text("mine")
    with pytest.raises(ExportError, match="not empty and no export"):
        export_cohort([pair], KEY, options_of(site, output))
    (output / "thesis.docx").unlink()
    export_cohort([], KEY, options_of(site, output))

    with pytest.raises(ExportError, match="another key"):
        export_cohort([pair], ExportKey(secret=bytes(32)), options_of(site, output))


def test_a_key_is_its_owners_alone(tmp_path):
    """Made readable for nobody else; one that others can read is refused, and so is no key."""
    path = tmp_path / "keys" / "a.key"

    made = open_key(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert open_key(path).pseudonym("x") == made.pseudonym("x")
    assert made.secret.hex() not in repr(made)
    path.chmod(0o640)
    with pytest.raises(ExportError, match="others can read"):
        open_key(path)
    path.chmod(0o600)
    path.write_text("a shopping list\n")
    with pytest.raises(ExportError, match="no key"):
        open_key(path)
