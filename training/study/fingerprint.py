"""Fingerprints of what a stage depends on, so that its result is used as long as they stay."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pipeline
from training.study.stage import Stage, StudySettings

INPUTS_FILE = "inputs.json"

#: Digits of the digest that name a folder.
_SHOWN = 12


def inputs_of(
    stage: Stage, settings: StudySettings, earlier: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return everything that decides a stage's result, as JSON values under a word each.

    Parameters
    ----------
    stage : Stage
        Which.
    settings : StudySettings
        Of the study.
    earlier : mapping of str to str or None
        Fingerprints of the stages that it comes after; None for one that is not done.
    """
    # Through JSON and back, so that what was written before compares equal.
    choices = json.loads(json.dumps(stage.choices(settings), sort_keys=True))
    return {
        "version": f"{pipeline.__version__}, stage {stage.version}",
        "choices": choices,
        "files": files_digest(stage.files(settings)),
        "earlier stages": {name: earlier.get(name) for name in stage.after},
    }


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """Return a short digest of inputs."""
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN]


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return which inputs have changed, in words."""
    changed = [name for name in now if before.get(name) != now[name]]
    if "choices" not in changed:
        return ", ".join(changed)
    old, new = before.get("choices"), now["choices"]
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return ", ".join(changed)
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    named = [f"{name} ({', '.join(keys)})" if name == "choices" else name for name in changed]
    return ", ".join(named)


def files_digest(paths: Iterable[Path]) -> str:
    """Return a digest of files by name and content; the order does not matter."""
    lines = sorted(f"{path.name} {file_digest(path)}" for path in paths)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return a digest of a file's content; "absent" without a file.

    Of a zip archive, as prepared scans are, the sizes and checksums of its directory are taken:
    they are the content's, and a cohort of thousands of scans is looked through in seconds. A
    folder's digest is that of its files.
    """
    if path.is_dir():
        return files_digest(one for one in sorted(path.rglob("*")) if one.is_file())
    if not path.is_file():
        return "absent"
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            members = [(one.filename, one.file_size, one.CRC) for one in archive.infolist()]
        return hashlib.sha256(repr(members).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
