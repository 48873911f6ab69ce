"""``ichnode models import``: published and own weights as bundles that the node can use."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from dicom_node.commands.screen import say
from dicom_node.model_download import BLAST_CT_SOURCE, OnBytes, download
from dicom_node.operator_error import ExitCode, OperatorError
from pipeline.errors import ModelBundleError

_PLANS_FILE = "plans.json"


def run_blast_ct(
    files: Sequence[Path], *, output: Path, fetch: bool, networks: str, source: str
) -> int:
    """Turn published BLAST-CT weights into a bundle."""
    if fetch == bool(files):
        raise OperatorError(
            "name the files of the networks, or say --fetch, but not both",
            exit_code=ExitCode.USAGE,
        )
    _check_output(output)
    with _weights(files, fetch=fetch, networks=networks, source=source) as paths:
        _write_blast_ct(paths, output)
    say("trained on trauma CT by its authors, not judged on your patients; RESEARCH USE ONLY")
    _tell_next(output)
    return ExitCode.OK


def run_nnunet(
    folder: Path,
    *,
    output: Path,
    fold: str,
    checkpoint: str,
    hematoma: str | None,
    licence: str | None,
) -> int:
    """Turn a trained nnU-Net v2 model into a bundle."""
    _check_output(output)
    _check_model_folder(folder, fold=fold, checkpoint=checkpoint)
    from pipeline.segmentation.nnunet_import import bundle_from_nnunet

    terms = {} if licence is None else {"licence": licence}
    try:
        bundle = bundle_from_nnunet(
            folder, output, fold=fold, checkpoint=checkpoint, hematoma=hematoma, **terms
        )
    except (ModelBundleError, OSError) as error:
        raise OperatorError(str(error)) from error
    card = bundle.card
    say(f"{card.architecture}, classes: {', '.join(card.class_names)}")
    say(card.training_cohort)
    say(f"licence: {card.licence}")
    say("not judged on your patients; RESEARCH USE ONLY")
    _tell_next(output)
    return ExitCode.OK


def _check_output(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OperatorError(
            f"{output} exists and is not an empty folder; choose another one",
            exit_code=ExitCode.USAGE,
        )


def _check_model_folder(folder: Path, *, fold: str, checkpoint: str) -> None:
    """Raise an error that names what is there instead of what was asked for."""
    if not (folder / _PLANS_FILE).is_file():
        inner = sorted(str(plans.parent) for plans in folder.glob(f"*/{_PLANS_FILE}"))
        advice = (
            f"perhaps you mean {' or '.join(inner)}"
            if inner
            else "name the folder TRAINER__PLANS__CONFIGURATION in nnUNet_results"
        )
        raise OperatorError(
            f"{folder} is no model folder of nnU-Net v2, it has no {_PLANS_FILE}; {advice}",
            exit_code=ExitCode.USAGE,
        )
    if (folder / f"fold_{fold}" / checkpoint).is_file():
        return
    there = sorted(
        f"--fold {path.parent.name.removeprefix('fold_')} --checkpoint {path.name}"
        for path in folder.glob("fold_*/*.pth")
    )
    raise OperatorError(
        f"{folder} has no {checkpoint} in fold_{fold}; there is: {', '.join(there) or 'none'}",
        exit_code=ExitCode.USAGE,
    )


def _write_blast_ct(paths: Sequence[Path], output: Path) -> None:
    from pipeline.segmentation.blast_ct.published import import_networks

    try:
        bundle = import_networks(paths, output)
    except (ModelBundleError, OSError) as error:
        raise OperatorError(str(error)) from error
    for network in bundle.card.metrics["networks"]:
        number = network["published_number"]
        known = f"published network {number}" if number else "no network of the first release"
        say(f"{network['file']}: {known}, SHA-256 {network['sha256']}")


def _tell_next(output: Path) -> None:
    place = output.absolute()
    say(f"bundle: {place}", style="bold")
    say(f"its card: ichnode models show {place}")
    say(f"try it: ichnode analyze DIR --segmentation {place} --output out")
    say(f'use it: segmentation_bundle = "{place}" under [worker] in the settings file')


@contextmanager
def _weights(
    files: Sequence[Path], *, fetch: bool, networks: str, source: str
) -> Iterator[Sequence[Path]]:
    """Yield the files of the networks: those given, or fetched ones that are removed again."""
    if not fetch:
        yield files
        return
    from pipeline.segmentation.blast_ct.published import PUBLISHED_SHA256

    numbers = _network_numbers(networks, known=PUBLISHED_SHA256)
    with TemporaryDirectory(prefix="ichnode-") as folder:
        paths = []
        with _progress() as bar:
            for number in numbers:
                path = Path(folder) / f"model_{number}.pt"
                download(
                    f"{(source or BLAST_CT_SOURCE).rstrip('/')}/{path.name}",
                    path,
                    sha256=PUBLISHED_SHA256[number],
                    on_bytes=_listener(bar, path.name),
                )
                paths.append(path)
        yield paths


def _network_numbers(text: str, *, known: Iterable[int]) -> list[int]:
    """Return the numbers in a list such as ``1,2``."""
    possible = sorted(known)
    words = [word.strip() for word in text.split(",")]
    numbers = [int(word) for word in words if word.isdecimal() and int(word) in possible]
    if len(set(numbers)) != len(words):
        raise OperatorError(
            f"--networks takes different numbers from {possible[0]} to {possible[-1]} with "
            f"commas between, such as 1,2; got {text!r}",
            exit_code=ExitCode.USAGE,
        )
    return numbers


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show progress bars on a terminal; yields None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar


def _listener(bar: Progress | None, name: str) -> OnBytes:
    if bar is None:
        return lambda came, expected: None  # noqa: ARG005  nobody watches
    task = bar.add_task(name, total=None)
    return lambda came, expected: bar.update(task, completed=came, total=expected)
