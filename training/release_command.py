"""The command `ichtrain release`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from training.command_line import told

#: What a person must have decided before others get a model.
_NEEDED = ("name", "version", "licence", "intended_use", "demonstration")

_Run = Annotated[Path, typer.Argument(help="Folder of `ichtrain segmentation train`.")]
_Output = Annotated[Path, typer.Option(help="Bundle folder; made if absent.")]
_Facts = Annotated[
    Path,
    typer.Option(
        help="JSON with name, version, licence, intended_use, demonstration and, where you like, "
        "training_cohort, metrics, probability_cutoff, minimum_component_ml."
    ),
]
_Validate = Annotated[
    list[Path] | None,
    typer.Option(
        "--validate",
        help="Cohort folder whose validation and test patients the bundle is measured on, the "
        "whole way of the product; may be given repeatedly.",
    ),
]
_Half = Annotated[
    bool, typer.Option("--half/--full", help="Store weights in half or full precision.")
]


@told()
def release(
    run: _Run,
    output: _Output,
    facts: _Facts,
    validate: _Validate = None,
    half: _Half = True,  # noqa: FBT002  Typer makes the pair of flags from it
) -> None:
    """Turn a finished run into a bundle with a filled card.

    Architecture, patch, grid, normalisation, cohort counts and hyper-parameters come from the
    run; the facts are what only a person can say. --validate adds Dice and volume error with
    95 % intervals to the card, and what scans and volumes look like, for the watch of the node.

    Example
    -------
      ichtrain release runs/umamba --output bundles/umamba --facts facts.json --validate ich
    """
    from training.segmentation.held_out_release import measure_release
    from training.segmentation.run_release import release_run

    known = _read_facts(facts)
    bundle = release_run(run, output, facts=known, half=half)
    if validate:
        bundle = measure_release(bundle, validate)
    typer.echo(f"{output}: {bundle.digest}")


def _read_facts(path: Path) -> dict[str, Any]:
    import json

    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON: {error}") from None
    missing = [name for name in _NEEDED if name not in known]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return dict(known)
