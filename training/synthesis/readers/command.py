"""The commands `ichtrain synthesis reader-study ...`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import told

APP = typer.Typer(
    help="Let readers judge real and synthetic slices without knowing which is which.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

_Study = Annotated[Path, typer.Argument(help="Folder of the study, as `make` wrote it.")]


@APP.command()
def make(
    augmented: Annotated[Path, typer.Option("--set", help="Folder of `synthesis sample`.")],
    triplets: Annotated[
        list[Path],
        typer.Option("--triplets", help="Folder of the real triplets; may be repeated."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the study; made if absent.")],
    split: Annotated[
        Path | None, typer.Option(help="The split that the generator was trained with.")
    ] = None,
    count: Annotated[int, typer.Option(min=2, help="Slices of each kind.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Keep it from the readers.")] = 0,
    readers: Annotated[str, typer.Option(help="Names, by commas.")] = "A,B,C",
) -> None:
    """Write the coded images, the readers' orders and, beside them, the key.

    Readers get OUTPUT/readers, or the form of `serve`; OUTPUT/key.csv is not for them.

    Example: ichtrain synthesis reader-study make --set prepared/semibalanced
    --triplets prepared/triplets --output reader-study
    """
    from training.cohort.patient_split import Part
    from training.synthesis.augmented_set import read_synthetic_cases
    from training.synthesis.readers.kit import make_kit
    from training.synthesis.triplet_files import find_triplets, of_part, split_of

    with told():
        found = find_triplets(triplets)
        kit = make_kit(
            of_part(found, split_of(found, triplets, given=split), Part.TRAIN),
            read_synthetic_cases(augmented),
            output,
            count=count,
            seed=seed,
            readers=[name.strip() for name in readers.split(",")],
        )
    typer.echo(f"{2 * count} images for {len(kit.orders)} readers in {kit.folder}")


@APP.command()
def serve(
    study: _Study,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 8765,
) -> None:
    """Show the form in a browser of this machine; Ctrl-C ends it, answers are kept.

    Example: ichtrain synthesis reader-study serve reader-study
    """
    import uvicorn

    from training.synthesis.readers.form import reader_form

    with told():
        app = reader_form(study)
    typer.echo(f"http://127.0.0.1:{port}")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


@APP.command()
def table(study: _Study) -> None:
    """Make Table 2 of the readers' answers: table2.json, table2.csv, table2.md.

    Example: ichtrain synthesis reader-study table reader-study
    """
    from rich.console import Console
    from rich.table import Table

    from training.synthesis.readers.reader_table import reader_table, rows_of, write_table

    with told():
        found = reader_table(study)
        write_table(study, found)
    shown = Table("item", "real", "synthetic", "p or agreement")
    for row in rows_of(found):
        shown.add_row(*row)
    Console().print(shown)
