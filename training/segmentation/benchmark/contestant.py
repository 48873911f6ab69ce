"""One way to segment that takes part in a benchmark."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

#: Names as papers write them.
TITLES: MappingProxyType[str, str] = MappingProxyType(
    {
        "nnunet": "nnU-Net",
        "nnunet-resenc": "nnU-Net ResEnc",
        "umamba-enc": "U-Mamba Enc",
        "umamba-bot": "U-Mamba Bot",
        "nnformer": "nnFormer",
        "unetr-plus-plus": "UNETR++",
        "slex-net": "SLEX-Net",
        "compact": "Compact U-Net",
    }
)

#: A name becomes a folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """An architecture that is trained for the benchmark, or a bundle that stands already.

    Attributes
    ----------
    name : str
        Unique; also the name of its folder.
    bundle : Path or None
        The finished bundle; None for an architecture that the benchmark trains.

    Raises
    ------
    ValueError
        If the name cannot be that of a folder.
    """

    name: str
    bundle: Path | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"Name {self.name!r}: letters, digits, point, hyphen and underscore expected"
            )

    @property
    def title(self) -> str:
        """Name for tables and figures."""
        return TITLES.get(self.name, self.name)


def choose_contestants(
    architectures: str, bundles: Iterable[str], *, known: Iterable[str]
) -> tuple[Contestant, ...]:
    """Return who takes part.

    Parameters
    ----------
    architectures : str
        ``all``, ``none`` or names separated by commas.
    bundles : iterable of str
        Bundles that take part without training, each as ``NAME=PATH``.
    known : iterable of str
        Names of all architectures, in the order of the table.

    Raises
    ------
    ValueError
        If an architecture is unknown, a bundle is not written as ``NAME=PATH``, a name occurs
        twice or nobody takes part.
    """
    chosen = [Contestant(name=name) for name in _names(architectures, tuple(known))]
    for text in bundles:
        name, separator, path = text.partition("=")
        if not separator or not path:
            raise ValueError(f"Bundle {text!r}: NAME=PATH expected")
        chosen.append(Contestant(name=name, bundle=Path(path)))
    names = [contestant.name for contestant in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{twice[0]} takes part twice; give one of them another name")
    if not chosen:
        raise ValueError("Nobody takes part: name an architecture or a bundle")
    return tuple(chosen)


def _names(architectures: str, known: tuple[str, ...]) -> list[str]:
    if architectures == "all":
        return list(known)
    if architectures == "none":
        return []
    wanted = [name.strip() for name in architectures.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise ValueError(f"Architecture {name!r} is unknown; known: all, {', '.join(known)}")
    return wanted
