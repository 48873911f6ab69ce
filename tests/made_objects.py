"""What the objects of the node hold, found by making them, for the conformance statement.

``make conformance`` makes every kind of object from simulated series of several patients, compares
them attribute by attribute and writes ``dicom_node/conformance/made_objects.json``. A test
compares that file with a fresh run.
"""

import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from comparison_builder import LARGE, compare, scan
from comparison_builder import SMALL as SMALL_BALL
from ct_builder import build_ct_series
from highdicom._standard_utils import (
    get_iod_module_map,
    get_module_attribute_map,
    get_sop_class_iod_map,
)
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from result_cases import (
    SMALL,
    case_with_forecast,
    case_with_hematoma,
    case_without_hematoma,
    context,
)

from dicom_node.results.not_processed_report import encode_not_processed
from dicom_node.results.patient_study import (
    COPIED_OF_PATIENT_AND_STUDY,
    REQUIRED_OF_PATIENT_AND_STUDY,
)
from pipeline.rejection import RejectionCode, RejectionReason

TARGET = Path(__file__).parents[1] / "dicom_node" / "conformance" / "made_objects.json"

NOW = datetime(2026, 1, 5, 9, 0, 30, tzinfo=UTC)

#: Deeper than this no attribute is listed; the content tree has a table of its own.
DEEPEST = 3
LEFT_OUT = {"ContentSequence", "PixelData", "FloatPixelData", "EncapsulatedDocument"}
#: More different values than this are no list of fixed values.
MOST_VALUES = 8
#: Value representations that a fixed value may have, and what differs from run to run though few
#: values were seen.
VALUED = {"CS", "LO", "SH", "PN", "ST", "LT", "UT", "UC", "UI", "IS", "US"}
OF_THE_RUN = {
    "SoftwareVersions",
    "NumberOfFrames",
    "InstanceNumber",
    "AlgorithmName",
    "AlgorithmVersion",
    "SegmentAlgorithmName",
    "RecommendedDisplayCIELabValue",
}

