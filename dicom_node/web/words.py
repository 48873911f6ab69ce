"""Words that come from tables of the code and are shown in the visitor's language.

The ledger's own sentences (reasons, events) are in `dicom_node.web.sentences`.
"""

from typing import Final


def mark(words: str) -> str:
    """Return words as they are; marks them for translation where they are only stored."""
    return words


#: States of series, jobs, deliveries and searches.
STATES: Final = (
    mark("receiving"),
    mark("complete"),
    mark("chosen"),
    mark("set aside"),
    mark("queued"),
    mark("analyzing"),
    mark("delivering"),
    mark("delivered"),
    mark("rejected"),
    mark("withdrawn"),
    mark("failed"),
    mark("pending"),
    mark("sending"),
    mark("accepted"),
    mark("dead"),
    mark("committed"),
    mark("cancelled"),
    mark("done"),
)

#: Uploads and pulls, and how far they are.
RUNS: Final = (
    mark("pull"),
    mark("upload"),
    mark("looking"),
    mark("fetching"),
    mark("received"),
    mark("awaited"),
    mark("not analyzed"),
)

#: What an analysis or a comparison found.
OUTCOMES: Final = (
    mark("hematoma found"),
    mark("no hematoma found"),
    mark("rejected"),
    mark("compared"),
    mark("no verdict"),
    mark("refused"),
)

#: Predictions of expansion.
LABELS: Final = {"HE": mark("expansion predicted"), "NHE": mark("no expansion predicted")}

#: Doubts about images and comparisons.
FLAGS: Final = (
    mark("thick slices"),
    mark("mixed thickness"),
    mark("uneven spacing"),
    mark("slices missing"),
    mark("duplicate positions"),
    mark("non ct dropped"),
    mark("tilt corrected"),
    mark("oblique"),
    mark("lossy source"),
    mark("hu implausible"),
    mark("not a head"),
    mark("contrast suspected"),
    mark("few hematoma slices"),
    mark("hematoma at edge"),
    mark("extra axial hemorrhage"),
    mark("primary intraventricular"),
    mark("intraventricular extension"),
    mark("volume uncertain"),
    mark("unfamiliar"),
    mark("no forecast"),
    mark("registration poor"),
    mark("surgery suspected"),
    mark("sharp fall"),
    mark("baseline no hematoma"),
    mark("hematoma cut off"),
    mark("interval short"),
    mark("interval long"),
    mark("time zone missing"),
    mark("other scanner"),
    mark("tilt differs"),
    mark("thickness differs"),
    mark("contrast differs"),
    mark("forced"),
    mark("association open"),
    mark("fetch open"),
)

#: Blood and edema beside the hematoma.
COMPARTMENTS: Final = (
    mark("perihematomal edema"),
    mark("intraventricular hemorrhage"),
)

#: Kinds of jobs and of result objects.
KINDS: Final = (
    mark("analysis"),
    mark("comparison"),
    mark("shadow"),
    mark("captures"),
    mark("segmentation"),
    mark("report"),
    mark("uncertainty-map"),
    mark("forecast"),
    mark("pdf"),
    mark("key-objects"),
)

#: What single images show.
LARGEST_SLICE: Final = mark("Slice of largest hematoma area with its outline")
CAPTURE: Final = mark("Capture")
IMAGES: Final = (
    LARGEST_SLICE,
    CAPTURE,
    mark("Grad-CAM overlay, slice below the largest"),
    mark("Grad-CAM overlay, slice of largest hematoma area"),
    mark("Grad-CAM overlay, slice above the largest"),
    mark("Baseline and follow-up side by side"),
)

#: Roles of users.
ROLES: Final = (mark("viewer"), mark("operator"), mark("admin"))

#: What happened to a series.
EVENTS: Final = (
    mark("first image"),
    mark("late image"),
    mark("other version"),
    mark("urgent"),
    mark("routine"),
    mark("reconsidered"),
    mark("claimed"),
    mark("step"),
    mark("results"),
    mark("paired"),
    mark("not compared"),
    mark("priors"),
    mark("attempt failed"),
    mark("not accepted"),
    mark("not committed"),
    mark("retried"),
    mark("hold"),
    mark("unhold"),
    mark("purged"),
)

#: Why a log-in was refused; the sentences of `dicom_node.users`.
REFUSALS: Final = (
    mark("the name or the password is wrong"),
    mark("the name or the one-time code is wrong, or the code is too old"),
    mark("the present password is wrong"),
    mark("too many failed attempts; try again in 15 minutes"),
    mark("a password has 12 to 256 characters"),
    mark("the name of the user may not be part of the password"),
    mark("the password repeats a few characters"),
    mark("the log-in provider keeps this password; change it there"),
    mark("the log-in provider gives you no role in this node"),
)

#: When a changed setting takes effect; the sentences of `dicom_node.configuration.effects`.
EFFECTS: Final = (
    mark("with the next association; those that are open end as they began"),
    mark(
        "within seconds: the receiver closes its ports and opens them again; open associations "
        "go on for at most a minute"
    ),
    mark("with the worker's next job; the one in hand ends as it began"),
    mark("within seconds; what the office has in hand is brought to its end first"),
    mark("within seconds; the page is away for a moment"),
    mark("within seconds, as in the rows for receiver, worker and office"),
    mark("after a restart of `ichnode serve`"),
)

#: Steps of a test of a peer; the names of classes of objects stay as DICOM has them.
STEPS: Final = (
    mark("connection"),
    mark("association"),
    mark("storage commitment"),
)

#: What there is to choose in forms.
CHOICES: Final = (
    mark("all"),
    mark("findings"),
    mark("sender"),
    mark("move"),
    mark("get"),
    mark("no"),
)

#: What rules of routing may look at.
ATTRIBUTES: Final = (
    mark("description"),
    mark("protocol"),
    mark("body part"),
    mark("kernel"),
    mark("image type"),
    mark("manufacturer"),
    mark("station"),
    mark("study"),
)

#: What a value of the settings is; `dicom_node.configuration.setting_keys.ValueShape`.
SHAPES: Final = (
    mark("whole number"),
    mark("decimal number"),
    mark("yes or no"),
    mark("one of a few"),
    mark("text"),
    mark("list"),
    mark("table"),
)

#: What happens to models, and what is said of it; the words of `ichnode models`.
MODELS: Final = (
    mark("classification"),
    mark("growth"),
    mark("on trial"),
    mark("trial ended"),
    mark("promoted"),
    mark("on trial: every new analysis is repeated by these models, and nothing of it is sent"),
    mark("no model is on trial any more"),
    mark("the models on trial have taken over; results of earlier series stay as they are"),
    mark("a running worker loads the models before its next job"),
)

#: Why the receiver turns somebody away; `dicom_node.association.refusals.REFUSAL_WORDS`.
TURNED_AWAY: Final = (
    mark("no caller of the settings has this address"),
    mark("calling AE title not in the settings"),
    mark("calling AE title known, but not from this address"),
    mark("calling AE title known, but not with this certificate"),
    mark("called AE title is not the node's"),
    mark("the node has as many associations as it may"),
    mark("the caller has as many associations as it may"),
    mark("too many connections without an association"),
    mark("no TLS connection"),
    mark("TLS spoken to the port without TLS"),
    mark("what was sent is not DICOM"),
    mark("not complete in time"),
    mark("PDU longer than agreed"),
    mark("message cannot be understood"),
    mark("object larger than allowed"),
    mark("too much is being received at the same time"),
)
