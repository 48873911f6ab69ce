"""Why a scan or a patient does not leave the site."""

from collections.abc import Mapping
from enum import StrEnum


class Exclusion(StrEnum):
    """Why something is not exported. The values are written; never rename one."""

    REFUSED = "comparison_refused"  #: the two scans could not be compared
    NO_VERDICT = "no_verdict"  #: compared without a verdict, for instance after surgery
    NO_HEMATOMA = "no_baseline_hematoma"  #: nothing that could grow
    LATER_EPISODE = "later_episode"  #: an earlier hemorrhage of the patient is taken
    OUTSIDE_TIME = "outside_time"  #: not in the time that was asked for
    FILES_GONE = "files_gone"  #: images or mask are no longer on disk
    NO_MASK = "no_mask"  #: no segmentation refers to the scan
    UNREADABLE = "unreadable"  #: the pipeline's reader refuses the images
    BURNED_IN = "burned_in"  #: the images say that text is burned in
    SECONDARY = "secondary_images"  #: made after the examination; may show text
    SEVERAL_PATIENTS = "several_patients"  #: identifiers of the scans differ or are absent
    ALTERED = "altered"  #: the de-identified scan would not be the same volume


WORDS: Mapping[Exclusion, str] = {
    Exclusion.REFUSED: "the scans could not be compared",
    Exclusion.NO_VERDICT: "compared without a verdict (surgery suspected, for instance)",
    Exclusion.NO_HEMATOMA: "no hematoma at baseline",
    Exclusion.LATER_EPISODE: "another hemorrhage of a patient who takes part",
    Exclusion.OUTSIDE_TIME: "not in the time asked for",
    Exclusion.FILES_GONE: "images or mask are no longer on disk",
    Exclusion.NO_MASK: "no mask",
    Exclusion.UNREADABLE: "series refused by the reader",
    Exclusion.BURNED_IN: "text burned in",
    Exclusion.SECONDARY: "secondary images, which may show text",
    Exclusion.SEVERAL_PATIENTS: "the scans' patient identifiers differ or are absent",
    Exclusion.ALTERED: "the de-identified scan would differ",
}


class ExcludedError(Exception):
    """A scan cannot leave the site.

    Attributes
    ----------
    exclusion : Exclusion
        Why not.
    """

    def __init__(self, exclusion: Exclusion) -> None:
        super().__init__(WORDS[exclusion])
        self.exclusion = exclusion