#: What a rich header has beside that of the builder.
RICH = {
    "IssuerOfPatientID": "HOSPITAL",
    "StudyDescription": "Head",
    "PatientAge": "091Y",
    "PatientSize": "1.7",
    "PatientWeight": "70",
    "PatientBirthTime": "0101",
    "TimezoneOffsetFromUTC": "+0100",
    "StationName": "CT1",
    "InstitutionName": "Hospital",
    "DeviceSerialNumber": "77",
    "SoftwareVersions": "VA44",
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """An object and the header that it was made from."""

    sop_class: str
    made: Dataset
    source: Dataset


def made_objects():
    """Return every kind of object, of several patients each."""
    objects = []
    for number, changed in ((1, RICH), (2, {})):
        objects += _of_analyses(number, changed)
    objects += _of_comparisons()
    return objects


def _of_analyses(number, changed):
    series = {
        "shape_yx": (SMALL, (88, 80))[number % 2],
        "field_of_view_mm": 220.0 + number,
        "seed": number,
        "patient_id": f"ID-{number}",
        "patient_name": f"Name{number}^Given",
        "body_part": ("HEAD", "BRAIN")[number % 2],
    }
    told = {
        "now": NOW + timedelta(days=number),
        "software_versions": (f"0.{number}.0",),
        "with_uncertainty_map": True,
        "with_pdf": True,
        "with_key_objects": True,
    }
    made = []
    for build in (case_with_forecast, case_with_hematoma, case_without_hematoma):
        case = build(**series)
        for image in case.series:
            for keyword, value in changed.items():
                setattr(image, keyword, value)
        told["with_uncertainty_map"] = build is not case_with_hematoma
        made += [
            Made(sop_class=str(one.SOPClassUID), made=one, source=case.series[0])
            for one in case.encode(**told).in_send_order
        ]
    images = build_ct_series(slices=4, **series)
    reason = RejectionReason(code=RejectionCode.TOO_FEW_SLICES, found="4", needed="10")
    report = encode_not_processed(images, reason, context=context(**told))
    return [*made, Made(sop_class=str(report.SOPClassUID), made=report, source=images[0])]


def _of_comparisons():
    made = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in (11, 21):
            before = scan(folder / f"{seed}a", SMALL_BALL, seed=seed)
            after = scan(folder / f"{seed}b", LARGE, seed=seed + 1, time="20260106080000")
            outcome = compare(
                before, after, folder / f"{seed}out", with_pdf=True, with_key_objects=True
            )
            headers = {one.images[0].StudyInstanceUID: one.images[0] for one in (before, after)}
            made += [
                Made(
                    sop_class=str(one.SOPClassUID), made=one, source=headers[one.StudyInstanceUID]
                )
                for one in outcome.objects.in_send_order
            ]
    return made


def tables():
    """Return attributes by SOP class, and the content tree of each kind of report."""
    by_class = defaultdict(list)
    by_title = defaultdict(list)
    for one in made_objects():
        by_class[one.sop_class].append(one)
        if "ContentSequence" in one.made:
            by_title[one.made.SeriesDescription].append(one.made)
    return {
        "attributes": {
            uid: _attributes(uid, several) for uid, several in sorted(by_class.items())
        },
        "trees": {title: _tree(several) for title, several in sorted(by_title.items())},
        "roots": {title: _root(several[0]) for title, several in sorted(by_title.items())},
    }


def _attributes(sop_class, several):
    """Return a row per attribute: path, tag, VR, module, type, presence, source, values."""
    seen = defaultdict(list)
    for one in several:
        for path, element in _walk(one.made):
            seen[path].append((element, _of_source(one, path)))
    modules = _modules(sop_class)
    rows = []
    for path, found in sorted(seen.items(), key=lambda item: _order(item[0])):
        module, kind = modules.get(path, ("", ""))
        values = [_value(element) for element, _ in found if not element.is_empty]
        source = _source(path, found, values, objects=len(several))
        rows.append(
            {
                "path": [dictionary_description(keyword) for keyword in path],
                "tag": "{:04X},{:04X}".format(*divmod(int(tag_for_keyword(path[-1])), 65536)),
                "vr": str(found[0][0].VR),
                "module": module,
                "type": kind,
                "presence": _presence(path, seen, several, len(values)),
                "source": source,
                "values": sorted(set(values)) if source == "FIXED" else [],
            }
        )
    return rows


def _of_source(one, path):
    """Return the element of the source that has the same name; nested ones have none."""
    return one.source[path[-1]] if len(path) == 1 and path[-1] in one.source else None


def _walk(item, path=()):
    """Yield path and element of every attribute; of several items of a sequence, each once."""
    for element in item:
        here = (*path, element.keyword)
        if not element.keyword:
            raise AssertionError(f"a private attribute: {element.tag}")
        yield here, element
        if element.VR == "SQ" and element.keyword not in LEFT_OUT and len(here) < DEEPEST:
            told = {}
            for nested in element.value:
                for below, inner in _walk(nested, here):
                    told.setdefault(below, inner)
            yield from told.items()


def _order(path):
    return [int(tag_for_keyword(keyword)) for keyword in path]


def _modules(sop_class):
    """Return module and type of each attribute, by the standard's tables in highdicom."""
    iod = get_sop_class_iod_map()[sop_class]
    found = {}
    for module in get_iod_module_map()[iod]:
        for attribute in get_module_attribute_map()[module["key"]]:
            path = (*attribute["path"], attribute["keyword"])
            found.setdefault(path, (module["key"], attribute["type"]))
    return found


def _presence(path, seen, several, filled):
    """Return ALWAYS, VNAP, ANAP or EMPTY, in the words of PS3.2."""
    parents = len(seen[path[:-1]]) if len(path) > 1 else len(several)
    if not filled:
        return "EMPTY"
    if len(seen[path]) < parents:
        return "ANAP"
    return "ALWAYS" if filled == len(seen[path]) else "VNAP"


def _source(path, found, values, *, objects):
    """Return COPY where the source's value stands, FIXED where it never changes, AUTO else."""
    if found[0][0].VR == "SQ" or path[0] == "ContributingEquipmentSequence":
        return ""
    if path[0] in (*REQUIRED_OF_PATIENT_AND_STUDY, *COPIED_OF_PATIENT_AND_STUDY):
        return "COPY"
    distinct = set(values)
    copied = all(source is not None and element.value == source.value for element, source in found)
    if copied and len(distinct) != 1:  # one value alone may agree by chance
        return "COPY"
    if found[0][0].VR in VALUED and path[-1] not in OF_THE_RUN and len(distinct) <= MOST_VALUES:
        return "FIXED" if objects > len(distinct) and not any(map(_is_made, distinct)) else "AUTO"
    return "AUTO"


def _is_made(value):
    """Return whether a value is an identifier that the node has made or copied."""
    return value.startswith(("2.25.", "1.2.826."))


def _value(element):
    if element.VM > 1:
        return "\\".join(str(one) for one in element.value)
    return str(element.value)


def _root(report):
    """Return title and template of the root container."""
    template = report.ContentTemplateSequence[0].TemplateIdentifier
    return f"{_code(report.ConceptNameCodeSequence[0])}, TID {template}"


def _tree(reports):
    """Return the content items that reports of one kind hold, those of one concept as one."""
    return _children([report.ContentSequence for report in reports], 0)


def _children(groups, depth):
    """Return rows for items of several parents; an item counts as always there if all have it."""
    kinds = {}
    for group in groups:
        for item in group:
            name = item.get("ConceptNameCodeSequence")
            concept = _code(name[0]) if name else ""
            key = (item.get("RelationshipType", ""), item.get("ValueType", ""), concept)
            kinds.setdefault(key, []).append((id(group), item))
    rows = []
    for (relationship, kind, concept), items in kinds.items():
        parents = {parent for parent, _ in items}
        several = len(items) > len(parents)
        least = "1" if len(parents) == len(groups) else "0"
        rows.append(
            {
                "depth": depth,
                "relationship": relationship,
                "type": kind,
                "concept": concept,
                "number": f"{least}-n" if several else ("1" if least == "1" else "0-1"),
                "values": _said([item for _, item in items]),
            }
        )
        below = [item.ContentSequence for _, item in items if item.get("ContentSequence")]
        if below:
            below += [[]] * (len(items) - len(below))
            rows += _children(below, depth + 1)
    return rows


def _code(item):
    return f"({item.CodeValue}, {item.CodingSchemeDesignator}, {item.CodeMeaning})"


def _said(items):
    """Return what stands in items of one concept: units, codes, template, kinds of graphics."""
    said = set()
    for item in items:
        if item.get("MeasuredValueSequence"):
            said.add(_code(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]))
        if item.get("ConceptCodeSequence"):
            said.add(_code(item.ConceptCodeSequence[0]))
        if item.get("ContentTemplateSequence"):
            said.add(f"TID {item.ContentTemplateSequence[0].TemplateIdentifier}")
        if item.get("GraphicType"):
            said.add(str(item.GraphicType))
    return sorted(said)


def text():
    """Return the tables as they are written to the file."""
    return json.dumps(tables(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET}\n")
