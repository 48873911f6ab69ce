"""The long form: ``python -m tests.fuzz --cases 100000``; `make fuzz` calls it.

Every target runs in a process of its own, which tries thousands of cases: a decoder that crashes,
or never comes back, is a finding and not the end. The case in hand is kept, and a new process goes
on. What breaks is kept below ``--output``, with a report; put a file of it into the corpus once
its fault is mended.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.campaign import keep
from fuzz.everything import NAMES, shared_out, target_named
from fuzz.in_hand import InHand
from fuzz.report import as_markdown, conditions, merged

_MOST_DEATHS = 50

#: Nothing but C code that never returns keeps a process at one case for so long: the alarm of
#: `campaign` ends everything else.
_STUCK_S = 120.0
_LOOK_S = 1.0


def main() -> int:
    """Run the campaign; return 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(NAMES)}; default all")
    parser.add_argument(
        "--cases", type=int, default=10_000, help="of all targets; quick ones get more"
    )
    parser.add_argument("--minutes", type=float, default=1e6, help="most for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("fuzz-output"))
    parser.add_argument(
        "--merge", type=Path, nargs="+", help="report.json of campaigns that shared the targets"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.targets) - set(NAMES)):
        parser.error(f"no target is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if arguments.merge:
        facts = merged([json.loads(path.read_text(encoding="utf-8")) for path in arguments.merge])
        _write_report(facts, arguments.output)
        return 0
    if arguments.child:
        _attack_one(arguments)
        return 0
    rows = []
    for name, cases in shared_out(arguments.cases, arguments.targets or NAMES).items():
        rows.append(_campaign(name, cases, arguments))
        _write_report({**conditions(seed=arguments.seed), "targets": rows}, arguments.output)
    total = sum(row["cases"] for row in rows)
    broken = [f"{row['target']}: {what}" for row in rows for what in row["failures"]]
    print(f"{total} cases, {len(broken)} kinds of failure", *broken, sep="\n  ")
    return 1 if broken else 0


def _write_report(facts: dict, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (output / "report.md").write_text(as_markdown(facts), encoding="utf-8")


def _campaign(name: str, cases: int, arguments: argparse.Namespace) -> dict:
    """Run one target, again after every death of its process; return a row of the report."""
    row = {"target": name, "cases": 0, "failures": {}, "deaths": 0, "edges": 0, "new": 0}
    row |= {"worst_mb": 0.0, "grown_mb": 0.0}
    started, seed = time.monotonic(), arguments.seed
    while row["cases"] < cases and row["deaths"] < _MOST_DEATHS:
        left_minutes = arguments.minutes - (time.monotonic() - started) / 60
        if left_minutes <= 0:
            break
        in_hand = InHand.fresh(_place(arguments.output, name))
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", "--child", name]
        command += ["--cases", str(cases - row["cases"]), "--seed", str(seed)]
        command += ["--minutes", str(left_minutes), "--output", str(arguments.output)]
        code, told, complaint = _watched(command, in_hand)
        if code == 0:
            result = json.loads(told)
            row["cases"] += result["cases"]
            row["failures"] |= result["failures"]
            row["new"] += result["new"]
            for key in ("edges", "worst_mb", "grown_mb"):
                row[key] = max(row[key], result[key])
            break
        if not in_hand.cases:
            raise RuntimeError(f"Target {name} does not begin:\n{complaint[-2000:]}")
        row["deaths"], seed = row["deaths"] + 1, seed + 1000
        row["cases"] += in_hand.cases
        what = _death(code, complaint)
        row["failures"][what] = str(keep(arguments.output / "failures" / name, in_hand.data))
    row["seconds"] = round(time.monotonic() - started, 1)
    failures = len(row["failures"])
    print(f"{name}: {row['cases']} cases in {row['seconds']} s, {failures} failures", flush=True)
    return row


def _watched(command: list[str], in_hand: InHand) -> tuple[int, str, str]:
    """Run a process to its end, or until it has been at one case for too long."""
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as complaint:
        process = subprocess.Popen(command, stdout=told, stderr=complaint)
        at, since = -1, time.monotonic()
        while True:
            try:
                process.wait(_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if in_hand.cases != at:
                    at, since = in_hand.cases, now
                elif at > 0 and now - since > _STUCK_S:
                    process.kill()
        told.seek(0)
        complaint.seek(0)
        return process.returncode, told.read(), complaint.read()


def _death(code: int, stderr: str) -> str:
    """Return how a process died, and in which function of ours."""
    places = [line.strip() for line in stderr.splitlines() if line.strip().startswith("File ")]
    return f"process died with {code} in {places[0] if places else stderr[-200:]}"


def _attack_one(arguments: argparse.Namespace) -> None:
    """Run one target in this process; print a row of the report."""
    from fuzz.campaign import attack
    from fuzz.log_watch import watch_logs
    from fuzz.memory import limit_memory

    target = target_named(arguments.targets[0])
    in_hand = InHand(_place(arguments.output, target.name))
    watch_logs()
    limit_memory()
    outcome = attack(
        target,
        cases=arguments.cases,
        seed=arguments.seed,
        deadline=time.monotonic() + arguments.minutes * 60,
        before_case=in_hand.put,
    )
    for data in outcome.interesting:
        keep(arguments.output / "interesting" / target.name, data)
    kept = {
        what: str(keep(arguments.output / "failures" / target.name, failure.data))
        for what, failure in outcome.failures.items()
    }
    row = {"cases": outcome.cases, "failures": kept, "edges": outcome.edges}
    row |= {"worst_mb": outcome.worst_mb, "grown_mb": outcome.grown_mb}
    print(json.dumps(row | {"new": len(outcome.interesting)}))


def _place(output: Path, name: str) -> Path:
    return output / f"in-hand-{name}.bin"


if __name__ == "__main__":
    sys.exit(main())
