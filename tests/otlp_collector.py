"""A collector of OpenTelemetry for tests: takes traces over HTTP and holds them to the mapping.

The rules are those of the OTLP specification, "JSON Protobuf Encoding", and of trace.proto:
identifiers in hexadecimal digits, 64-bit numbers as text, enumerations as numbers; no other field.
"""

import http.server
import json
import re
from contextlib import contextmanager

from served import served

_SPAN = {
    *("traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano"),
    *("endTimeUnixNano", "attributes", "status"),
}
_VALUES = {"stringValue": str, "intValue": str}


def check_attributes(attributes):
    """Hold key-value pairs to common.proto."""
    for one in attributes:
        assert set(one) == {"key", "value"}
        ((kind, value),) = one["value"].items()
        assert isinstance(value, _VALUES[kind])
        assert kind != "intValue" or re.fullmatch(r"-?\d+", value)
    keys = [one["key"] for one in attributes]
    assert len(set(keys)) == len(keys)


def check_span(span):
    """Hold a span to trace.proto."""
    assert set(span) <= _SPAN
    assert re.fullmatch(r"(?!0+$)[0-9a-f]{32}", span["traceId"])
    assert re.fullmatch(r"(?!0+$)[0-9a-f]{16}", span["spanId"])
    assert re.fullmatch(r"[0-9a-f]{16}", span.get("parentSpanId", "0" * 16))
    assert span["name"]
    assert span["kind"] in range(1, 6)
    times = [span[key] for key in ("startTimeUnixNano", "endTimeUnixNano")]
    assert all(isinstance(one, str) and re.fullmatch(r"\d{19}", one) for one in times)
    assert int(times[0]) <= int(times[1])
    assert span["status"]["code"] in range(3)
    check_attributes(span["attributes"])


def spans_of(document):
    """Return the spans of a request after all of it has been checked."""
    assert set(document) == {"resourceSpans"}
    (resource,) = document["resourceSpans"]
    assert set(resource) == {"resource", "scopeSpans"}
    check_attributes(resource["resource"]["attributes"])
    (scope,) = resource["scopeSpans"]
    assert set(scope) == {"scope", "spans"}
    assert set(scope["scope"]) == {"name", "version"}
    for span in scope["spans"]:
        check_span(span)
    known = [span["spanId"] for span in scope["spans"]]
    assert len(set(known)) == len(known)
    assert {span["parentSpanId"] for span in scope["spans"] if "parentSpanId" in span} <= {*known}
    return scope["spans"]


class Collector:
    """Keeps the spans of every request, and answers with the status that is set."""

    def __init__(self):
        self.status, self.spans, self.texts, self.faults, self.headers = 200, [], [], [], []

    def take(self, handler):
        """Read and check one request; return the status of the answer."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.headers.append(dict(handler.headers))
        try:
            assert handler.path == "/v1/traces"
            assert handler.headers["Content-Type"] == "application/json"
            spans = spans_of(json.loads(body))
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            self.faults.append(error)
            return 400
        if self.status == 200:
            self.spans += spans
            self.texts.append(body.decode())
        return self.status

    @contextmanager
    def listening(self):
        """Give the base address."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.send_response(outer.take(self))
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
            yield f"http://127.0.0.1:{server.server_address[1]}"
