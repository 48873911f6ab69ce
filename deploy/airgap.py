"""Make a bundle that installs the node on a machine without a network.

Run it where package registries can be reached, with the Python version and on the kind of machine
that the bundle is for (wheels are made for both):

    python deploy/airgap.py --output ichnode-airgap

The folder then holds every wheel (the node's own too), the template of its settings, systemd
units, further models, checksums, and ``install.sh``, which asks no network for anything.
"""

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Where PyTorch's builds without CUDA lie; the registry's own need three gigabytes more.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

#: What the node's wheel is built from, as in the Dockerfile.
SOURCES = (
    *("setup.cfg", "pyproject.toml", "README.md", "LICENSE"),
    *("config", "pipeline", "dicom_node", "training"),
)

#: What lies beside the wheels, from the checkout.
COMPANIONS = (
    *("deploy/constraints.txt", "deploy/systemd", "deploy/ichnode-command"),
    *("docs/deployment.md", "config/node.toml"),
)

SUMS = "SHA256SUMS"
_TORCH = ("torch", "torchvision")
_CHUNK = 1 << 20


def main() -> int:
    """Make the bundle and say how large it is."""
    arguments = _arguments()
    output: Path = arguments.output
    wheels = output / "wheels"
    try:
        wheels.mkdir(parents=True)
    except FileExistsError:
        sys.stderr.write(f"{output} is there already; name a folder that is not\n")
        return 1
    steps = 4
    _say(1, steps, f"wheels for Python {python_tag()} on {platform.machine()}")
    index = arguments.torch_index or (CPU_INDEX if arguments.device == "cpu" else "")
    with tempfile.TemporaryDirectory() as name:
        source = copied_source(Path(name))
        for command in wheel_commands(source, wheels, torch_index=index, extras=arguments.extras):
            subprocess.run(command, check=True)  # noqa: S603 - pip, with the options above
    _say(2, steps, "models, settings and units")
    add_companions(output, arguments.bundle)
    _say(3, steps, "install.sh")
    write_installer(output, extras=arguments.extras, device=arguments.device)
    _say(4, steps, "checksums")
    count, size = write_sums(output)
    sys.stdout.write(f"{output}: {count} files, {size / 1e9:.2f} GB\n")
    return 0


def python_tag() -> str:
    """Return the version of Python that the wheels are for, as X.Y."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def copied_source(folder: Path) -> Path:
    """Copy what the wheel is built from, so that no older build in the checkout gets into it."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def wheel_commands(
    source: Path, wheels: Path, *, torch_index: str, extras: Sequence[str] = ()
) -> list[list[str]]:
    """Return the calls of pip that fill the folder of wheels.

    With an index for PyTorch its packages are taken from there first; the constraints hold for
    both calls, and ``2.14.1`` is fulfilled by ``2.14.1+cpu``.
    """
    constraints = ROOT / "deploy" / "constraints.txt"
    pip = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check"]
    pip += ["--wheel-dir", str(wheels), "--constraint", str(constraints)]
    node = f"{source}[{','.join(extras)}]" if extras else str(source)
    if not torch_index:
        return [[*pip, node]]
    return [
        [*pip, "--index-url", torch_index, *_TORCH],
        [*pip, "--find-links", str(wheels), "--extra-index-url", torch_index, node],
    ]


def add_companions(output: Path, bundles: Iterable[Path]) -> None:
    """Copy what the node needs beside its wheels."""
    for name in COMPANIONS:
        source = ROOT / name
        target = output / source.name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    for bundle in bundles:
        if not (bundle / "card.json").is_file():
            raise SystemExit(f"{bundle} is no model bundle: it has no card.json")
        shutil.copytree(bundle, output / "models" / bundle.name)


def write_installer(output: Path, *, extras: Sequence[str], device: str) -> None:
    """Write ``install.sh`` and what it was made for."""
    facts = {"python": python_tag(), "machine": platform.machine(), "device": device}
    (output / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    template = (ROOT / "deploy" / "airgap_install.sh").read_text(encoding="utf-8")
    node = f"ichnode[{','.join(extras)}]" if extras else "ichnode"
    text = template.replace("@PYTHON@", python_tag()).replace("@NODE@", node)
    script = output / "install.sh"
    script.write_text(text.replace("@MACHINE@", platform.machine()), encoding="utf-8")
    script.chmod(0o755)


def write_sums(output: Path) -> tuple[int, int]:
    """Write the SHA-256 of every file for ``sha256sum -c``; return their number and bytes."""
    files = sorted(path for path in output.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{digest(path)}  {path.relative_to(output).as_posix()}\n" for path in files]
    (output / SUMS).write_text("".join(lines), encoding="utf-8")
    return len(files), sum(path.stat().st_size for path in files)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    sum_so_far = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sum_so_far.update(chunk)
    return sum_so_far.hexdigest()


def _say(step: int, steps: int, what: str) -> None:
    sys.stdout.write(f"[{step}/{steps}] {what}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cuda: the registry's PyTorch, which also runs without a GPU; cpu: the small one",
    )
    parser.add_argument("--torch-index", default="", help="another index for PyTorch's packages")
    parser.add_argument(
        "--bundle", type=Path, action="append", default=[], help="further model; repeatable"
    )
    parser.add_argument(
        "--extras", nargs="*", default=[], help="extras of setup.cfg, for example: mamba"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
