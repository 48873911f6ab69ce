"""A campaign in words: `docs/fuzz/report.md` is one."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fuzz.edges import ROOT

_WHAT = {
    "header": "header scanner of the receiver, four transfer syntaxes",
    "custody": "the door of custody: instance to spool",
    "file_meta": "file meta information",
    "reader": "the worker's reader, plain pixels",
    "pixels": "the worker's reader, JPEG 2000, JPEG-LS and RLE",
    "identity": "whom to ask for, read from an image in custody",
    "settings": "`node.toml`",
    "cards": "cards of model bundles",
    "stow_answer": "answers to STOW-RS, as text",
    "mail": "answers of a mail server, with log-in and STARTTLS",
    "web_service": "HTTP of DICOMweb servers and webhooks that the node calls",
    "commitment": "requests and reports of storage commitment, as data sets",
    "found": "answers to C-FIND, as data sets",
    "peer": "PDUs of a peer that the node calls: C-ECHO, C-STORE, C-FIND, C-MOVE, C-GET, N-ACTION",
    "workitem": "workitems of UPS-RS",
    "multipart": "multipart answers of WADO-RS",
    "native_xml": "answers to STOW-RS as XML",
    "audit": "audit messages and syslog frames with hostile titles and addresses",
    "log_lines": "log lines with hostile fields",
    "stream": "reader of storage requests, against pynetdicom's",
    "dicom": "the DICOM listener: PDUs, commands, data sets",
    "dicom_library": "the same where the library reads storage requests",
    "hello": "TLS records and handshakes, at the listener's own context",
    "tls": "the TLS listener: raw records, and PDUs within TLS",
    "tls_library": "the same where the library reads storage requests",
    "http": "the HTTP port",
    "web": "paths, queries and headers, at the web application",
    "forms": "forms of the pages, sent by an administrator who is logged in",
}

_NUMBERS = ("Cases", "Failures", "Crashes", "Steps seen", "Worst MB", "Grown MB", "Seconds")

_RESEARCH = "RESEARCH USE ONLY: ichnode is not a medical device."

_LEGEND = """\
Cases: good inputs, the corpus and mutations of both. A failure is anything but the parser's own
refusal, a death of a thread, a case of more than 10 s, a log line that a sender began. Steps seen:
transitions between lines of our own parser that were reached; inputs that reach a new one are
mutated further. Worst MB: highest peak of resident memory of twenty cases in a row above what was
there before. Grown MB: what the process has more in use at the end than after the good inputs
(what the allocator keeps of pages that big cases touched is given back before it is read). Seconds
include the start.""".splitlines()


def conditions(*, seed: int) -> dict[str, Any]:
    """Return when, where and with what a campaign runs."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else "unknown processor"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip() or "unknown",
        "seed": seed,
        "hardware": f"{model}, {os.cpu_count()} cores, one for each process",
        "python": platform.python_version(),
    }


def merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one report of campaigns that ran side by side, inputs of failures by their names."""
    rows = [row for report in reports for row in report["targets"]]
    for row in rows:
        row["failures"] = {what: Path(place).name for what, place in row["failures"].items()}
    order = list(_WHAT)
    commits = dict.fromkeys(report["commit"] for report in reports)
    return {
        **reports[0],
        "commit": "`, `".join(commits),
        "targets": sorted(rows, key=lambda row: order.index(row["target"])),
    }


def as_markdown(facts: dict[str, Any]) -> str:
    """Return the report as a page."""
    rows = facts["targets"]
    total = sum(row["cases"] for row in rows)
    deaths = sum(row["deaths"] for row in rows)
    hangs = sum("HangError" in what for row in rows for what in row["failures"])
    kinds = sum(len(row["failures"]) for row in rows)
    worst = max(row["worst_mb"] for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    conditions_of_it = (
        f"{facts['date']}, commit `{facts['commit']}`, seed {facts['seed']}, {facts['hardware']}, "
        f"Python {facts['python']}. Written by `make fuzz`."
    )
    outcome = (
        f"**{total:,} cases, {kinds} kinds of failure, {deaths} crashes of a process, {hangs} "
        f"hangs; most memory {worst:,.0f} MB; {seconds / 60:,.0f} minutes.**"
    )
    columns = ("Target", "What is attacked", *_NUMBERS)
    head = "# Damaged and hostile input: a long campaign"
    lines = [head, "", _RESEARCH, "", conditions_of_it, "", outcome, ""]
    lines += [f"| {' | '.join(columns)} |", f"| --- | --- |{' ---: |' * len(_NUMBERS)}"]
    lines += [
        f"| {row['target']} | {_WHAT[row['target']]} | {row['cases']:,} | {len(row['failures'])} "
        f"| {row['deaths']} | {row['edges'] or ''} | {row['worst_mb']:,.1f} "
        f"| {row['grown_mb']:,.1f} | {row['seconds']:,.0f} |"
        for row in rows
    ]
    lines += ["", *_LEGEND]
    broken = [(row["target"], what) for row in rows for what in row["failures"]]
    if broken:
        lines += ["", "## Failures", "", "As they were found; what has become of them stands in"]
        lines += ["[findings](findings.md).", ""]
        lines += [f"- {target}: `{what}`" for target, what in broken]
    return "\n".join(lines) + "\n"
