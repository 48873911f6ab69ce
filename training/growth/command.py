"""The commands `ichtrain growth ...`."""

import typer

from training.growth.evaluate_command import evaluate
from training.growth.prepare_command import prepare
from training.growth.release_command import release
from training.growth.train_command import train

APP = typer.Typer(
    help="Forecast the hematoma of the follow-up scan: prepare pairs, train, judge, release.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

APP.command()(prepare)
APP.command()(train)
APP.command()(evaluate)
APP.command()(release)
