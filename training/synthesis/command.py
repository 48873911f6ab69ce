"""The commands `ichtrain synthesis ...`."""

import typer

from training.synthesis.evaluate_command import evaluate, samplers
from training.synthesis.readers.command import APP as READERS
from training.synthesis.sample_command import sample
from training.synthesis.train_command import import_checkpoint, train

APP = typer.Typer(
    help="Draw synthetic slices of expanding hematomas, and judge them.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

APP.command()(train)
APP.command()(sample)
APP.command()(evaluate)
APP.command()(samplers)
APP.command("import")(import_checkpoint)
APP.add_typer(READERS, name="reader-study")
