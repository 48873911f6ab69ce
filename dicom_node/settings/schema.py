"""What a site can set, as frozen values.

The models mirror ``config/node.toml`` one to one: a table is a model, a key is a field. They know
what a value may be; `dicom_node.settings.file` reads the file and words the faults.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from dicom_node.settings.retention import RetentionSettings
from dicom_node.settings.table import SettingsTable as _Table
from dicom_node.settings.tracing import TracingSettings
from dicom_node.settings.values import (
    SQLITE,
    AeTitle,
    CallerCertificate,
    CallerTitle,
    Encodings,
    FileName,
    HomePath,
    HookAddress,
    Host,
    LedgerAddress,
    MailAddress,
    Millimetres,
    Network,
    Pattern,
    PeerName,
    Port,
    Seconds,
    ServiceAddress,
)
from dicom_node.settings.web import WebSettings
from dicom_node.settings.worklists import WorklistSettings

#: The node itself and the command-line tools of DCMTK: on its loopback address the node can be
#: tried out at once, and nobody else gets in.
DEFAULT_CALLERS = ("ICHNODE", "STORESCU", "DCMSEND", "ECHOSCU")

#: Where patients' images and the ledger lie unless a site says otherwise.
DEFAULT_DATA_DIR = Path("~/.local/share/ichnode")


class CallerPermission(StrEnum):
    """What a caller may do."""

    ECHO = "echo"  #: C-ECHO
    STORE = "store"  #: C-STORE
    COMMIT = "commit"  #: storage commitment


class CallerSettings(_Table):
    """An entry of ``node.callers`` that says more than a title."""

    ae_title: CallerTitle
    address: Network | None = None
    certificate: CallerCertificate | None = None
    may: Annotated[tuple[CallerPermission, ...], Field(min_length=1)] = tuple(CallerPermission)
    max_associations: Annotated[int, Field(ge=1, le=500)] | None = None


#: How the two forms of an entry of ``node.callers`` are called in the place of a fault.
CALLER_TAGS = ("caller title", "caller table")


def _caller_form(value: object) -> str:
    return CALLER_TAGS[isinstance(value, dict | CallerSettings)]


CallerEntry = Annotated[
    Annotated[CallerTitle, Tag(CALLER_TAGS[0])] | Annotated[CallerSettings, Tag(CALLER_TAGS[1])],
    Discriminator(_caller_form),
]


class NodeSettings(_Table):
    """How the node is known on the network and where it keeps its data."""

    ae_title: AeTitle = "ICHNODE"
    host: Host = "127.0.0.1"
    port: Port = 11112
    plain: bool = True
    callers: Annotated[tuple[CallerEntry, ...], Field(min_length=1)] = DEFAULT_CALLERS
    data_dir: HomePath = Field(default_factory=DEFAULT_DATA_DIR.expanduser)
    ledger: LedgerAddress = SQLITE
    ledger_secret_file: FileName = ""
    max_pdu_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 131072
    max_associations: Annotated[int, Field(ge=1, le=500)] = 20
    max_associations_per_caller: Annotated[int, Field(ge=1, le=500)] = 10
    request_time_s: Seconds = 15.0
    pdu_time_s: Seconds = 30.0
    message_time_s: Seconds = 600.0
    network_timeout_s: Seconds = 60.0
    max_object_mb: Annotated[int, Field(ge=1, le=65536)] = 1024
    max_unfinished_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    free_space_floor_mb: Annotated[int, Field(ge=0, le=10_000_000)] = 1024
    reader: Literal["stream", "library"] = "stream"
    answers_commitment: bool = False


class TlsSettings(_Table):
    """TLS of the listener, and the certificate that the node shows to peers."""

    enabled: bool = False
    port: Port = 2762
    certificate: FileName = ""
    key: FileName = ""
    trusted: FileName = ""
    revoked: FileName = ""
    callers_need_certificate: bool = True
    profile: Literal["bcp195", "modified"] = "bcp195"
    only_1_3: bool = False
    warn_days: Annotated[int, Field(ge=0, le=3650)] = 30


class PriorsBy(StrEnum):
    """How a peer gives earlier scans."""

    NOT = ""  #: it is not asked
    MOVE = "move"  #: C-MOVE to the node's own listener
    GET = "get"  #: C-GET over the association that asks


class PeerSettings(_Table):
    """An AE that the node calls: destination of results, source of earlier scans, or neither."""

    name: PeerName
    ae_title: AeTitle
    host: Host
    port: Port
    receives_results: bool = False
    receives: Literal["all", "findings", "sender"] = "all"
    tls: bool = False
    tls_name: str = ""
    tls_checks_name: bool = True
    commitment: bool = False
    max_pdu_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 131072
    associations: Annotated[int, Field(ge=1, le=16)] = 1
    pause_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    keep_open_s: Annotated[float, Field(ge=0, le=300)] = 2.0
    report_first: bool = False
    encodings: Encodings = ("explicit", "implicit")
    gives_priors: PriorsBy = PriorsBy.NOT
    connect_timeout_s: Seconds = 10.0
    association_timeout_s: Seconds = 30.0
    response_timeout_s: Seconds = 60.0


class WebPeerSettings(_Table):
    """A DICOMweb server that results are sent to by STOW-RS."""

    name: PeerName
    url: ServiceAddress
    receives_results: bool = False
    receives: Literal["all", "findings"] = "all"
    user: Annotated[str, Field(pattern=r"^[^:\x00-\x1f]*$")] = ""
    secret_file: FileName = ""
    secret_variable: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = ""
    trusted: FileName = ""
    associations: Annotated[int, Field(ge=1, le=16)] = 1
    pause_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    report_first: bool = False
    connect_timeout_s: Seconds = 10.0
    response_timeout_s: Seconds = 60.0


class AssemblySettings(_Table):
    """When a series, and then its study, counts as complete."""

    quiet_time_s: Seconds = 5.0
    force_time_s: Seconds = 60.0
    study_quiet_time_s: Seconds = 5.0
    study_limit_s: Seconds = 30.0


class SeriesAttribute(StrEnum):
    """What a selection rule may look at."""

    DESCRIPTION = "description"  #: Series Description
    PROTOCOL = "protocol"  #: Protocol Name
    BODY_PART = "body_part"  #: Body Part Examined
    KERNEL = "kernel"  #: Convolution Kernel
    IMAGE_TYPE = "image_type"  #: Image Type, values joined by backslashes
    MANUFACTURER = "manufacturer"  #: Manufacturer
    STATION = "station"  #: Station Name
    STUDY = "study"  #: Study Description


class RuleSettings(_Table):
    """A pattern that is searched in one attribute of a series."""

    attribute: SeriesAttribute
    pattern: Pattern


class PreferenceSettings(RuleSettings):
    """Points for a series in which a pattern is found."""

    points: Annotated[int, Field(ge=-1000, le=1000)]


class SelectionSettings(_Table):
    """Which series of a study are analysed.

    A list of rules that is absent stands for the node's own, `dicom_node.intake.default_rules`;
    an empty one for no rule at all.
    """

    series_per_study: Annotated[int, Field(ge=1, le=100)] = 1
    minimum_slices: Annotated[int, Field(ge=1, le=10_000)] = 10
    maximum_thickness_mm: Annotated[float, Field(gt=0, le=50)] = 10.0
    preferred_thickness_mm: tuple[Millimetres, Millimetres] = (2.5, 5.0)
    thickness_points: Annotated[int, Field(ge=0, le=1000)] = 20
    maximum_angle_deg: Annotated[float, Field(ge=0, le=90)] = 45.0
    contrast_allowed: bool = False
    include: tuple[RuleSettings, ...] | None = None
    exclude: tuple[RuleSettings, ...] | None = None
    prefer: tuple[PreferenceSettings, ...] | None = None


class UrgentSettings(_Table):
    """What makes a study urgent; see `dicom_node.intake.urgency`."""

    callers: tuple[AeTitle, ...] = ()
    priorities: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")], ...] = ("STAT", "HIGH")
    rules: tuple[RuleSettings, ...] = ()


class WorkerSettings(_Table):
    """How analyses are run."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$")] = "auto"
    segmentation_bundle: str = "compact-segmentation"
    classification_bundle: str = "demo-classification"
    shadow_segmentation_bundle: str = ""
    shadow_classification_bundle: str = ""
    growth_bundle: str = ""
    early_analysis: bool = True
    time_limit_s: Seconds = 600.0
    lease_s: Seconds = 30.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    first_retry_s: Seconds = 30.0
    longest_wait_s: Seconds = 600.0


