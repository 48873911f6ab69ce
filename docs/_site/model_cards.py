"""The page of model cards: what each model that comes with ichnode says of itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.model_bundle import WEIGHTS_FILE, builtin_bundle_paths, load_card

_TEXTS = ("intended_use", "training_cohort", "licence")

_HEAD = """# Model cards

The models that come with ichnode, as their cards say: written from `card.json` when this site is
built. `ichnode models show NAME` prints the same; `ichnode models list FOLDER` lists others. A
card holds everything fitted to data: cut-offs, spacing, windows, error of the volume, limits of
what is familiar. What the scores mean for a patient stands in the intended use; read it first.
"""


def model_card_page() -> str:
    """Return one section per shipped bundle, in Markdown."""
    return "\n".join([_HEAD, *(_section(path) for path in builtin_bundle_paths())])


def _section(path: Path) -> str:
    card = load_card(path)
    megabytes = (path / WEIGHTS_FILE).stat().st_size / 10**6
    rows = [
        ("version", card.version),
        ("task", card.task),
        ("architecture", card.architecture),
        ("classes", ", ".join(card.class_names)),
        ("weights", f"{megabytes:.1f} MB, SHA-256 `{card.weights_sha256}`"),
        ("for demonstration only", "yes" if card.demonstration else "no"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    texts = "\n\n".join(
        f"**{name.replace('_', ' ').capitalize()}.** {getattr(card, name)}" for name in _TEXTS
    )
    scores = "\n".join(f"| {name} | {value} |" for name, value in _scores(card.metrics))
    return (
        f"## {path.name}\n\n| | |\n| --- | --- |\n{table}\n\n{texts}\n\n"
        f"| Score | Value |\n| --- | --- |\n{scores}\n"
    )


def _scores(metrics: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in metrics.items():
        called = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _scores(value, f"{called}: ")
        else:
            yield called, str(value).replace("|", "\\|").replace("\n", " ")
