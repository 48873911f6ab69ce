"""The one truth of the node: everything that a restart must not forget."""

from dataclasses import dataclass, field

from dicom_node.jobs.arrivals import Arrivals
from dicom_node.jobs.commitment_ledger import CommitmentLedger
from dicom_node.jobs.commitment_requests import CommitmentRequests
from dicom_node.jobs.database import Database
from dicom_node.jobs.delivery_ledger import DeliveryLedger
from dicom_node.jobs.delivery_queue import DeliveryQueue
from dicom_node.jobs.destination_ledger import DestinationLedger
from dicom_node.jobs.job_ledger import JobLedger
from dicom_node.jobs.ledger_place import LedgerPlace
from dicom_node.jobs.presence import PresenceLedger
from dicom_node.jobs.prior_ledger import PriorLedger
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.reports import Reports
from dicom_node.jobs.series_ledger import SeriesLedger
from dicom_node.jobs.tally import TallyLedger
from dicom_node.jobs.urgent_lane import UrgentLane
from dicom_node.jobs.user_ledger import UserLedger
from dicom_node.jobs.worklist_ledger import WorklistLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger, one part for each who moves it along.

    Attributes
    ----------
    arrivals : Arrivals
        For the receiver.
    series : SeriesLedger
        For the office.
    urgent_lane : UrgentLane
        For operators who know of an emergency.
    jobs : JobLedger
        For workers.
    deliveries : DeliveryLedger
        For couriers.
    destinations : DestinationLedger
        For holds and circuit breakers.
    delivery_queue : DeliveryQueue
        For operators.
    commitments : CommitmentLedger
        For storage commitment that the node asks for.
    commitment_requests : CommitmentRequests
        For storage commitment that the node is asked for.
    presence : PresenceLedger
        For every process.
    priors : PriorLedger
        For whoever looks for earlier scans.
    worklists : WorklistLedger
        For whoever performs the workitems of others.
    reports : Reports
        For whoever only looks.
    tallies : TallyLedger
        For counts.
    users : UserLedger
        For people and programs that use the node.
    patient_salt : bytes
        Key of the hash that tells patients apart.
    database : Database
        What they all write to.
    """

    arrivals: Arrivals
    series: SeriesLedger
    urgent_lane: UrgentLane
    jobs: JobLedger
    deliveries: DeliveryLedger
    destinations: DestinationLedger
    delivery_queue: DeliveryQueue
    commitments: CommitmentLedger
    commitment_requests: CommitmentRequests
    presence: PresenceLedger
    priors: PriorLedger
    worklists: WorklistLedger
    reports: Reports
    tallies: TallyLedger
    users: UserLedger
    patient_salt: bytes = field(repr=False)
    database: Database

    def close(self) -> None:
        """Close all connections."""
        self.database.close()


def open_ledger(place: LedgerPlace, *, process: ProcessIdentity) -> Ledger:
    """Return the ledger at a place, made if absent.

    Parameters
    ----------
    place
        The SQLite file, which must be on a local disk, or the PostgreSQL database.
    process
        Who writes.

    Raises
    ------
    LedgerVersionError
        If it was written by another version of the node.
    LedgerUnavailableError
        If it cannot be opened.
    """
    database = Database(place)
    return Ledger(
        arrivals=Arrivals(database, process),
        series=SeriesLedger(database),
        urgent_lane=UrgentLane(database),
        jobs=JobLedger(database),
        deliveries=DeliveryLedger(database),
        destinations=DestinationLedger(database),
        delivery_queue=DeliveryQueue(database),
        commitments=CommitmentLedger(database),
        commitment_requests=CommitmentRequests(database),
        presence=PresenceLedger(database),
        priors=PriorLedger(database),
        worklists=WorklistLedger(database),
        reports=Reports(database),
        tallies=TallyLedger(database),
        users=UserLedger(database),
        patient_salt=database.patient_salt,
        database=database,
    )
