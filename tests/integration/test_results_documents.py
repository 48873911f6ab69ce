"""The page and the selection of key objects, read back by code that shares nothing with them."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from result_cases import case_with_hematoma, case_without_hematoma

from dicom_node.jobs.task import ObjectKind
from dicom_node.results.check import check_results
from dicom_node.results.errors import ResultCheckError

WANTED = {"with_pdf": True, "with_key_objects": True}


@pytest.fixture(scope="module")
def found():
    """Return a case with a hematoma and its objects."""
    case = case_with_hematoma()
    return case, case.encode(**WANTED)


def read_back(result):
    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(buffer.getvalue()))


def test_neither_is_made_unless_wanted():
    """Both are off by default: older archives refuse these SOP classes."""
    results = case_without_hematoma().encode()

    assert results.pdf is None
    assert results.key_objects is None


def test_the_page_is_one_page_with_its_fonts_inside(found):
    """PS3.3, A.45.1: application/pdf; ISO 32000, 9.9: FontFile2 is an embedded TrueType font."""
    read = read_back(found[1].pdf)
    page = read.EncapsulatedDocument[: read.EncapsulatedDocumentLength]

    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert read.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert len(re.findall(rb"/Type /Page\b", page)) == 1
    fonts = len(re.findall(rb"/Type /FontDescriptor", page))
    assert fonts == len(re.findall(rb"/FontFile2", page)) > 0


def test_the_page_names_no_patient(found):
    """What de-identification cannot find must not be there: the text of the page has no name."""
    read = read_back(found[1].pdf)

    assert read.BurnedInAnnotation == "NO"
    assert str(read.PatientName) not in read.DocumentTitle
    assert str(read.PatientID).encode() not in read.EncapsulatedDocument


def test_without_a_hematoma_there_is_a_page_and_no_selection():
    """The page says so; there is nothing that could be selected."""
    case = case_without_hematoma()
    results = case.encode(**WANTED)

    assert results.pdf is not None
    assert results.key_objects is None
    check_results(results, source=case.series, analysis=case.analysis)


@pytest.mark.parametrize("multi_frame", [False, True])
def test_the_selection_names_captures_and_the_largest_slice(multi_frame):
    """TID 2010, title Of Interest (113000), no purpose; the frame where there is one."""
    case = case_with_hematoma(multi_frame=multi_frame)
    results = case.encode(**WANTED)
    read = read_back(results.key_objects)
    named = [r for item in read.ContentSequence for r in item.get("ReferencedSOPSequence", ())]
    largest = case.volume.sources[case.analysis.measurements.max_area_slice]

    assert read.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert read.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert [r.ReferencedSOPInstanceUID for r in named] == [
        *(capture.SOPInstanceUID for capture in results.captures),
        largest.sop_instance_uid,
    ]
    assert named[-1].get("ReferencedFrameNumber") == largest.frame_number
    assert not any("ConceptNameCodeSequence" in item for item in read.ContentSequence[-4:])
    check_results(results, source=case.series, analysis=case.analysis)


def test_the_report_leaves_last_and_does_not_wait_for_them(found):
    """What is referred to arrives first; every kind has a series of its own."""
    kinds = [kind for kind, _ in found[1].with_kinds]

    assert kinds[-3:] == [ObjectKind.PDF, ObjectKind.KEY_OBJECTS, ObjectKind.REPORT]


def test_a_damaged_page_or_another_selection_is_found(found):
    """Neither leaves before it has been looked at."""
    case, results = found
    pdf, selection = read_back(results.pdf), read_back(results.key_objects)
    pdf.EncapsulatedDocument = pdf.EncapsulatedDocument[:-400]
    for item in selection.ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            reference.ReferencedSOPInstanceUID = "1.2.3"

    with pytest.raises(ResultCheckError) as told:
        check_results(
            replace(results, pdf=pdf, key_objects=selection),
            source=case.series,
            analysis=case.analysis,
        )

    assert "DOC: the document must be a whole PDF" in str(told.value)
    assert "KO: it must select every capture" in str(told.value)
    assert "KO: its evidence must be what it selects" in str(told.value)


def test_the_same_input_gives_the_same_page_in_another_process():
    """No time, no random name of a font: a repeat after a crash is the same object."""
    program = (
        "import sys; sys.path[:0] = ['.', 'tests'];"
        "from result_cases import case_with_hematoma as c;"
        "import hashlib;"
        "print(hashlib.sha256(c().encode(with_pdf=True).pdf.EncapsulatedDocument).hexdigest())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]

    assert said[0] == said[1]
