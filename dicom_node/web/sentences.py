"""Sentences of the node, kept and said in English, in the visitor's language.

What is stored stays as it was written: support asks for it, and programs read it. A page shows it
by its pattern, with the numbers and names that stand in it; a sentence that is not known here, or
the words of another machine, is shown as it is.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from dicom_node.web.answer_sentences import ANSWERS
from dicom_node.web.setting_sentences import SETTINGS
from dicom_node.web.watch_sentences import WATCH
from dicom_node.web.words import mark

#: Why a series was taken or not, and when.
SERIES: Final = (
    mark("its images are no CT images"),
    mark("excluded by rule: %(rule)s"),
    mark("no rule includes it"),
    mark("a contrast agent is named in its header"),
    mark("its slices are not axial: %(angle)s degrees, needed %(limit)s"),
    mark("slices are %(thickness)s mm thick, at most %(limit)s needed"),
    mark("%(slices)s slices, at least %(limit)s needed"),
    mark(
        "rank %(rank)s of %(number)s, %(points)s points; of a study %(places)s may be analysed, "
        "%(chosen)s chosen before"
    ),
    mark("rank %(rank)s of %(number)s, %(points)s points"),
    mark("images are arriving"),
    mark("its images name %(patients)s patients and %(studies)s studies; needed is one of each"),
    mark("%(images)s images, quiet for %(time)s s, no gap"),
    mark("%(images)s images, taken after %(time)s s although %(why)s"),
    mark("%(number)s association(s) of the sender are still open"),
    mark("the node has not fetched all of it yet"),
    mark("slices seem to be missing at %(number)s place(s)"),
    mark("%(number)s of its images were purged: send the whole series again"),
    mark("from %(caller)s"),
    mark("%(uid)s was sent again with other content; the newer one is used"),
    mark("%(uid)s was sent again with other content; kept, not analysed"),
    mark("the series was %(state)s"),
)

#: Why something is urgent.
URGENCY: Final = (
    mark("it came from %(caller)s"),
    mark("its priority is %(priority)s"),
    mark("an operator said so"),
    mark("with its study: %(why)s"),
    mark("%(attribute)s matches /%(pattern)s/"),
)

#: What became of jobs and deliveries.
JOBS: Final = (
    mark("%(worker)s exceeded the time limit"),
    mark("%(worker)s stopped without a word"),
    mark("%(worker)s was restarted"),
    mark("more images came"),
    mark("another analysis takes its place"),
    mark("%(objects)s objects for %(number)s destination(s)"),
    mark("with series %(series)s"),
    mark("by %(who)s"),
    mark("deliveries"),
    mark("cancelled by an operator"),
    mark("no report after %(number)s requests"),
    mark("not committed: %(why)s"),
    mark("not compared with other scans: its images name no time of acquisition"),
    mark("not compared with an earlier scan: images of one of the two were purged"),
    mark("not compared with scans whose Patient ID is the same, but not its issuer"),
)

#: What is wrong with the node.
ALARMS: Final = (
    mark("The %(role)s has not been seen for %(time)s s"),
    mark("%(role)s has not been seen for %(time)s s"),
    mark("%(role)s lives, but cannot write its sign of life: the disk of %(place)s is full"),
    mark(
        "%(free)s MB free on the disk of %(place)s, at least %(floor)s MB are needed: "
        "images are refused"
    ),
    mark("Less than %(floor)s MB are free on the disk of %(place)s: images are refused"),
    mark("A job has waited for a worker for more than %(time)s s"),
    mark("Analyses that failed within 24 h: %(number)s; ichnode status"),
    mark("%(name)s ends soon or has ended"),
    mark("TLS cannot be spoken: ichnode check says why"),
    mark("The disk is nearly full and nothing more may be purged: ichnode retention plan"),
    mark("Images or results are gone from the disk: ichnode verify"),
    mark("Images have no row: ichnode verify --repair"),
    mark("The worklist %(name)s does not answer: ichnode worklist"),
    mark("Audit messages have waited for the repository for an hour"),
    mark("Results for %(name)s were given up: ichnode deliveries list --state dead"),
    mark("%(name)s is out of reach; results wait for it"),
    mark(
        "The settings file has %(number)s faults, older settings are in force: "
        "ichnode config check"
    ),
)

#: What the card of a model states: `dicom_node.model_view.facts_of`, `dicom_node.model_scores`.
CARDS: Final = (
    mark("%(value)s (95 %% CI %(low)s to %(high)s)"),
    mark("fitted on %(number)s patients: %(cohort)s"),
    mark("level %(level)s, width %(width)s HU"),
    mark("%(low)s..%(high)s HU, minus %(mean)s, divided by %(deviation)s"),
    mark("95 %% range of the volume"),
    mark("95 %% range of the forecast"),
)

#: Why the models could not look at a series: `pipeline.rejection.RejectionCode`.
REJECTIONS: Final = {
    "no_images": mark("no CT image that can be read"),
    "not_ct": mark("no CT"),
    "mixed_series": mark("images of several series, studies or patients"),
    "not_original": mark("only localizers or captures"),
    "not_axial": mark("slices that are not axial"),
    "mixed_orientation": mark("slices that are not parallel"),
    "too_few_slices": mark("too few slices"),
    "coverage": mark("too little of the head"),
    "gap": mark("missing slices"),
    "pixels": mark("pixels that cannot be decoded"),
    "geometry_missing": mark("position, orientation or spacing that is missing or absurd"),
    "hu_missing": mark("no Hounsfield units"),
    "not_a_head": mark("not a head"),
}
_REJECTION_WORDS: Final = mark("%(what)s: found %(found)s; needed %(needed)s")

_REJECTION: Final = re.compile(r"(?P<what>[a-z_]+): found (?P<found>.+); needed (?P<needed>.+)")
_PLACE: Final = re.compile(r"%\((\w+)\)s")
#: What stands in places where not everything can: a sentence of others is not taken for ours.
_SHAPES: Final = {
    **dict.fromkeys(("number", "points", "baseline", "later", "here", "all"), r"[-+]?[\d.]+"),
    **dict.fromkeys(("value", "low", "high", "mean", "deviation", "level", "width"), r"-?[\d.]+"),
    **dict.fromkeys(("title", "own_title"), r".{1,16}?"),
    "address": r"[0-9A-Za-z.:-]+",
    "code": r"[0-9A-F]{4}",
    "key": r"[\w.\[\]]+",
    "quoted": r'"[^"]*"',
    "url": r"https?://\S+",
    "version": r"TLSv[\d.]+",
    "cipher": r"[\w-]+",
}
_ANYTHING: Final = ".+?"
#: Parts of a sentence that are sentences themselves, and those that are words.
_INNER: Final = frozenset(
    {"why", "verdict", "found", "expected", "reason", "outcome", "rule", "wish", "cohort"}
)
_WORDS: Final = frozenset({"attribute", "role", "state"})
_LONGEST: Final = 2000
_AND: Final = " and "
_SEVERAL: Final = "; "

_TEMPLATES: Final = (*SERIES, *URGENCY, *JOBS, *ALARMS, *CARDS, *ANSWERS, *SETTINGS, *WATCH)

Gettext = Callable[[str], str]


def translated(sentence: str, gettext: Gettext) -> str:
    """Return a sentence of the node in another language, or as it is if it is not known.

    Parameters
    ----------
    sentence : str
        As it is stored or said: one of the tables here and in `dicom_node.web.answer_sentences`,
        or several with ``;`` between them.
    gettext : Callable
        Returns what a template is in the language.
    """
    if not sentence or len(sentence) > _LONGEST:
        return sentence
    found = _as_one(sentence, gettext)
    if found is not None:
        return found
    for mark_between in (_SEVERAL, _AND):
        parts = sentence.split(mark_between)
        told = [_as_one(part, gettext) for part in parts]
        if len(parts) > 1 and all(one is not None for one in told):
            return gettext(mark_between).join(str(one) for one in told)
    return sentence


def _as_one(sentence: str, gettext: Gettext) -> str | None:
    if rejection := _REJECTION.fullmatch(sentence):
        words = REJECTIONS.get(rejection["what"])
        if words is not None:
            return gettext(_REJECTION_WORDS) % {**rejection.groupdict(), "what": gettext(words)}
    for template, pattern in _patterns():
        if match := pattern.fullmatch(sentence):
            parts = {key: _part(key, text, gettext) for key, text in match.groupdict().items()}
            return gettext(template) % parts
    return None


def _part(key: str, text: str, gettext: Gettext) -> str:
    """Return what stands in a place of a sentence, in the language if it is words itself."""
    if key in _INNER:
        told = translated(text, gettext)
        return gettext(text) if told == text else told
    return gettext(text.replace("_", " ")) if key in _WORDS else text


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return each template with what finds it, those with most words of their own first."""
    templates = sorted(_TEMPLATES, key=lambda one: -len(_PLACE.sub("", one)))
    return tuple((one, re.compile(_expression(one), re.DOTALL)) for one in templates)


def _expression(template: str) -> str:
    parts = _PLACE.split(template)  # words, name, words, name, ..., words
    return "".join(
        re.escape(part.replace("%%", "%"))
        if place % 2 == 0
        else f"(?P<{part}>{_SHAPES.get(part, _ANYTHING)})"
        for place, part in enumerate(parts)
    )


#: Between several sentences.
BETWEEN: Final = (mark("; "), mark(" and "))
