"""A data set that nobody can be read from, made of one that somebody can."""

import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage
from pydicom.valuerep import DA, DT, TM

from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicom_node.export import rules
from dicom_node.export.key import ExportKey
from dicom_node.results.segmentation import LESION
from pipeline.ct_series.header import MALFORMED
from pipeline.ct_series.multiframe import MULTI_FRAME_CLASSES

#: Oldest age that is told; all older ones are told as this (45 CFR 164.514(b)(2)(i)(C)).
OLDEST_YEARS: Final = 90

#: Deidentification Method: what was done, in at most 64 characters.
_METHOD_TEXT: Final = "ichnode export: listed attributes only, no text copied"

_AGE = re.compile(r"(\d{3})([DWMY])")
_ZONE = re.compile(r"([+-])(\d{2})(\d{2})")
_NO_CONTRAST = frozenset({"", "NONE", "NO", "N", "NO CONTRAST", "WITHOUT", "NIL", "0", "NATIVE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One patient of an export.

    Attributes
    ----------
    key : ExportKey
        Makes UIDs.
    pseudonym : str
        Patient's name and number in the export.
    shift : timedelta
        Added to every time.
    with_zones : bool
        Bring times to UTC by the zone that the images state, so that intervals between scans of
        different zones are right; only of use where all scans of the patient state one.
    with_characteristics : bool
        Keep sex and age; ages above 89 become 90.
    """

    key: ExportKey
    pseudonym: str
    shift: timedelta
    with_zones: bool = False
    with_characteristics: bool = True


def deidentified(source: Dataset, subject: Subject) -> Dataset:
    """Return what may leave the site of an image or segmentation, without its pixels.

    Parameters
    ----------
    source : Dataset
        CT Image, Enhanced CT Image or Segmentation. It is not changed; values that cannot be
        read count as absent.
    subject : Subject
        Whose it is.

    Returns
    -------
    Dataset
        With file meta information for Explicit VR Little Endian, and an empty preamble.
    """
    with warnings.catch_warnings():
        # pydicom warns of malformed values and repeats them, patient's names included.
        warnings.simplefilter("ignore")
        result = _gone_through(source, subject)
        _move_times(source, result, subject)
        _name(source, result, subject)
    _state_method(result, subject)
    result.file_meta = _file_meta(result)
    result.preamble = b"\0" * 128
    return result


def _name(source: Dataset, result: Dataset, subject: Subject) -> None:
    """Write who and what the object shows, in words that stand here."""
    for keyword in rules.EMPTY:
        if keyword not in result:
            setattr(result, keyword, "")
    result.SpecificCharacterSet = "ISO_IR 192"
    result.PatientName = result.PatientID = subject.pseudonym
    if subject.with_characteristics:
        result.PatientSex = _term(_value(source, "PatientSex"), frozenset("MFO")) or ""
        age = _age(str(_value(source, "PatientAge") or ""))
        if age:
            result.PatientAge = age
    if result.get("SOPClassUID") == SegmentationStorage:
        _name_segmentation(result)
    else:
        _name_image(source, result)


def _gone_through(source: Dataset, subject: Subject) -> Dataset:
    """Return the listed attributes of a data set or item, each by its rule."""
    result = Dataset()
    for tag in source.keys():  # noqa: SIM118 - iterating a data set would read every value
        keyword = "" if tag.is_private else keyword_for_tag(tag)
        rule = _RULE_OF.get(keyword)
        if rule is None:
            continue
        found = _value(source, keyword)
        kept = rule(found, keyword, subject) if found is not None else None
        if kept is not None:
            setattr(result, keyword, kept)
    return result


def _value(source: Dataset, keyword: str) -> Any:  # noqa: ANN401 - the door to pydicom's values
    """Return an attribute's value, None if it is absent or cannot be read."""
    try:
        return source.get(keyword)
    except MALFORMED:
        return None


def _number(found: Any, keyword: str, subject: Subject) -> Any:  # noqa: ANN401
    del keyword, subject
    values = list(found) if isinstance(found, MultiValue | list) else [found]
    kept = [_as_number(value) for value in values]
    if not kept or None in kept:
        return None
    return kept if len(kept) > 1 else kept[0]


def _as_number(value: Any) -> int | float | str | None:  # noqa: ANN401
    """Return a number; a decimal string keeps its digits, so that positions stay equal."""
    try:
        number = float(value)
    except MALFORMED:
        return None
    if not math.isfinite(number):
        return None
    if isinstance(value, int):
        return int(value)
    digits = str(getattr(value, "original_string", "")).strip()
    return digits if digits and float(digits) == number else number


def _uid(found: Any, keyword: str, subject: Subject) -> str | None:  # noqa: ANN401
    del keyword
    text = str(found).strip("\0 ")
    if not text:
        return None
    is_of_the_standard = UID(text).name != text
    return text if is_of_the_standard else subject.key.uid(text)


def _listed(found: Any, keyword: str, subject: Subject) -> Any:  # noqa: ANN401
    del subject
    values = list(found) if isinstance(found, MultiValue | list) else [found]
    kept = [term for value in values if (term := _term(value, rules.TERMS[keyword]))]
    return (kept if len(kept) > 1 else kept[0]) if kept else None


def _term(found: Any, allowed: frozenset[str]) -> str | None:  # noqa: ANN401
    term = str(found).strip("\0 ").upper() if found is not None else ""
    return term if term in allowed else None


def _items(found: Any, keyword: str, subject: Subject) -> Items | None:  # noqa: ANN401
    del keyword
    if not isinstance(found, Items):
        return None
    return Items([_gone_through(item, subject) for item in found])


def _codes(found: Any, keyword: str, subject: Subject) -> Items | None:  # noqa: ANN401
    del keyword, subject
    if not isinstance(found, Items):
        return None
    kept = [item for source in found if (item := _known_code(source)) is not None]
    return Items(kept) if kept else None


def _known_code(source: Dataset) -> Dataset | None:
    scheme, value = (
        str(_value(source, keyword) or "") for keyword in ("CodingSchemeDesignator", "CodeValue")
    )
    meaning = rules.CODES.get((scheme, value))
    return None if meaning is None else _code(value, scheme, meaning)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _moment(found: Any, keyword: str, subject: Subject) -> str | None:  # noqa: ANN401
    del keyword
    if not str(found):
        return None
    try:
        moment = DT(str(found))
    except MALFORMED:
        return None
    bare = moment.replace(tzinfo=None)
    offset = moment.utcoffset()
    if offset is not None and subject.with_zones:
        bare -= offset
    return f"{bare + subject.shift:%Y%m%d%H%M%S.%f}"


def _move_times(source: Dataset, result: Dataset, subject: Subject) -> None:
    """Write dates and times moved, each pair as one moment; a date alone is moved by whole days.

    Moments in one value are moved by their own rule; without a zone of their own that of the
    object holds for them, too (PS3.3, section C.12.1.1.8).
    """
    offset = _zone(str(_value(source, "TimezoneOffsetFromUTC") or ""))
    general = offset if subject.with_zones and offset is not None else timedelta()
    for date_keyword, time_keyword in rules.DATES_AND_TIMES:
        day, hour = _value(source, date_keyword), _value(source, time_keyword)
        moment = _joined(str(day or ""), str(hour or ""))
        if moment is None:
            continue
        moved = moment - general + subject.shift
        setattr(result, date_keyword, f"{moved:%Y%m%d}")
        if hour:
            setattr(result, time_keyword, f"{moved:%H%M%S.%f}")
    for keyword in rules.MOMENTS & set(result.dir()):
        own = str(_value(source, keyword) or "")
        if general and not _ZONE.search(own):
            moved = datetime.strptime(result[keyword].value, "%Y%m%d%H%M%S.%f") - general  # noqa: DTZ007
            setattr(result, keyword, f"{moved:%Y%m%d%H%M%S.%f}")


def _joined(day: str, hour: str) -> datetime | None:
    if not day:
        return None
    try:
        return datetime.combine(DA(day), TM(hour) if hour else time())
    except MALFORMED:
        return None


def _zone(text: str) -> timedelta | None:
    match = _ZONE.fullmatch(text.strip())
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return -offset if match[1] == "-" else offset


def _age(text: str) -> str:
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return ""
    if match[2] == "Y" and int(match[1]) >= OLDEST_YEARS:
        return f"{OLDEST_YEARS:03d}Y"
    return match[0]


def _name_image(source: Dataset, result: Dataset) -> None:
    """Write the words on scanner and contrast, chosen from those that stand here."""
    for keyword in rules.EMPTY_OF_IMAGES:
        if keyword not in result:
            setattr(result, keyword, None)
    maker = str(_value(source, "Manufacturer") or "").upper()
    names = [name for word, name in rules.MANUFACTURERS.items() if maker.startswith(word)]
    result.Manufacturer = names[0] if names else ""
    if result.get("SOPClassUID") in MULTI_FRAME_CLASSES:
        for keyword, word in rules.UNNAMED.items():
            setattr(result, keyword, result.get(keyword) or word)
    kernel = _value(source, "ConvolutionKernel")
    words = list(kernel) if isinstance(kernel, MultiValue | list) else [kernel]
    known = [str(word).strip().upper() for word in words if word is not None]
    known = [word for word in known if rules.KERNEL.fullmatch(word)]
    if known:
        result.ConvolutionKernel = known[0]
    agent = str(_value(source, "ContrastBolusAgent") or "").strip().upper()
    if agent not in _NO_CONTRAST or _value(source, "ContrastBolusAgentSequence"):
        result.ContrastBolusAgent = rules.CONTRAST_AGENT


def _name_segmentation(result: Dataset) -> None:
    """Write what a Segmentation must say and no patient can be read from (PS3.3, A.51)."""
    result.Manufacturer = "ichnode project"
    result.ManufacturerModelName = "ichnode"
    result.DeviceSerialNumber = "1"
    result.SoftwareVersions = "export"
    result.SeriesNumber = result.get("SeriesNumber") or 1
    result.InstanceNumber = result.get("InstanceNumber") or 1
    result.ContentLabel = "HEMATOMA"
    result.ContentDescription = "Pseudo-label made by a model, research use only"
    result.ContentCreatorName = "ichnode"
    for segment in result.get("SegmentSequence", ()):
        segment.SegmentLabel = "Hematoma"
        segment.SegmentAlgorithmName = "ichnode"
        if "TrackingUID" in segment:
            segment.TrackingID = LESION


def _state_method(result: Dataset, subject: Subject) -> None:
    methods = [rules.BASIC_PROFILE, rules.MODIFIED_DATES]
    if subject.with_characteristics:
        methods.append(rules.CHARACTERISTICS)
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = _METHOD_TEXT
    result.DeidentificationMethodCodeSequence = Items(
        [_code(method.code, "DCM", method.meaning) for method in methods]
    )
    result.LongitudinalTemporalInformationModified = "MODIFIED"


def _file_meta(result: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


_Rule = Callable[[Any, str, Subject], Any]


def _table() -> dict[str, _Rule]:
    pairs: Iterable[tuple[Iterable[str], _Rule]] = (
        (rules.NUMBERS, _number),
        (rules.UIDS, _uid),
        (rules.TERMS, _listed),
        (rules.SEQUENCES, _items),
        (rules.CODE_SEQUENCES, _codes),
        (rules.MOMENTS, _moment),
    )
    return {keyword: rule for keywords, rule in pairs for keyword in keywords}


_RULE_OF: Final = _table()
