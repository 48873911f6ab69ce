"""What machines ask for: whether the node lives, whether it can work, its metrics."""

from collections.abc import Callable
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from dicom_node.errors import LedgerError
from dicom_node.observe.metrics import CONTENT_TYPE
from dicom_node.web.door import Door
from dicom_node.web.source import StatusSource

_GOOD, _BAD = 200, 503


def add_probes(
    door: Door, source: StatusSource, *, metrics: Callable[[], bytes] | None = None
) -> None:
    """Add ``/health``, ``/ready`` and, if there are any, ``/metrics``.

    ``/health`` is for whoever restarts what is dead: it answers 503 only if the ledger cannot be
    read, because a full disk or a dead worker is not mended by a restart of the office. ``/ready``
    is for whoever must know whether images can be sent: it answers 503 with every reason why not.
    """

    @door.probe("/health")
    def health() -> JSONResponse:
        """Tell whether the node lives."""
        try:
            facts: dict[str, Any] = {"alive": True, **source.health().as_dict()}
        except LedgerError as error:
            return JSONResponse({"alive": False, "reasons": [str(error)]}, status_code=_BAD)
        return JSONResponse(facts)

    @door.probe("/ready")
    def ready() -> JSONResponse:
        """Tell whether images that are sent now will be taken and analysed."""
        try:
            health = source.health()
        except LedgerError as error:
            return JSONResponse({"ready": False, "reasons": [str(error)]}, status_code=_BAD)
        answer = {
            "ready": health.healthy,
            "reasons": list(health.faults),
            "warnings": list(health.warnings),
            "version": health.version,
        }
        return JSONResponse(answer, status_code=_GOOD if health.healthy else _BAD)

    if metrics is None:
        return

    @door.probe("/metrics")
    def exposition() -> Response:
        """Return the metrics as Prometheus reads them."""
        return Response(metrics(), media_type=CONTENT_TYPE)
