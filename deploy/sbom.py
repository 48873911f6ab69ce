"""Write the software bill of materials of this environment: CycloneDX 1.6 as JSON.

``make sbom`` calls it. The inventory is that of cyclonedx-py; here it is given the node as its
main component, loses paths of this machine, and tells what the node runs on (required) from the
tools of its developers (excluded). It is validated against the schema before it is written.
"""

import argparse
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME = "ichnode"
_LOCAL = "file:"


def main() -> int:
    """Write the bill; return 1 if it is not valid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("sbom.cdx.json"))
    arguments = parser.parse_args()
    bill = with_main_component(inventory(), runtime_packages())
    text = json.dumps(bill, indent=1, sort_keys=True) + "\n"
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.stderr.write(f"The bill of materials is not valid: {fault}\n")
        return 1
    arguments.output.write_text(text, encoding="utf-8")
    kinds = [part["scope"] for part in bill["components"]]
    sys.stdout.write(
        f"{arguments.output}: {kinds.count('required')} components that the node runs on, "
        f"{kinds.count('excluded')} tools of its developers\n"
    )
    return 0


def inventory() -> dict[str, Any]:
    """Return what is installed beside this interpreter, in CycloneDX."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--spec-version", "1.6"]
    command += ["--output-reproducible", "--output-format", "JSON", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def runtime_packages(root: str = NAME) -> frozenset[str]:
    """Return the packages that the node needs, and those that they need, without any extra."""
    found: set[str] = set()
    wanted = [canonicalize_name(root)]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            needs = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue
        found.add(name)
        wanted += [
            canonicalize_name(need.name)
            for need in needs
            if need.marker is None or need.marker.evaluate({"extra": ""})
        ]
    return frozenset(found)


def with_main_component(bill: dict[str, Any], runtime: frozenset[str]) -> dict[str, Any]:
    """Return a bill whose subject is the node and whose components say what they are for."""
    parts = [dict(part) for part in bill["components"]]
    (node,) = (part for part in parts if part["name"] == NAME)
    parts.remove(node)
    for part in [node, *parts]:
        if "externalReferences" in part:
            part["externalReferences"] = [
                one for one in part["externalReferences"] if not one["url"].startswith(_LOCAL)
            ]
    for part in parts:
        is_needed = canonicalize_name(part["name"]) in runtime
        part["scope"] = "required" if is_needed else "excluded"
    metadata = {**bill.get("metadata", {}), "component": {**node, "type": "application"}}
    return {**bill, "metadata": metadata, "components": parts}


if __name__ == "__main__":
    sys.exit(main())