class ResultSettings(_Table):
    """What is made beside segmentation, captures and report."""

    uncertainty_map: bool = False
    say_not_processed: bool = False
    forecast: bool = True
    pdf: bool = False
    key_objects: bool = False
    capture_style: Literal["contour", "paint"] = "contour"


class FollowUpSettings(_Table):
    """When a scan is compared with an earlier one of the patient, and where that one is sought."""

    enabled: bool = True
    window_h: Annotated[float, Field(gt=0, le=720)] = 72.0
    minimum_interval_h: Annotated[float, Field(gt=0, le=72)] = 1.0
    with_ventricles: bool = False
    search_priors: bool = True
    search_attempts: Annotated[int, Field(ge=1, le=1000)] = 8
    first_retry_s: Seconds = 60.0
    longest_wait_s: Seconds = 3600.0
    fetch_limit_s: Seconds = 600.0


class DeliverySettings(_Table):
    """How often a result that could not be delivered is sent again."""

    attempts: Annotated[int, Field(ge=1, le=1000)] = 50
    first_retry_s: Seconds = 5.0
    longest_wait_s: Seconds = 3600.0
    refusal_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    refusal_first_retry_s: Seconds = 60.0
    unreachable_after: Annotated[int, Field(ge=1, le=100)] = 3
    first_probe_s: Seconds = 15.0
    longest_probe_s: Seconds = 300.0
    commitment_answer_s: Seconds = 3600.0
    commitment_attempts: Annotated[int, Field(ge=1, le=1000)] = 10


