"""The desk for storage commitment: what senders ask and peers report goes into the ledger."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest
from dicom_node.errors import UnknownEntryError, UnreadableCommitmentError
from dicom_node.jobs.commitment_ledger import CommitmentLedger, CommitmentRules
from dicom_node.jobs.commitment_requests import CommitmentRequests

LOGGER = logging.getLogger(__name__)


class LedgerDesk:
    """The `CommitmentDesk` of the receiver.

    Parameters
    ----------
    requests
        What senders asked.
    commitments
        What the node asked.
    destinations_of
        Names of the peers that an AE title stands for; others cannot report.
    rules
        How often an object is sent again that a peer could not commit.
    settle
        Records what has been received; called before custody is looked up.
    """

    def __init__(
        self,
        *,
        requests: CommitmentRequests,
        commitments: CommitmentLedger,
        destinations_of: Mapping[str, Sequence[str]],
        rules: CommitmentRules,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._requests = requests
        self._commitments = commitments
        self._destinations_of = destinations_of
        self._rules = rules
        self._settle = settle

    def asked(
        self, request: CommitmentRequest, *, calling_ae_title: str, now: datetime
    ) -> CommitmentReport:
        """Make a request durable and return the report that it is due. Raises LedgerError."""
        self._settle()
        return self._requests.record(request, calling_ae_title=calling_ae_title, now=now)

    def answered(
        self, request: CommitmentRequest, *, calling_ae_title: str, now: datetime
    ) -> None:
        """Note that the report of a request was taken. Raises LedgerError."""
        self._requests.answered(
            request.transaction_uid, calling_ae_title=calling_ae_title, now=now
        )

    def reported(self, report: CommitmentReport, *, calling_ae_title: str, now: datetime) -> None:
        """Note what a peer commits itself to.

        Raises
        ------
        UnreadableCommitmentError
            If this peer was never asked in this transaction.
        LedgerError
            If the ledger refuses; the peer reports again.
        """
        try:
            self._commitments.report(
                report,
                destinations=self._destinations_of.get(calling_ae_title, ()),
                rules=self._rules,
                now=now,
            )
        except UnknownEntryError as error:
            raise UnreadableCommitmentError(str(error)) from error
        LOGGER.info(
            "%s committed itself to %s objects and not to %s",
            calling_ae_title,
            len(report.committed),
            len(report.failed),
        )
