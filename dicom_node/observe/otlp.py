"""The way of a job as a trace: spans by the JSON mapping of the OpenTelemetry Protocol (OTLP 1.x).

Nothing of a patient is in it: AE titles, numbers and UIDs, as in the log.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from dicom_node.jobs.timeline import EventKind
from dicom_node.jobs.trace_ledger import EndedJob

#: Where a collector takes traces, below its base address (OTLP/HTTP).
TRACES_PATH: Final = "/v1/traces"

_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")

#: Enumerations are numbers in this mapping.
_INTERNAL, _SERVER = 1, 2
_UNSET, _ERROR = 0, 2

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def trace_id(job: EndedJob) -> str:
    """Return the association of a job, which has the form of a trace id (W3C Trace Context).

    Where it is unknown, or a ledger of old has it in another form, one that is made of what is
    known.
    """
    if _TRACE_ID.fullmatch(job.association_id):
        return job.association_id
    text = job.association_id or f"job {job.job_id} of {job.series_uid}"
    return sha256(text.encode()).hexdigest()[:32]


def export_request(jobs: Sequence[EndedJob], *, node: str, version: str) -> bytes:
    """Return an ExportTraceServiceRequest as JSON.

    Parameters
    ----------
    jobs
        Each becomes a span, and each stretch of its way a span below it. Identifiers of spans are
        made of the job's and of its end, so that what is sent twice is the same twice.
    node
        AE title: the name of the instance.
    version
        Of the node.
    """
    resource = [
        _text("service.name", "ichnode"),
        _text("service.version", version),
        _text("service.instance.id", node),
    ]
    spans = [span for job in jobs for span in _spans(job)]
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": resource},
                "scopeSpans": [{"scope": {"name": "ichnode", "version": version}, "spans": spans}],
            }
        ]
    }
    return json.dumps(document).encode()


def _spans(job: EndedJob) -> list[dict[str, Any]]:
    trace, root = trace_id(job), _span_id(job, "job")
    spans = [
        {
            "traceId": trace,
            "spanId": root,
            "name": job.kind.value,
            "kind": _SERVER,
            **_times(job.begin, job.end),
            "attributes": [
                _number("ichnode.job", job.job_id),
                _number("ichnode.attempts", job.attempts),
                _text("ichnode.outcome", job.outcome.value),
                _text("ichnode.caller", job.caller),
                _text("dicom.series_instance_uid", job.series_uid),
            ],
            "status": _status(job.outcome is not EventKind.FAILED),
        }
    ]
    attempt = root
    for number, one in enumerate(job.stretches):
        own = _span_id(job, f"{number} {one.name}")
        spans.append(
            {
                "traceId": trace,
                "spanId": own,
                "parentSpanId": attempt if one.is_step else root,
                "name": one.name,
                "kind": _INTERNAL,
                **_times(one.begin, one.end),
                "attributes": [],
                "status": _status(one.good),
            }
        )
        attempt = attempt if one.is_step else own
    return spans


def _span_id(job: EndedJob, what: str) -> str:
    return sha256(f"{trace_id(job)} {job.job_id} {job.event_id} {what}".encode()).hexdigest()[:16]


def _times(begin: datetime, end: datetime) -> dict[str, str]:
    """Return nanoseconds since 1970, as text: JSON's numbers are too short for them."""
    return {"startTimeUnixNano": _nanoseconds(begin), "endTimeUnixNano": _nanoseconds(end)}


def _nanoseconds(moment: datetime) -> str:
    since = moment - _EPOCH
    return str((since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000)


def _status(good: bool) -> dict[str, int]:  # noqa: FBT001 - the only argument
    return {"code": _UNSET if good else _ERROR}


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _number(key: str, value: int) -> dict[str, Any]:
    return {"key": key, "value": {"intValue": str(value)}}
