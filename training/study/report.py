"""The report: one HTML file with everything in it, every number beside the published one."""

import base64
import datetime as dt
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.study.outcome import Measure, Outcome
from training.study.published import Published, PublishedValue, read_published
from training.study.stage import Stage, StageResult, StageState, StudySettings
from training.study.surroundings import Surroundings

REPORT_FILE = "report.html"

_TEMPLATE = Path(__file__).with_name("report.html.j2")

#: Width of a picture in its PNG header: 8 bytes of signature, 4 of length, "IHDR".
_WIDTH_AT = 16

_SHOWN, _NARROWEST = 0.75, 360


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """A measure beside its published counterpart."""

    words: str
    ours: str
    published: str
    difference: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPicture:
    """A figure as a data address, with its width in pixels."""

    address: str
    width: int
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A stage as the report shows it."""

    name: str
    title: str
    shows: str
    state: str
    reason: str
    minutes: str
    is_cached: bool
    outcome: Outcome | None
    compared: Sequence[ComparedRow]
    pictures: Sequence[EmbeddedPicture]
    folder: str


def write_study_report(
    output: Path,
    settings: StudySettings,
    stages: Sequence[Stage],
    results: Sequence[StageResult],
    *,
    conditions: Surroundings,
    now: dt.datetime,
) -> Path:
    """Write ``report.html`` and return its path.

    Parameters
    ----------
    output : Path
        Folder of the study.
    settings : StudySettings
        Of the study.
    stages, results : sequence
        In the same order.
    conditions : Surroundings
        Of this call.
    now : datetime
        Of the report, aware.
    """
    from jinja2 import Environment, StrictUndefined

    published = read_published()
    sections = [
        _section(stage, result, published, output)
        for stage, result in zip(stages, results, strict=True)
    ]
    people = settings.participants
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        sections=sections,
        absent=_absent(stages, published),
        conditions=conditions,
        budget=settings.budget.budget.name,
        cohort=people.folder.resolve().name,
        simulated=settings.is_simulated,
        sets={people.title(role): len(people.of_role(role)) for role in people.roles},
        now=now.strftime("%Y-%m-%d %H:%M %Z"),
        total=_minutes(sum(result.seconds for result in results)),
    )
    path = output / REPORT_FILE
    partial = path.with_name(path.name + ".part")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def compared_rows(
    stage: str, measures: Sequence[Measure], published: Published
) -> list[ComparedRow]:
    """Return measures with a published counterpart, and published values that have no measure.

    What has no counterpart stands in the stage's own tables.
    """
    rows = [
        _compared(one, published.values[one.key])
        for one in measures
        if one.key in published.values
    ]
    seen = {one.key for one in measures}
    for key, value in published.values.items():
        if key.startswith(f"{stage}.") and key not in seen:
            spelt = key.removeprefix(f"{stage}.").replace(".", ", ").replace("_", " ")
            rows.append(
                ComparedRow(
                    words=value.words or spelt,
                    ours="not measured",
                    published=value.text,
                    difference="",
                    source=value.source,
                )
            )
    return rows


def _compared(one: Measure, theirs: PublishedValue) -> ComparedRow:
    difference = ""
    if one.value is not None and theirs.value is not None:
        difference = f"{one.value - theirs.value:+.3g}" if one.comparable else "not comparable"
    return ComparedRow(
        words=one.words,
        ours=one.text,
        published=theirs.text,
        difference=difference,
        source=theirs.source,
    )


def _section(stage: Stage, result: StageResult, published: Published, output: Path) -> Section:
    outcome, folder = result.outcome, result.folder
    return Section(
        name=stage.name,
        title=stage.title,
        shows=stage.shows,
        state=result.state.value,
        reason=result.reason,
        minutes=_minutes(result.seconds) if result.state is not StageState.LEFT_OUT else "",
        is_cached=result.is_cached,
        outcome=outcome,
        compared=compared_rows(stage.name, outcome.measures if outcome else (), published),
        pictures=[] if folder is None else _pictures(outcome, folder),
        folder="" if folder is None else folder.relative_to(output).as_posix(),
    )


def _pictures(outcome: Outcome | None, folder: Path) -> list[EmbeddedPicture]:
    shown = () if outcome is None else outcome.pictures
    return [_embedded(folder / one.file, one.caption) for one in shown]


def _absent(stages: Sequence[Stage], published: Published) -> Mapping[str, Sequence[ComparedRow]]:
    """Return the values of what was published and is no stage of this version, by its title."""
    known = {stage.name for stage in stages}
    return {
        title: compared_rows(name, (), published)
        for name, title in published.stages.items()
        if name not in known
    }


def _embedded(path: Path, caption: str) -> EmbeddedPicture:
    content = path.read_bytes()
    (width,) = struct.unpack(">I", content[_WIDTH_AT : _WIDTH_AT + 4])
    text = base64.b64encode(content).decode()
    # Smaller than they are, figures are sharp on paper; small sheets are shown larger.
    shown = max(round(width * _SHOWN), _NARROWEST)
    return EmbeddedPicture(address=f"data:image/png;base64,{text}", width=shown, caption=caption)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
