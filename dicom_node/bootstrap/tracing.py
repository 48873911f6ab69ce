"""Traces, put together from the settings."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dicom_node.jobs.documents import Documents
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.trace_ledger import TraceLedger
from dicom_node.observe.trace_courier import TraceCourier
from dicom_node.settings.schema import Settings
from dicom_node.web_service import Secret, WebService
from pipeline import __version__


def trace_courier(
    settings: Settings, ledger: Ledger, clock: Callable[[], datetime]
) -> TraceCourier | None:
    """Return who sends traces, None if the site wants none."""
    wanted = settings.tracing
    if not wanted.otlp_url:
        return None
    return TraceCourier(
        ledger=TraceLedger(ledger.database),
        documents=Documents(ledger.database),
        collector=WebService(
            name="collector",
            url=wanted.otlp_url,
            secret=Secret(file=Path(wanted.secret_file)) if wanted.secret_file else None,
            trusted=Path(wanted.trusted) if wanted.trusted else None,
            response_timeout_s=10.0,
        ),
        node=settings.node.ae_title,
        version=__version__,
        clock=clock,
    )
