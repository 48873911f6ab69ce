"""The kit: real and synthetic slices under codes, in another order for every reader."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.classification.transform import to_batch
from pipeline.prediction import HeLabel
from training.classification.case import TripletCase
from training.synthesis.sample_sheet import to_grey
from training.synthesis.triplet_files import TripletFile

#: Readers get this folder and nothing else; the key lies beside it.
KIT_FOLDER, KIT_FILE, KEY_FILE = "readers", "kit.json", "key.csv"

#: Layout version of the kit.
KIT_FORMAT = 1

#: Height and width of what is shown; the same way for real and synthetic slices.
SHOWN_SIZE = 384

#: Readers of the published study.
READERS = ("A", "B", "C")

_SHEET_COLUMNS, _SHEET_ROWS, _SHEET_SIZE, _CAPTION = 5, 4, 192, 14


class Kind(StrEnum):
    """What an image is. The values are stored and are the readers' answers, too."""

    REAL = "real"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What readers may know.

    Attributes
    ----------
    folder : Path
        With ``kit.json`` and ``images/<code>.png``.
    orders : dict of str to tuple of str
        The codes in the order of each reader.
    """

    folder: Path
    orders: dict[str, tuple[str, ...]]

    def image(self, code: str) -> Path:
        """Return the picture under a code."""
        return self.folder / "images" / f"{code}.png"


def make_kit(
    real: Sequence[TripletFile],
    synthetic: Sequence[TripletCase],
    output: Path,
    *,
    count: int = 100,
    seed: int = 0,
    readers: Sequence[str] = READERS,
) -> Kit:
    """Write a kit of so many real and so many synthetic slices, and its key.

    Of a real patient the slice of largest hematoma is shown, as in the published study. Codes
    are numbers in random order; pictures carry nothing but their grey levels.

    Parameters
    ----------
    real : sequence of TripletFile
        Training patients; those who expanded are drawn from.
    synthetic : sequence of TripletCase
        Cases of an augmented set.
    output : Path
        Receives ``readers/`` and ``key.csv``; must not hold a kit yet.
    count, seed : int
        Slices of each kind; of the choice, the codes and the orders.
    readers : sequence of str
        Names without a meaning, such as A, B, C.

    Raises
    ------
    ValueError
        If there are fewer slices of a kind, or a kit is there already.
    """
    if (output / KEY_FILE).exists():
        raise ValueError(f"{output} holds a kit already; its key must not be lost")
    expanding = [one for one in real if one.label is HeLabel.HE]
    for name, found in (("real", expanding), ("synthetic", synthetic)):
        if len(found) < count:
            raise ValueError(f"{count} {name} slices are wanted, there are {len(found)}")
    rng = np.random.default_rng(seed)
    chosen = [expanding[index] for index in rng.choice(len(expanding), count, replace=False)]
    drawn = [synthetic[index] for index in rng.choice(len(synthetic), count, replace=False)]
    images = [largest_slice(one.images_yx()) for one in chosen]
    images += [one.images_yx[0] for one in drawn]
    key = [(one.case_id, Kind.REAL) for one in chosen]
    key += [(one.case_id, Kind.SYNTHETIC) for one in drawn]
    place = rng.permutation(2 * count)
    digits = len(str(2 * count))
    codes = [f"{number + 1:0{digits}d}" for number in place]
    sorted_codes = sorted(codes)
    kit = Kit(
        folder=output / KIT_FOLDER,
        orders={
            reader: tuple(sorted_codes[index] for index in rng.permutation(2 * count))
            for reader in readers
        },
    )
    _write_pictures(kit, dict(zip(codes, images, strict=True)))
    (kit.folder / KIT_FILE).write_text(
        json.dumps({"format": KIT_FORMAT, "orders": kit.orders}, indent=1) + "\n"
    )
    _write_key(output / KEY_FILE, dict(zip(codes, key, strict=True)))
    return kit


def read_kit(output: Path) -> Kit:
    """Return the kit in a folder that `make_kit` wrote.

    Raises
    ------
    ValueError
        If there is none.
    """
    path = output / KIT_FOLDER / KIT_FILE
    if not path.exists():
        raise ValueError(f"{output} holds no kit: {KIT_FOLDER}/{KIT_FILE} is missing")
    content = json.loads(path.read_text())
    if content.get("format") != KIT_FORMAT:
        raise ValueError(f"{path} is not of format {KIT_FORMAT}")
    orders = {reader: tuple(codes) for reader, codes in content["orders"].items()}
    return Kit(folder=path.parent, orders=orders)


def read_key(output: Path) -> dict[str, Kind]:
    """Return what is under each code. Readers never see it.

    Raises
    ------
    ValueError
        If the key is not there.
    """
    path = output / KEY_FILE
    if not path.exists():
        raise ValueError(f"{output} holds no key: {KEY_FILE} is missing")
    with path.open(newline="") as stream:
        return {row["code"]: Kind(row["kind"]) for row in csv.DictReader(stream)}


def largest_slice(images_yx: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the slice of largest hematoma among those of a triplet.

    It is the middle one of three. Where a neighbour is absent it is the one with the largest
    region of interest, which is the hematoma with a margin.
    """
    if len(images_yx) == 3:  # noqa: PLR2004  a whole triplet
        return images_yx[1]
    return max(images_yx, key=lambda one: one.size)


def _write_pictures(kit: Kit, images: dict[str, NDArray[np.uint8]]) -> None:
    from PIL import Image

    (kit.folder / "images").mkdir(parents=True, exist_ok=True)
    shown = to_grey(to_batch(list(images.values()), input_size=SHOWN_SIZE))
    for code, picture in zip(images, shown, strict=True):
        Image.fromarray(picture).save(kit.image(code), format="PNG")
    _write_sheets(kit, dict(zip(images, shown, strict=True)))


def _write_sheets(kit: Kit, shown: dict[str, NDArray[np.uint8]]) -> None:
    """Write sheets with the code above every image, in the order of the codes."""
    from PIL import Image, ImageDraw

    codes = sorted(shown)
    each = _SHEET_COLUMNS * _SHEET_ROWS
    (kit.folder / "sheets").mkdir(exist_ok=True)
    for number, first in enumerate(range(0, len(codes), each)):
        sheet = Image.new(
            "L", (_SHEET_COLUMNS * _SHEET_SIZE, _SHEET_ROWS * (_SHEET_SIZE + _CAPTION)), 255
        )
        pen = ImageDraw.Draw(sheet)
        for place, code in enumerate(codes[first : first + each]):
            x = place % _SHEET_COLUMNS * _SHEET_SIZE
            y = place // _SHEET_COLUMNS * (_SHEET_SIZE + _CAPTION)
            pen.text((x + 2, y + 1), code, fill=0)
            picture = Image.fromarray(shown[code]).resize((_SHEET_SIZE, _SHEET_SIZE))
            sheet.paste(picture, (x, y + _CAPTION))
        sheet.save(kit.folder / "sheets" / f"sheet_{number + 1:02d}.png", format="PNG")


def _write_key(path: Path, key: dict[str, tuple[str, Kind]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["code", "kind", "case_id"])
        writer.writerows([code, str(kind), case] for code, (case, kind) in sorted(key.items()))
