"""The command `ichtrain classification compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.classification.command_options import TripletFolders
from training.command_line import bar, told

if TYPE_CHECKING:
    from pipeline.statistics.estimate import Estimate
    from training.classification.comparison import ComparedClassifier


def compare(
    bundle: Annotated[
        list[Path],
        typer.Option(help="Bundle of a classifier; the others are set against the 1st."),
    ],
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="JSON file with all numbers.")],
    passes: Annotated[
        int, typer.Option(min=2, help="Passes of a network that was trained with dropout.")
    ] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Of bootstrap and dropout.")] = 0,
) -> None:
    """Compare classifiers on the same patients: AUC by DeLong's test, and whose doubt is worth it.

    A single network with dropout in its arguments (proj_drop_rate) is judged twice, as it is and
    as the mean of random passes. Simulated patients bring the ideal reader along, who knows all
    visible signs.
    """
    import json

    import torch

    from pipeline.classification.classifier import Classifier
    from pipeline.model_bundle import load_bundle
    from training.classification.case import load_cases
    from training.classification.comparison import compare as compare_all
    from training.classification.dropout_opinion import dropout_opinions, has_dropout
    from training.classification.evaluation import evaluate, of_opinions

    with told(), bar() as shown:
        cases, found = load_cases(triplets), {}
        for number, path in enumerate(bundle):
            loaded = load_bundle(path, task="classification")
            name = loaded.card.name
            name = f"{name} ({path})" if name in found else name
            shown.count(number + 1, len(bundle), what="Judging classifier")
            found[name] = evaluate(Classifier(loaded, device=torch.device("cpu")), cases)
            if has_dropout(loaded):
                opinions = dropout_opinions(loaded, cases, passes=passes, seed=seed)
                found[f"{name}, MC dropout"] = of_opinions(found[name], opinions)
        rows = compare_all(found, seed=seed)
        output.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "hematomas": len(cases),
            "patients": len({case.patient_id for case in cases}),
            "expanded": int(next(iter(found.values())).expanded.sum()),
            "classifiers": [_record(row) for row in rows],
        }
        output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _show(rows)


def _record(row: "ComparedClassifier") -> dict[str, Any]:
    import dataclasses

    from training.classification.evaluation_files import interval_record

    record: dict[str, Any] = {"name": row.name, "p_value": row.p_value}
    for name in (field.name for field in dataclasses.fields(row)):
        if name not in record:
            value = getattr(row, name)
            record[name] = None if value is None else interval_record(value)
    return record


def _show(rows: "list[ComparedClassifier]") -> None:
    """Write a line for each number: a table of them would be wider than a terminal."""
    typer.echo("RESEARCH USE ONLY. 95 % intervals in brackets.")
    for row in rows:
        typer.echo(row.name)
        typer.echo(f"  AUC {_short(row.auc)}, Brier score {_short(row.brier)}")
        if row.lead is not None:
            typer.echo(f"  ahead of the first by {_short(row.lead)}, p = {row.p_value:.4f}")
        if row.error is not None:
            typer.echo(f"  off the ideal reader's probability by {_short(row.error)}")
        if row.doubt_ranks_error is not None:
            typer.echo(f"  spread and that distance: Spearman {_short(row.doubt_ranks_error)}")


def _short(found: "Estimate") -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
