"""Targets that read what people and servers write: settings, answers, reports of commitment."""

import contextlib
import tempfile
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random

from fuzz.campaign import Target
from fuzz.edges import ROOT
from fuzz.mutation import blind, elements, tokens
from node_builders import encoded
from pynetdicom.dsutils import decode as decode_data_set

from dicom_node.association.commitment import decode_report, decode_request, encode_report
from dicom_node.association.commitment_terms import CommitmentReport, Reference
from dicom_node.association.storage_scu import OutgoingFile
from dicom_node.delivery.stow_answer import outcomes
from dicom_node.errors import UnreadableCommitmentError
from dicom_node.settings.file import SettingsError, load_settings

_TOML = tokens(
    (
        b"[", b"]]", b"[[peers]]\n", b"[node]\n", b'"', b'"""', b"'", b"=", b"\n", b"{", b"}",
        b"callers = [{}]", b"a.b.c = 1\n", b"nan", b"inf", b"-1", b"1e999", b"0x7fffffffffffffff",
        b"9999999999999999999999", b"2026-01-01T00:00:00Z", b"true", b"\\u0000", b"\xed\xa0\x80",
        b"[" * 500, b'pattern = "(a+)+$"', b'pattern = "("', b'host = "\\n"', b'"::1"',
    )
)  # fmt: skip
_JSON = tokens(
    (
        b"[", b"{", b"}", b"]", b'"', b",", b":", b"null", b"NaN", b"1e999", b"[" * 5000,
        b'"00081198"', b'"00081199"', b'"Value"', b'{"Value":[1]}', b"-1", b"9" * 5000,
    )
)  # fmt: skip

_UIDS = ("1.2.3.1", "1.2.3.2")


def _settings(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(SettingsError):
            load_settings(Path(file.name), {"ICHNODE_DATA_DIR": "/nowhere"})


def _lines(data: bytes, random: Random) -> bytes:
    """Change one line of a text: its value, its place, or whether there is one."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    key, equals, value = lines[at].partition(b" = ")
    match random.randrange(5):
        case 0:
            lines[at] = key + equals + random.choice(lines).rpartition(b" = ")[2]
        case 1:
            del lines[at]
        case 2:
            lines.insert(random.randrange(len(lines) + 1), lines[at])
        case 3:
            lines[at] = key + equals + blind(value, random)
        case _:
            lines[at] = lines[at].removeprefix(b"# ")
    return b"\n".join(lines)


def _stow_answer(data: bytes) -> None:
    files = [
        OutgoingFile(
            path=Path("x"),
            sop_class_uid="1.2.3",
            sop_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
        )
        for uid in _UIDS
    ]
    fates = outcomes("vna", files, status=200 if len(data) % 2 else 409, body=data)
    assert [fate.file for fate in fates] == files
    assert all(len(fate.message) < 200 for fate in fates)


@cache
def _report() -> bytes:
    report = CommitmentReport(
        transaction_uid="1.2.3.9",
        committed=(Reference(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.1"),),
        failed=((Reference(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.2"), 0x0112),),
    )
    return encoded(encode_report(report))


def _commitment(data: bytes) -> None:
    try:
        information = decode_data_set(BytesIO(data), False, True)  # as the services do
    except Exception:  # noqa: BLE001 - pynetdicom's part; answered with "processing failure"
        return
    for decode in (decode_report, decode_request):
        with contextlib.suppress(UnreadableCommitmentError):
            decode(information)


def targets() -> list[Target]:
    """Return the targets of this module."""
    answer = (
        b'{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.3.1"]}}]},'
        b'"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.3.2"]},'
        b'"00081197":{"vr":"US","Value":[272]}}]}}'
    )
    return [
        Target(
            name="settings",
            seeds=[(ROOT / "config" / "node.toml").read_bytes(), *_sections()],
            check=_settings,
            mutations=(_lines, _lines, _TOML, blind),
            watched=("dicom_node/settings",),
        ),
        Target(
            name="stow_answer",
            seeds=[answer, b"[" + answer + b"]"],
            check=_stow_answer,
            mutations=(_JSON, blind),
            watched=("dicom_node/delivery/stow_answer.py",),
        ),
        Target(
            name="commitment",
            seeds=[_report()],
            check=_commitment,
            mutations=(elements, blind),
            watched=("dicom_node/association/commitment.py",),
        ),
    ]


def _sections() -> list[bytes]:
    """Return small settings, which are quick to read."""
    return [
        b'[node]\nport = 104\ncallers = ["A", { ae_title = "CT1", may = ["echo"] }]\n',
        b'[[peers]]\nname = "p"\nae_title = "P"\nhost = "h"\nport = 104\nreceives = "sender"\n',
        b'[[web_peers]]\nname = "vna"\nurl = "https://vna.example/dicom-web"\nuser = ""\n',
        b'[selection]\nexclude = [{ attribute = "image_type", pattern = "A|B" }]\n',
        b'[alerts]\nwebhook_url = "https://x.example/h"\n',
        b'[alerts]\nsilence = [{ caller = "CT1", hours = 2.0, from_hour = 7, to_hour = 20 }]\n',
    ]
