"""Disturbs a node at every moment of its work: python -m tests.faults [--short | --kills N].

The long form strikes at every moment with SIGKILL, power cut, full disk and busy ledger, tears the
line, turns the clock back and forth, and then lets two nodes work on one ledger and kills them by
chance until there were N kills. With --only WORD... only steps of the history are struck at whose
names hold one of these words. The report is faults.json and faults.txt; the exit status is 1 if
anything was lost, doubled, stuck or wrong.

--peers N kills this node's receiver and Orthanc N times each while dcmtk sends images to them, and
cuts the power of each a third as often (strace tells what was synced); the report is peers.json.

--processes N kills the four processes of a whole node N times, while images come and results go;
the report is processes.json.

--ledger postgresql puts the ledgers onto a PostgreSQL server of the campaign's own; --processes
then takes that server away in its turn, too.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.campaign import KINDS, Campaign, Report, Strike, long, short, timed
from faults.ledgers import Databases, Files
from faults.peers import compare, systems_below
from faults.processes import kill_processes
from faults.stage import FILES
from postgresql_cluster import running_cluster

ROOT = Path(__file__).parents[2]

#: Images per kill.
_IMAGES = 20


def main() -> None:
    """Run a campaign and write its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="make faults")
    parser.add_argument("--short", action="store_true", help="every kind of moment once")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="steps with one of these words"
    )
    parser.add_argument("--peers", type=int, default=0, metavar="N", help="beside Orthanc")
    parser.add_argument("--processes", type=int, default=0, metavar="N", help="of a whole node")
    parser.add_argument("--ledger", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--output", type=Path, default=ROOT / "faults-output")
    parser.add_argument(
        "--folder", type=Path, help="where nodes are put up; in memory it is quicker: /dev/shm"
    )
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.peers:
        beside_peers(arguments.peers, arguments.seed, arguments.output)
        return
    ledgers = FILES if arguments.ledger == "sqlite" else Databases(running_cluster())
    if arguments.processes:
        sys.exit(whole_node(arguments.processes, arguments.seed, arguments.output, ledgers))
    logging.disable(logging.CRITICAL)  # what a node says when it is struck would be pages
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        campaign = Campaign(
            Path(folder).resolve(),
            seed=arguments.seed,
            only=arguments.only,
            ledgers=ledgers,
        )
        on_strike = partial(told, campaign.report, arguments.output, time.monotonic())
        work = partial(
            *((short, campaign) if arguments.short else (long, campaign)),
            **({} if arguments.short else {"kills": arguments.kills, "on_strike": on_strike}),
        )
        timed(campaign.report, work)
    text = written(campaign.report, arguments.output)
    sys.stdout.write(text)
    sys.exit(any(strike.violations for strike in campaign.report.strikes))


def beside_peers(kills: int, seed: int, output: Path) -> None:
    """Kill this node and Orthanc side by side; write down what each lost."""
    done: dict[str, list[dict[str, object]]] = {}
    for name, number in (("SIGKILL", kills), ("power cut", max(1, kills // 3))):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            tallies = compare(
                systems_below(root),
                root,
                kills=number,
                images=_IMAGES,
                seed=seed,
                power_cut=name != "SIGKILL",
            )
        done[name] = [asdict(one) for one in tallies]
        (output / "peers.json").write_text(json.dumps(done, indent=1) + "\n")
        for one in tallies:
            sys.stdout.write(f"{name}: {one}\n")
        sys.stdout.flush()


def whole_node(kills: int, seed: int, output: Path, ledgers: Files) -> int:
    """Kill the processes of one node; write down what came of it, return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_processes(Path(folder).resolve(), kills=kills, seed=seed, ledgers=ledgers)
    text = json.dumps(asdict(outcome), indent=1) + "\n"
    (output / "processes.json").write_text(text)
    sys.stdout.write(text)
    return int(bool(outcome.violations))


def told(report: Report, output: Path, begun: float, strike: Strike) -> None:
    """Keep the report up to date while the campaign runs; show a strike that did harm."""
    report.seconds = time.monotonic() - begun
    written(report, output)
    for text in strike.violations:
        sys.stdout.write(f"{strike.step}, {strike.fault} at {strike.moment}: {text}\n")
    sys.stdout.flush()


def written(report: Report, output: Path) -> str:
    """Write the report and return it as text."""
    facts = report.facts()
    (output / "faults.json").write_text(json.dumps(facts, indent=1) + "\n")
    lines = [
        f"strikes   {facts['strikes']}",
        f"kills     {facts['kills']}",
        *(f"  {name:<20} {number}" for name, number in sorted(report.per_fault.items())),
        *(f"{kind:<9} {facts[kind]}" for kind in KINDS),
        f"repeats   {facts['repeats']} (the same object again, which an archive keeps once)",
        f"restarts  {report.crashes} (processes that ended by an exception)",
        f"moments   {len(report.moments)} kinds",
        f"seconds   {facts['seconds']}",
    ]
    text = "\n".join(lines) + "\n"
    (output / "faults.txt").write_text(text)
    return text


if __name__ == "__main__":
    main()
