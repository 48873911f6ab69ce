"""A worker's shift: its work as long as the same settings are in force."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from dicom_node.jobs.idle_work import IdleWork
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.wake import Bells
    from dicom_node.jobs.worker import Analyst

#: A mark of work ahead of time that is older is of no use: its series has a job, or gets none.
_OLD_MARK_S = 24 * 3600.0


def work_shift(  # noqa: PLR0913 - as the worker's whole world
    settings: Settings,
    *,
    name: str,
    ledger: "Ledger",
    layout: DataLayout,
    analyst: "Analyst",
    bells: "Bells",
    clock: Callable[[], datetime],
    over: threading.Event,
    settle_in: Callable[[], None],
) -> None:
    """Analyse one job after the other until `over` is set; the one in hand is finished.

    Parameters
    ----------
    settings
        In force.
    name
        Of the worker.
    ledger, layout
        Of the node.
    analyst
        Holds the models of these settings.
    bells
        By which the worker is called, and calls couriers.
    clock
        Returns the present as an aware time.
    over
        Set when the settings have become others, or the process shall end.
    settle_in
        Called by the worker each time before it looks for work.
    """
    from dicom_node.bootstrap.follow_up import planning_rules
    from dicom_node.delivery.outbox import Outbox
    from dicom_node.jobs.wake import Topic
    from dicom_node.jobs.worker import Worker

    with _idle_work(settings, ledger, layout, analyst, clock) as idle:
        worker = Worker(
            name=name,
            queue=ledger.jobs,
            spool_root=layout.spool,
            analyst=analyst,
            store=Outbox(layout.outbox),
            destinations=parts.routes(settings),
            rules=parts.job_rules(settings),
            plans=planning_rules(settings),
            bells=bells,
            idle=idle,
            settle_in=settle_in,
            clock=clock,
            on_overrun=_give_up,
        )
        with bells.listen(Topic.JOBS, worker.wake), bells.listen(Topic.IMAGES, worker.wake):
            worker.run(over)


@contextmanager
def _idle_work(
    settings: Settings,
    ledger: "Ledger",
    layout: DataLayout,
    analyst: "Analyst",
    clock: Callable[[], datetime],
) -> Iterator["IdleWork"]:
    """Return what the worker does while no job waits."""
    from dicom_node.early_analysis import EarlyAnalysis, Preparer
    from dicom_node.early_marks import EarlyMarks
    from dicom_node.jobs.foresight import Foresight
    from dicom_node.jobs.idle_work import IDLENESS

    marks = EarlyMarks(layout.early)
    marks.tidy(clock().timestamp() - _OLD_MARK_S)
    if not settings.worker.early_analysis or not isinstance(analyst, Preparer):
        yield IDLENESS
        return
    early = EarlyAnalysis(
        foresight=Foresight(ledger.database, parts.selection_rules(settings), clock=clock),
        marks=marks,
        preparer=analyst,
        spool_root=layout.spool,
        time_limit_s=settings.worker.time_limit_s,
        on_overrun=_give_up,
    )
    try:
        yield early
    finally:
        early.close()


def _give_up() -> None:
    """End the process: nothing else ends a library that hangs."""
    os._exit(os.EX_SOFTWARE)