class WatchSettings(_Table):
    """What is the outcome of a prediction, and what alarms; see `dicom_node.watch.rules`."""

    earliest_follow_up_h: Annotated[float, Field(ge=0, le=240)] = 6.0
    latest_follow_up_h: Annotated[float, Field(gt=0, le=240)] = 72.0
    auc_width: Annotated[float, Field(ge=0.01, le=1)] = 0.1
    share_half_width: Annotated[float, Field(ge=0.01, le=0.5)] = 0.1
    least_auc: Annotated[float, Field(ge=0, le=1)] = 0.6
    calibration_difference: Annotated[float, Field(ge=0, le=1)] = 0.1
    window: Annotated[int, Field(ge=1, le=100_000)] = 200
    minimum: Annotated[int, Field(ge=1, le=100_000)] = 50
    drift_psi: Annotated[float, Field(gt=0, le=100)] = 0.25
    drift_p_value: Annotated[float, Field(gt=0, le=1)] = 0.001


class SilenceSettings(_Table):
    """A caller that shall send at certain hours; see `dicom_node.alerts.silence`."""

    caller: AeTitle
    hours: Annotated[float, Field(gt=0, le=720)]
    from_hour: Annotated[int, Field(ge=0, le=23)] = 0
    to_hour: Annotated[int, Field(ge=1, le=24)] = 24


class AlertSettings(_Table):
    """Who is told when something is wrong."""

    webhook_url: HookAddress = ""
    webhook_secret_file: FileName = ""
    mail_to: tuple[MailAddress, ...] = ()
    mail_from: str = ""
    smtp_host: str = ""
    smtp_port: Port = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password_file: FileName = ""
    trusted: FileName = ""
    pause_s: Seconds = 300.0
    repeat_h: Annotated[float, Field(ge=1, le=720)] = 24.0
    queue_limit_s: Seconds = 1800.0
    silence: tuple[SilenceSettings, ...] = ()


class AuditSettings(_Table):
    """Where audit messages (PS3.15, A.5) go, and what they say of patients."""

    enabled: bool = False
    host: Host = "127.0.0.1"
    port: Port = 514
    transport: Literal["udp", "tls"] = "udp"
    source_id: str = ""
    site_id: str = ""
    patient: Literal["key", "id", "none"] = "key"
    queue_limit: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000


class LogSettings(_Table):
    """What the processes write to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"


class Settings(_Table):
    """Everything that a site can set; the whole of ``config/node.toml``."""

    node: NodeSettings = NodeSettings()
    tls: TlsSettings = TlsSettings()
    peers: tuple[PeerSettings, ...] = ()
    web_peers: tuple[WebPeerSettings, ...] = ()
    worklists: tuple[WorklistSettings, ...] = ()
    assembly: AssemblySettings = AssemblySettings()
    selection: SelectionSettings = SelectionSettings()
    urgent: UrgentSettings = UrgentSettings()
    worker: WorkerSettings = WorkerSettings()
    results: ResultSettings = ResultSettings()
    follow_up: FollowUpSettings = FollowUpSettings()
    delivery: DeliverySettings = DeliverySettings()
    web: WebSettings = WebSettings()
    watch: WatchSettings = WatchSettings()
    alerts: AlertSettings = AlertSettings()
    audit: AuditSettings = AuditSettings()
    tracing: TracingSettings = TracingSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()

    @property
    def destinations(self) -> tuple[PeerSettings, ...]:
        """The peers that are sent results."""
        return tuple(peer for peer in self.peers if peer.receives_results)

    @property
    def web_destinations(self) -> tuple[WebPeerSettings, ...]:
        """The DICOMweb servers that are sent results."""
        return tuple(peer for peer in self.web_peers if peer.receives_results)

    @property
    def prior_sources(self) -> tuple[PeerSettings, ...]:
        """The peers that are searched for earlier scans."""
        if not (self.follow_up.enabled and self.follow_up.search_priors):
            return ()
        return tuple(peer for peer in self.peers if peer.gives_priors)

    @property
    def needs_tls(self) -> bool:
        """Whether anything speaks TLS."""
        audits = self.audit.enabled and self.audit.transport == "tls"
        return self.tls.enabled or audits or any(peer.tls for peer in self.peers)
