"""The long form: ``python -m tests.fuzz --cases 100000``; `make fuzz` calls it.

Every target runs in a process of its own, so that a decoder that crashes is a finding and not the
end: the case in hand is kept, and a new process goes on. What breaks is kept below ``--output``,
with a report; put a file of it into the corpus once its fault is mended.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.campaign import attack, keep, limit_memory, peak_mb
from fuzz.everything import NAMES, all_targets

_MOST_DEATHS = 50


def main() -> int:
    """Run the campaign; return 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(NAMES)}; default all")
    parser.add_argument("--cases", type=int, default=10_000, help="of each target")
    parser.add_argument("--minutes", type=float, default=1e6, help="most for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("fuzz-output"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _attack_one(arguments)
        return 0
    names = arguments.targets or NAMES
    rows = [_campaign(name, arguments) for name in names]
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "report.json").write_text(json.dumps(rows, indent=1) + "\n")
    total = sum(row["cases"] for row in rows)
    broken = [f"{row['target']}: {what}" for row in rows for what in row["failures"]]
    print(f"{total} cases, {len(broken)} kinds of failure", *broken, sep="\n  ")
    return 1 if broken else 0


def _campaign(name: str, arguments: argparse.Namespace) -> dict:
    """Run one target, again after every death of its process; return a row of the report."""
    row = {"target": name, "cases": 0, "failures": {}, "edges": 0, "new": 0, "peak_mb": 0.0}
    started, seed, deaths = time.monotonic(), arguments.seed, 0
    while row["cases"] < arguments.cases and deaths < _MOST_DEATHS:
        left_minutes = arguments.minutes - (time.monotonic() - started) / 60
        if left_minutes <= 0:
            break
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", "--child", name]
        command += ["--cases", str(arguments.cases - row["cases"]), "--seed", str(seed)]
        command += ["--minutes", str(left_minutes), "--output", str(arguments.output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told = json.loads(done.stdout or "null")
        if done.returncode == 0:
            row["cases"] += told["cases"]
            row["failures"] |= told["failures"]
            row |= {key: max(row[key], told[key]) for key in ("edges", "peak_mb")}
            row["new"] += told["new"]
            break
        deaths, seed = deaths + 1, seed + 1000
        number, data = _in_hand(arguments.output, name)
        row["cases"] += number
        what = _death(done.returncode, done.stderr)
        row["failures"][what] = str(keep(arguments.output / "failures" / name, data))
    row["seconds"] = round(time.monotonic() - started, 1)
    failures = len(row["failures"])
    print(f"{name}: {row['cases']} cases in {row['seconds']} s, {failures} failures", flush=True)
    return row


def _death(code: int, stderr: str) -> str:
    """Return how a process died, and in which function of ours."""
    places = [line.strip() for line in stderr.splitlines() if line.strip().startswith("File ")]
    return f"process died with {code} in {places[0] if places else stderr[-200:]}"


def _attack_one(arguments: argparse.Namespace) -> None:
    """Run one target in this process; print a row of the report."""
    (target,) = (one for one in all_targets() if one.name == arguments.targets[0])
    arguments.output.mkdir(parents=True, exist_ok=True)
    place = _place(arguments.output, target.name)
    limit_memory()

    def before_case(number: int, data: bytes) -> None:
        place.write_bytes(number.to_bytes(8, "little") + data)

    outcome = attack(
        target,
        cases=arguments.cases,
        seed=arguments.seed,
        deadline=time.monotonic() + arguments.minutes * 60,
        before_case=before_case,
    )
    for data in outcome.interesting:
        keep(arguments.output / "interesting" / target.name, data)
    kept = {
        what: str(keep(arguments.output / "failures" / target.name, failure.data))
        for what, failure in outcome.failures.items()
    }
    row = {"cases": outcome.cases, "failures": kept, "edges": outcome.edges}
    print(json.dumps(row | {"new": len(outcome.interesting), "peak_mb": round(peak_mb())}))


def _place(output: Path, name: str) -> Path:
    return output / f"in-hand-{name}.bin"


def _in_hand(output: Path, name: str) -> tuple[int, bytes]:
    """Return number and input of the case at which a process died."""
    path = _place(output, name)
    if not path.exists():
        return 0, b""
    content = path.read_bytes()
    return int.from_bytes(content[:8], "little"), content[8:]


if __name__ == "__main__":
    sys.exit(main())
