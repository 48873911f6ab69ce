"""Stage "readers": what radiologists say of real and synthetic slices, where they were asked."""

from pathlib import Path

from training.study.outcome import Measure, Outcome, Sheet
from training.study.stage import Stage, StageImpossibleError, StageRoom, StudySettings
from training.synthesis.readers.reader_table import (
    ReaderTable,
    Scale,
    Share,
    reader_table,
    rows_of,
)


def _run(room: StageRoom) -> Outcome:
    folder = room.settings.readers
    if folder is None:
        raise StageImpossibleError(
            "no reader study was named: `ichtrain synthesis reader-study make` and `serve` hold "
            "one, --readers names its folder"
        )
    try:
        table = reader_table(folder)
    except (ValueError, OSError) as error:
        raise StageImpossibleError(str(error)) from error
    header = ("", "real", "synthetic", "p or agreement")
    return Outcome(
        headline=f"{table.readers} readers; {table.synthetic_identified} of the synthetic slices "
        "were recognised by the majority.",
        measures=tuple(_measures(table)),
        sheets=(Sheet(title="npj Table 2", header=header, rows=tuple(rows_of(table))),),
        remarks=(f"{table.readers} readers, three in the study.",),
    )


def _measures(table: ReaderTable) -> list[Measure]:
    found: list[Measure] = []
    for name, words, scale in (
        ("quality", "Image quality", table.quality),
        ("authenticity", "Authenticity", table.authenticity),
    ):
        found += _of_scale(name, words, scale)
    for kind, share in (
        ("real", table.real_identified),
        ("synthetic", table.synthetic_identified),
    ):
        found.append(_share(f"readers.{kind}.identified", f"Recognised, {kind}", share))
    if table.kappa is not None:
        kappa = table.kappa
        found.append(
            Measure(
                key="readers.both.kappa",
                words="Fleiss' kappa of the verdicts",
                text=str(kappa),
                value=kappa.value,
            )
        )
    return found


def _of_scale(name: str, words: str, scale: Scale) -> list[Measure]:
    found: list[Measure] = []
    for kind, graded in (("real", scale.real), ("synthetic", scale.synthetic)):
        found.append(
            Measure(
                key=f"readers.{kind}.{name}_mean",
                words=f"{words}, {kind}: mean ± SD",
                text=f"{graded.mean:.2f} ± {graded.sd:.2f}",
                value=graded.mean,
            )
        )
        good, poor = f"readers.{kind}.{name}_good", f"readers.{kind}.{name}_poor"
        found.append(_share(good, f"{words}, {kind}: 3 and more", graded.good))
        found.append(_share(poor, f"{words}, {kind}: 2 and less", graded.poor))
    found.append(
        Measure(
            key=f"readers.both.{name}_mean",
            words=f"{words}: p between real and synthetic",
            text=f"{scale.p_value:.3f}",
            value=scale.p_value,
        )
    )
    if scale.icc is not None:
        key, text = f"readers.both.{name}_icc", str(scale.icc)
        found.append(
            Measure(key=key, words=f"{words}: ICC(2,1)", text=text, value=scale.icc.value)
        )
    return found


def _share(key: str, words: str, share: Share) -> Measure:
    return Measure(key=key, words=words, text=str(share), value=share.count / share.of)


def _choices(settings: StudySettings) -> dict[str, object]:
    return {"given": settings.readers is not None}


def _files(settings: StudySettings) -> tuple[Path, ...]:
    return () if settings.readers is None else (settings.readers,)


READERS = Stage(
    name="readers",
    title="Reader study",
    shows="npj Table 2",
    version=1,
    choices=_choices,
    files=_files,
    run=_run,
)
