"""Two scans of a patient with what was found and what changed: what a comparison's objects say."""

from dataclasses import dataclass
from datetime import datetime

from dicom_node.results.identity import ModelIdentity, ResultIdentity, result_identity
from dicom_node.results.segmentation import LESION
from dicom_node.results.source import SourceSeries
from pipeline.follow_up.comparison import FollowUpComparison, ScanFinding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedScan:
    """One of the two scans.

    Attributes
    ----------
    finding : ScanFinding
        The scan and its segmentation.
    source : SourceSeries
        Its images, as results refer to them.
    acquired : datetime
        When; aware if the images say a time zone.
    """

    finding: ScanFinding
    source: SourceSeries
    acquired: datetime


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedPair:
    """Everything that the objects of a comparison say.

    Attributes
    ----------
    baseline, follow_up : ComparedScan
        The scans, the earlier one first.
    comparison : FollowUpComparison
        What changed.
    identity : ResultIdentity
        What the objects' UIDs follow from.
    lesion_uid : str
        Tracking UID of the hematoma in every object: that which every analysis of the baseline
        gives it.
    """

    baseline: ComparedScan
    follow_up: ComparedScan
    comparison: FollowUpComparison
    identity: ResultIdentity
    lesion_uid: str

    @property
    def scans(self) -> tuple[ComparedScan, ComparedScan]:
        """Both, the earlier one first."""
        return (self.baseline, self.follow_up)


def compared_pair(
    baseline: ComparedScan,
    follow_up: ComparedScan,
    comparison: FollowUpComparison,
    *,
    model: ModelIdentity,
    configuration_digest: str,
) -> ComparedPair:
    """Return the pair with the identity that follows from both series and the model."""
    identity = result_identity(
        follow_up.source.series_instance_uid,
        sop_instance_uids=(
            *baseline.source.sop_instance_uids,
            *follow_up.source.sop_instance_uids,
        ),
        models=[model],
        configuration_digest=configuration_digest,
    )
    tracked = result_identity(
        baseline.source.series_instance_uid,
        sop_instance_uids=baseline.source.sop_instance_uids,
        models=[model],
        configuration_digest=configuration_digest,
    )
    return ComparedPair(
        baseline=baseline,
        follow_up=follow_up,
        comparison=comparison,
        identity=identity,
        lesion_uid=tracked.lesion_uid(LESION),
    )
