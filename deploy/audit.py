"""Ask for known vulnerabilities of the pinned packages; ``make audit`` calls it.

Without an answer for every package the audit has failed: silence is not safety. Where the machine
may not ask the network, advisories are read from a file or folder of the OSV format, such as the
archive that OSV offers for PyPI (https://osv.dev, "Data dumps").

Exit status: 0 nothing is known, 1 something is, 2 not every package could be looked up.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
_CLEAN, _VULNERABLE, _UNKNOWN = 0, 1, 2


def main() -> int:
    """Audit; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--advisories", type=Path, help="OSV records: a .zip, a folder or a file")
    arguments = parser.parse_args()
    packages = pinned(CONSTRAINTS.read_text(encoding="utf-8"))
    if arguments.advisories is None:
        found, missing = ask_service(CONSTRAINTS)
    else:
        found, missing = look_up(packages, records(arguments.advisories)), []
    for line in found:
        sys.stdout.write(f"{line}\n")
    if missing:
        sys.stderr.write(
            f"{len(missing)} of {len(packages)} packages could not be looked up, first "
            f"{missing[0]}: no advisory service answers here. Nothing is known of them. "
            f"Give advisories in the OSV format with --advisories (make audit ADVISORIES=FILE).\n"
        )
        return _VULNERABLE if found else _UNKNOWN
    sys.stdout.write(f"{len(packages)} packages, {len(found)} known vulnerabilities\n")
    return _VULNERABLE if found else _CLEAN


def pinned(text: str) -> dict[str, Version]:
    """Return the packages of a list of constraints, by their canonical names."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def ask_service(constraints: Path) -> tuple[list[str], list[str]]:
    """Return what pip-audit's service knows, and the packages it could not look up."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints)]
    command += ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        names = list(pinned(constraints.read_text(encoding="utf-8")))
        return [], names
    found, missing = [], []
    for one in answer["dependencies"]:
        if "skip_reason" in one:
            missing.append(one["name"])
        for fault in one.get("vulns", ()):
            mended = ", ".join(fault["fix_versions"]) or "no version"
            found.append(f"{one['name']} {one['version']}: {fault['id']}, mended in {mended}")
    return found, missing


def records(place: Path) -> Iterator[dict[str, Any]]:
    """Return the OSV records of an archive, a folder or a file.

    Raises
    ------
    SystemExit
        If there is none: an empty list would look like a clean bill.
    """
    count = 0
    for text in _texts(place):
        record = json.loads(text)
        count += 1
        yield record
    if not count:
        sys.stderr.write(f"{place} holds no OSV record\n")
        raise SystemExit(_UNKNOWN)


def _texts(place: Path) -> Iterator[str]:
    if place.is_dir():
        for path in sorted(place.rglob("*.json")):
            yield path.read_text(encoding="utf-8")
    elif place.suffix == ".zip":
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield archive.read(name).decode("utf-8")
    elif place.is_file():
        yield place.read_text(encoding="utf-8")


def look_up(packages: dict[str, Version], advisories: Iterator[dict[str, Any]]) -> list[str]:
    """Return a line for each advisory that fits a pinned version."""
    found = []
    for record in advisories:
        if "withdrawn" in record:
            continue
        for affected in record.get("affected", ()):
            package = affected.get("package", {})
            name = canonicalize_name(package.get("name", ""))
            if package.get("ecosystem") == "PyPI" and name in packages:
                version = packages[name]
                if is_affected(version, affected):
                    aliases = ", ".join(record.get("aliases", ())) or "no other name"
                    found.append(f"{name} {version}: {record['id']} ({aliases})")
    return sorted(set(found))


def is_affected(version: Version, affected: dict[str, Any]) -> bool:
    """Return whether a version is one of those that an OSV record names (OSV schema 1.6)."""
    if any(_version(text) == version for text in affected.get("versions", ())):
        return True
    return any(
        _within(version, span.get("events", ()))
        for span in affected.get("ranges", ())
        if span.get("type") == "ECOSYSTEM"
    )


def _within(version: Version, events: list[dict[str, str]]) -> bool:
    inside = False
    for event in sorted(events, key=lambda one: _version(next(iter(one.values())))):
        (kind, text) = next(iter(event.items()))
        at = _version(text)
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")


if __name__ == "__main__":
    sys.exit(main())
