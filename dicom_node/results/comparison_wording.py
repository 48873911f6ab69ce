"""Every sentence that a reader finds in the results of a comparison."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dicom_node.results import wording
from pipeline.expansion import Criterion, VolumeChange
from pipeline.follow_up.comparison import FollowUpComparison
from pipeline.follow_up.flags import WITHHOLDING, FollowUpFlag

CRITERION: Final[dict[Criterion, str]] = {
    Criterion.ABSOLUTE: "growth by more than 6 mL",
    Criterion.RELATIVE: "growth by more than 33 %",
    Criterion.NEW_INTRAVENTRICULAR: "new blood in the ventricles",
    Criterion.INTRAVENTRICULAR_GROWTH: "growth in the ventricles by 1 mL or more",
}

#: The same for a heading.
SHORT_CRITERION: Final[dict[Criterion, str]] = {
    Criterion.ABSOLUTE: "> 6 mL",
    Criterion.RELATIVE: "> 33 %",
    Criterion.NEW_INTRAVENTRICULAR: "new in ventricles",
    Criterion.INTRAVENTRICULAR_GROWTH: "more in ventricles",
}

FLAG: Final[dict[FollowUpFlag, str]] = {
    FollowUpFlag.REGISTRATION_POOR: "The heads of the two scans do not match: another patient, or "
    "a scan that is cut off or broken.",
    FollowUpFlag.SURGERY_SUSPECTED: "The volume fell sharply, and the follow-up shows new air, a "
    "new dense object or missing bone: surgery between the scans is suspected.",
    FollowUpFlag.SHARP_FALL: "The volume fell sharply without a sign of surgery: the hematoma was "
    "removed unseen, or missed on one of the scans.",
    FollowUpFlag.BASELINE_NO_HEMATOMA: "The baseline shows no hematoma that could have expanded.",
    FollowUpFlag.HEMATOMA_CUT_OFF: "The hematoma reaches the edge of a scan; it may be larger "
    "than measured.",
    FollowUpFlag.INTERVAL_SHORT: "The follow-up is early; the hematoma may have grown afterwards.",
    FollowUpFlag.INTERVAL_LONG: "The follow-up is later than expansion is defined for.",
    FollowUpFlag.TIME_ZONE_MISSING: "A scan says no time zone; both clocks were taken to show the "
    "same one.",
    FollowUpFlag.OTHER_SCANNER: "The scans were made by different scanners.",
    FollowUpFlag.TILT_DIFFERS: "The slices of the scans cut the head at different angles.",
    FollowUpFlag.THICKNESS_DIFFERS: "The slices of the scans differ in thickness.",
    FollowUpFlag.CONTRAST_DIFFERS: "Contrast agent is suspected in one scan only; the models "
    "expect none.",
}

DEFINITION: Final = {
    False: "Expansion is growth by more than 6 mL or more than 33 %.",
    True: "Expansion is growth by more than 6 mL or more than 33 %, new blood in the ventricles, "
    "or growth there by 1 mL or more (revised definition).",
}
#: The same in few words, by the name under which the definition is stored.
SHORT_DEFINITION: Final = {
    "standard": "> 6 mL or > 33 %",
    "revised": "> 6 mL, > 33 %, or ventricles",
}
#: Said where growth in the brain meets the rule at one end of the range and not at the other.
UNCERTAIN: Final = "The range of the change holds both answers: the verdict is uncertain."
EXPANDED, NOT_EXPANDED, NO_VERDICT = "EXPANDED", "NOT EXPANDED", "NO VERDICT"
NOT_COMPARED: Final = "NOT COMPARED"
SAME_MODEL: Final = "Both scans were measured by the same model, each on its own images."
BOTH_SCANS: Final = "Both scans side by side"
KEY_OBJECTS: Final = f"{BOTH_SCANS} and the slice of largest hematoma area"


def flag_sentences(flags: Iterable[FollowUpFlag]) -> tuple[str, ...]:
    """Return one sentence per raised flag, in the order in which flags are declared."""
    raised = frozenset(flags)
    return tuple(FLAG[flag] for flag in FollowUpFlag if flag in raised)


def quality_sentences(comparison: FollowUpComparison) -> tuple[str, ...]:
    """Return what is amiss with the images of either scan, with its name in front."""
    return tuple(
        f"{name}: {sentence}"
        for name, flags in (
            ("Baseline", comparison.baseline_quality),
            ("Follow-up", comparison.follow_up_quality),
        )
        for sentence in wording.flag_sentences(flags)
    )


def verdict_words(comparison: FollowUpComparison) -> str:
    """Return the verdict with the criteria that are met, e.g. ``EXPANDED (growth by ...)``."""
    return _verdict(comparison.is_expansion, comparison.change.criteria, CRITERION)


def change_words(change: VolumeChange) -> str:
    """Return the change, e.g. ``+4.2 mL (+31 %; 95 % range +1.0 to +7.4 mL)``."""
    reach = change.change_range
    return _change(
        change.absolute_ml,
        change.relative,
        None if reach is None else (reach.low_ml, reach.high_ml),
    )


def elapsed_words(hours: float) -> str:
    """Return a time, e.g. ``23.5 h``, and in days from three on."""
    return f"{hours:.1f} h" if hours < _HOURS_IN_DAYS else f"{hours / 24:.1f} days"


def title_of(record: Mapping[str, Any]) -> str:
    """Return the outcome of a comparison's record in a few words, as a heading."""
    if record["change_ml"] is None:
        return NOT_COMPARED
    return _verdict(record["expanded"], record["criteria"], SHORT_CRITERION)


def verdict_of_record(record: Mapping[str, Any]) -> str:
    """Return the verdict of a comparison's record, with the criteria that are met."""
    return _verdict(record["expanded"], record["criteria"], CRITERION)


def change_of_record(record: Mapping[str, Any]) -> str:
    """Return the change of a comparison's record."""
    reach = record["change_range_ml"]
    return _change(
        record["change_ml"],
        record["change_relative"],
        None if reach is None else (reach[0], reach[1]),
    )


def flags_of_record(record: Mapping[str, Any]) -> tuple[FollowUpFlag, ...]:
    """Return the flags of a comparison's record."""
    return tuple(FollowUpFlag(value) for value in record["flags"])


def notes_of_record(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader of a comparison's record must know beside the numbers."""
    uncertain = (UNCERTAIN,) if record["is_certain"] is False else ()
    return (*uncertain, *flag_sentences(flags_of_record(record)))


def withheld_sentences(flags: Iterable[FollowUpFlag]) -> tuple[str, ...]:
    """Return why there is no verdict."""
    return flag_sentences(frozenset(flags) & WITHHOLDING)


#: From three days on a time is said in days.
_HOURS_IN_DAYS: Final = 72.0


def _verdict(
    expanded: bool | None,  # noqa: FBT001 - the record's value, and no option
    criteria: Iterable[str],
    words: Mapping[Criterion, str],
) -> str:
    if expanded is None:
        return NO_VERDICT
    if not expanded:
        return NOT_EXPANDED
    raised = frozenset(criteria)
    return f"{EXPANDED} ({', '.join(words[each] for each in Criterion if each in raised)})"


def _change(absolute_ml: float, relative: float | None, reach: tuple[float, float] | None) -> str:
    beside = [] if relative is None else [f"{100 * relative:+.0f} %"]
    if reach is not None:
        beside.append(f"95 % range {reach[0]:+.1f} to {reach[1]:+.1f} mL")
    return f"{absolute_ml:+.1f} mL" + (f" ({'; '.join(beside)})" if beside else "")
