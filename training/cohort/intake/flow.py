"""The flow of patients from the source to the parts of the cohort, as the npj paper's Fig. 1."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from training.cohort.intake.criteria import WORDS, Criterion
from training.cohort.intake.found_scan import MaskKind
from training.cohort.intake.import_cohort import ImportedCohort
from training.cohort.patient_split import Part

FLOW_PICTURE = "flow.png"

_ROW_HEIGHT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Patients and scans under one heading."""

    words: str
    patients: int
    scans: int

    @property
    def text(self) -> str:
        """One line."""
        return f"{self.words}: {_many(self.patients, 'patient')}, {_many(self.scans, 'scan')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What became of everything that was found.

    Attributes
    ----------
    found : Count
        Before anything was excluded.
    scan_exclusions : tuple of Count
        Scans that fell alone; their patients may have others.
    patient_exclusions : tuple of Count
        Patients that fell with all their scans.
    included, unlabelled : Count
        Who remains, and how many of these scans have no mask.
    parts : tuple of Count
        Patients and scans with a mask by part.
    undecided : tuple of str
        Criteria that could not be decided for some patients.
    strays : tuple of str
        Files that belong to no scan, by reason.
    """

    found: Count
    scan_exclusions: tuple[Count, ...]
    patient_exclusions: tuple[Count, ...]
    included: Count
    unlabelled: Count
    parts: tuple[Count, ...]
    undecided: tuple[str, ...]
    strays: tuple[str, ...]


def flow_of(imported: ImportedCohort) -> Flow:
    """Return the counts of an import."""
    excluded, fallen = imported.verdict.excluded, imported.verdict.patients
    alone: dict[Criterion, list[str]] = {}
    together: dict[Criterion, list[str]] = {}
    for one in imported.scans:
        criterion = excluded.get(one.scan_id)
        if criterion is not None:
            with_patient = fallen.get(one.patient_id) is criterion and not one.problem
            (together if with_patient else alone).setdefault(criterion, []).append(one.patient_id)
    included = imported.included
    labelled = [one for one in included if one.mask is not MaskKind.NONE]
    return Flow(
        found=_count("Found", [one.patient_id for one in imported.scans]),
        scan_exclusions=_listed(alone),
        patient_exclusions=_listed(together),
        included=_count("Included", [one.patient_id for one in included]),
        unlabelled=_count(
            "Without a mask", [one.patient_id for one in included if one.mask is MaskKind.NONE]
        ),
        parts=tuple(
            _count(
                part.value.capitalize(),
                [
                    one.patient_id
                    for one in labelled
                    if one.patient_id in imported.split.patients(part)
                ],
            )
            for part in Part
        ),
        undecided=tuple(
            f"{WORDS[criterion]}: not known of {_many(count, 'patient')}"
            for criterion, count in imported.verdict.undecided.items()
        ),
        strays=tuple(
            f"{reason}: {_many(count, 'file')}"
            for reason, count in Counter(stray.reason for stray in imported.strays).items()
        ),
    )


def print_flow(flow: Flow) -> None:
    """Print the flow as a tree."""
    from rich.console import Console
    from rich.tree import Tree

    tree = Tree(f"[bold]{flow.found.text}")
    for title, counts in (
        ("Scans excluded", flow.scan_exclusions),
        ("Patients excluded", flow.patient_exclusions),
    ):
        if counts:
            branch = tree.add(f"[red]{title}")
            for count in counts:
                branch.add(count.text)
    kept = tree.add(f"[green]{flow.included.text}")
    for part in flow.parts:
        kept.add(part.text)
    if flow.unlabelled.scans:
        kept.add(flow.unlabelled.text)
    for title, lines in (("Could not be decided", flow.undecided), ("Stray", flow.strays)):
        if lines:
            branch = tree.add(f"[yellow]{title}")
            for line in lines:
                branch.add(line)
    Console().print(tree)


def draw_flow(path: Path, flow: Flow) -> None:
    """Draw the flow: found, excluded beside it, included, parts below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reasons = [count.text for count in (*flow.scan_exclusions, *flow.patient_exclusions)]
    unsure = [f"(not decided) {line}" for line in flow.undecided]
    beside = [*(reasons or ["nobody"]), *unsure]
    height = 4.0 + _ROW_HEIGHT * len(beside)
    figure = Figure(figsize=(9, height), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, 9), ylim=(0, height))
    axes.axis("off")
    top, middle, low = height - 0.6, 1.9, 0.7
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "black"}
    arrow = {"arrowstyle": "->", "color": "black"}

    def write(x: float, y: float, text: str, *, align: str = "center") -> None:
        axes.text(x, y, text, ha=align, va="center", fontsize=9, bbox=box)

    axes.annotate("", (2.0, middle + 0.3), (2.0, top - 0.3), arrowprops=arrow)
    half_way = (top + middle) / 2
    axes.annotate("", (3.9, half_way), (2.0, half_way), arrowprops=arrow)
    for index, part in enumerate(flow.parts):
        x = 1.5 + 3.0 * index
        axes.annotate("", (x, low + 0.3), (2.0, middle - 0.3), arrowprops=arrow)
        write(x, low, part.text.replace(": ", "\n"))
    write(2.0, top, flow.found.text.replace(": ", "\n"))
    write(4.0, half_way, "\n".join(["Excluded", *beside]), align="left")
    write(2.0, middle, flow.included.text.replace(": ", "\n"))
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call] # untyped there


def _count(words: str, patients: list[str]) -> Count:
    return Count(words=words, patients=len(set(patients)), scans=len(patients))


def _listed(fallen: dict[Criterion, list[str]]) -> tuple[Count, ...]:
    return tuple(
        _count(WORDS[criterion], fallen[criterion])
        for criterion in Criterion
        if criterion in fallen
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
