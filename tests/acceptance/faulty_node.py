"""The node with stand-in models, and with a fault at every step that quotes a patient.

Each of `STEPS` fails when it is first called, with an exception whose words, and those of its
cause, are the marker: the worst that an outside library can do. What has failed is noted in the
file that ``ICHNODE_FAULTS`` names.
"""

import functools
import importlib
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from acceptance.stand_in_node import main
from poison import MARKER

#: Module, class if it is a method, and name.
STEPS = (
    "dicom_node.association.storage_scp:StorageScp._admit",
    "dicom_node.association.storage_scp:StorageScp._stored",
    "dicom_node.intake.spool:Spool.put",
    "dicom_node.jobs.arrivals:Arrivals.add",
    "dicom_node.jobs.arrivals:Arrivals.close_association",
    "dicom_node.jobs.office:AssemblyOffice.tick",
    "dicom_node.jobs.office:Sweeper.tick",
    "dicom_node.images_ahead:read_ct_series",
    "dicom_node.series_analysis:analyze",
    "dicom_node.series_analysis:encode",
    "dicom_node.series_analysis:check_results",
    "dicom_node.series_analysis:analysis_record",
    "dicom_node.series_analysis:scan_facts",
    "dicom_node.series_analysis:write_summary",
    "dicom_node.series_analysis:encode_not_processed",
    "dicom_node.series_comparison:read_ct_series",
    "dicom_node.series_comparison:compare_scans",
    "dicom_node.series_comparison:encode_comparison",
    "dicom_node.series_comparison:check_comparison",
    "dicom_node.series_comparison:write_comparison_summary",
    "dicom_node.delivery.outbox:Outbox.store",
    "dicom_node.jobs.job_ledger:JobLedger.complete",
    "dicom_node.association.query:find_ct_series",
    "dicom_node.association.retrieve:get_series",
    "dicom_node.association.kept_associations:KeptAssociations.send",
    "dicom_node.association.storage_scu:_send",
    "dicom_node.bootstrap.status:LedgerStatus.rows",
    "dicom_node.bootstrap.status:LedgerStatus.row",
)

#: Steps of the ways around the line: archives, repositories, people.
TRAIL_STEPS = (
    "dicom_node.association.commitment:ask_commitment",
    "dicom_node.association.commitment:decode_report",
    "dicom_node.association.commitment_scp:CommitmentScp._on_request",
    "dicom_node.association.retrieve:move_series",
    "dicom_node.delivery.stow:WebCarrier.send",
    "dicom_node.audit.clerk:AuditClerk.tick",
    "dicom_node.audit.syslog:UdpRepository.send",
    "dicom_node.alerts.webhook:Webhook.send",
    "dicom_node.intake.patient_identity:read_patient_identity",
    "dicom_node.delivery.purger:Purger.purge",
    "dicom_node.bootstrap.shadow:ShadowAnalyst.analyze",
    "dicom_node.worklist.performer:Performer.look",
    "dicom_node.worklist.service:WorklistService.search",
    "dicom_node.worklist.wado:WadoSource._take",
    "dicom_node.worklist.service:WorklistService.update",
    "dicom_node.manual_runs.upload:UploadDesk.take",
    "dicom_node.manual_runs.pull:Pull.look",
    "dicom_node.manual_runs.pull:Pull.bring",
)

#: What the office would wait for: seconds between its looks, and before somebody is told.
WAITS = {
    "dicom_node.bootstrap.office_ticks:_SWEEP_EVERY_S": 0.5,
    "dicom_node.bootstrap.office_ticks:_RETENTION_EVERY_S": 1.0,
    "dicom_node.bootstrap.office_ticks:_ALERTS_EVERY_S": 1.0,
    "dicom_node.alerts.book:AlertRules": {"settle_s": 0.5, "first_retry_s": 0.5},
}


def hurry():
    """Let the office wait for less, so that nobody waits for the test."""
    for place, value in WAITS.items():
        module, _, name = place.partition(":")
        owner = importlib.import_module(module)
        whole = getattr(owner, name)
        setattr(owner, name, functools.partial(whole, **value) if callable(whole) else value)


def spoil(step):
    """Let a function or method fail once, in every process."""
    module, _, name = step.partition(":")
    owner = importlib.import_module(module)
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part)
    name = name.rpartition(".")[2]
    whole = getattr(owner, name)
    failed = []

    @functools.wraps(whole)
    def broken(*arguments, **options):
        if not failed:
            failed.append(step)
            with Path(os.environ["ICHNODE_FAULTS"]).open("a") as file:
                file.write(f"{step}\n")
            raise RuntimeError(f"cannot read {MARKER!r}") from ValueError(f"Name {MARKER}")
        return whole(*arguments, **options)

    setattr(owner, name, broken)


if __name__ == "__main__":
    hurry()
    for one in TRAIL_STEPS if os.environ.get("ICHNODE_FAULTS_OF") == "trails" else STEPS:
        spoil(one)
    main(__file__)
