"""A small node with real files: receives, analyses, delivers, and purges."""

from datetime import timedelta

from node_builders import SALT, FakeAnalyst, FakeDisk, request_of, sender, small_series

from dicom_node.delivery.outbox import Outbox
from dicom_node.delivery.purger import Folders, Purger
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.purge_ledger import Cause, PurgeLedger
from dicom_node.jobs.retention import AgeRule, RetentionRules
from dicom_node.jobs.routing import Receives, Route
from dicom_node.jobs.worker import JobRules, Worker

DAY_S = 24 * 3600.0
AT_ONCE = RetentionRules(ages=dict.fromkeys(AgeRule, timedelta(0)), follow_up_window=timedelta(0))


class RetentionSite:
    """Everything of a node but its network and its models."""

    def __init__(self, root, ledger, clock):
        self.root, self.ledger, self.clock = root, ledger, clock
        self.analyst = FakeAnalyst()
        self.spool = Spool(root / "spool", limits=SpoolLimits(free_floor_bytes=0))
        self.outbox = Outbox(root / "outbox")
        self.summaries = root / "summaries"
        self.disk = FakeDisk()
        self.purges = PurgeLedger(ledger.database)
        self.sent = 0

    @property
    def custody(self):
        return Custody(spool=self.spool, register=self.ledger.arrivals, patient_salt=SALT)

    @property
    def purger(self):
        return Purger(
            ledger=self.purges,
            folders=Folders(
                spool=self.spool.root, outbox=self.root / "outbox", summaries=self.summaries
            ),
            clock=self.clock,
            disk=self.disk,
        )

    def receive(self, series):
        """Take custody of a series, and let it be assembled and chosen."""
        self.sent += 1
        association = f"association-{self.sent}"
        for ds in series:
            self.custody.accept(request_of(ds, at=self.clock(), association_id=association))
        self.ledger.arrivals.close_association(sender(association), self.clock())
        self.clock.turn(60)
        self.assemble()

    def assemble(self):
        """Judge what is due."""
        AssemblyOffice(
            ledger=self.ledger,
            assembly=AssemblyRules(),
            selection=DEFAULT_RULES,
            clock=self.clock,
        ).tick()

    def analyze(self):
        """Work off one job; return whether there was one."""
        worker = Worker(
            name="worker-0",
            queue=self.ledger.jobs,
            spool_root=self.spool.root,
            analyst=self.analyst,
            store=self.outbox,
            destinations=(Route(name="pacs", receives=Receives.ALL),),
            rules=JobRules(),
            clock=self.clock,
            on_overrun=lambda: None,
        )
        worked = worker.work_once()
        if worked:
            folder = self.summaries / str(len(self.analyst.tasks))
            folder.mkdir(parents=True)
            (folder / "summary.png").write_bytes(b"a picture")
        return worked

    def deliver(self, *, wants_commitment=False):
        """Have everything accepted that waits."""
        while parcel := self.ledger.deliveries.claim(
            "pacs", "courier", now=self.clock(), lease_s=60.0, parallel=1
        ):
            for item in parcel.items:
                self.ledger.deliveries.accept(
                    item, "accepted", now=self.clock(), wants_commitment=wants_commitment
                )

    def finished(self, series=None, **options):
        """Bring a series to its end; return it."""
        series = series or small_series(**options)
        self.receive(series)
        assert self.analyze()
        self.deliver()
        self.clock.turn(DAY_S)
        return series

    def purge(self, rules=AT_ONCE, **options):
        """Purge whatever may go."""
        holdings = [one for one in self.purger.holdings(rules) if one.obstacle is None]
        return self.purger.purge(holdings, rules, cause=Cause.AGE, **options)

    def obstacles(self, rules=AT_ONCE):
        """Return why each kind stays."""
        return {one.kind: one.obstacle for one in self.purger.holdings(rules)}

    def files(self):
        """Return every file that is there, relative to the root."""
        return sorted(
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.is_file() and path.suffix in {".dcm", ".png"}
        )
