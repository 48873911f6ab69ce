"""What the watch says, as `dicom_node.watch` words it: found by its patterns, see `.sentences`."""

from typing import Final

from dicom_node.web.words import mark

#: Headings, headers and notes.
_AROUND: Final = (
    mark("Predictions of %(models)s"),
    mark("Drift in the last %(number)s analyses"),
    mark("On trial: %(models)s"),
    mark("Beside %(models)s, on the same scans and patients."),
    mark("what"),
    mark("found"),
    mark("reference"),
    mark("expected"),
    mark("index"),
    mark("judgement"),
    mark("Nothing has been analysed yet."),
    mark(
        "No bundle in use states training statistics: what the site's own first analyses looked "
        "like is the reference."
    ),
    mark("A model of this version is a demonstration: its numbers say nothing of patients."),
    mark(
        "Outcomes are measured by the node's own segmentation, not read by a person; only "
        "patients with a second scan have one."
    ),
    mark("Mean probability of patients with an outcome %(number)s, of those without %(without)s."),
    mark("Index: population stability; drift from %(number)s on with p < %(p)s."),
)

#: What was found of predictions.
_FACTS: Final = (
    mark("analyses"),
    mark("patients with a probability"),
    mark("of these with an outcome"),
    mark("left out: %(why)s"),
    mark("patients for %(wish)s"),
    mark("%(number)s more (%(all)s in all)"),
    mark("enough (%(all)s in all)"),
    mark("expanded"),
    mark("mean probability"),
    mark("predicted before the second scan came"),
    mark("outcome within the error of the volumes"),
    mark("calibration in the large (0 is right)"),
    mark("calibration slope (1 is right)"),
    mark("Brier score"),
    mark("expanded with a forecast of the volume"),
    mark("forecast minus measured volume, mean"),
    mark("its size, mean"),
    mark("measured volume within the forecast's range"),
    mark("sensitivity at the card's threshold"),
    mark("specificity at the card's threshold"),
    mark("PPV at the card's threshold"),
    mark("NPV at the card's threshold"),
    mark("sensitivity at %(point)s"),
    mark("specificity at %(point)s"),
    mark("PPV at %(point)s"),
    mark("NPV at %(point)s"),
    mark("%(here)s of %(all)s"),
    mark("%(here)s of %(all)s, %(share)s"),
    mark("not known"),
    mark("patients for %(wish)s: %(number)s more (%(all)s in all)"),
    mark("an AUC interval no wider than %(number)s"),
    mark("sensitivity to %(number)s points either way"),
    mark("specificity to %(number)s points either way"),
)

#: Why a comparison is no outcome.
_EXCLUSIONS: Final = (
    mark("the baseline has no probability of expansion"),
    mark("the two scans could not be compared"),
    mark("measured without a verdict, e.g. surgery in between is suspected"),
    mark("the time between the scans is not known"),
    mark("follow-up too early to rule an expansion out"),
    mark("follow-up beyond the horizon"),
    mark("a further scan of a patient who is counted already"),
)

#: Drift, and what it is looked for in.
_DRIFT: Final = (
    mark("volume (mL)"),
    mark("probability of expansion"),
    mark("slice thickness"),
    mark("maker"),
    mark("kernel"),
    mark("finding"),
    mark("flags"),
    mark("training statistics of the bundle"),
    mark("the site's own first analyses"),
    mark("training statistics of the bundle (%(all)s)"),
    mark("the site's own first analyses (%(all)s)"),
    mark("too few to judge: %(number)s, needed %(limit)s"),
    mark("drifted"),
    mark("as expected"),
    mark("median %(number)s"),
    mark("median %(number)s (%(all)s)"),
)

#: Models on trial beside those in use.
_TRIAL: Final = (
    mark("scans seen by both"),
    mark("hematoma found by one of them only"),
    mark("expansion called otherwise"),
    mark("mean difference of volume"),
    mark("mean difference of probability"),
    mark("patients with an outcome"),
    mark("%(all)s, %(number)s expanded"),
    mark("AUC of the models in use"),
    mark("AUC of the models on trial"),
    mark("difference of the AUCs"),
    mark("p of no difference"),
)

#: What the numbers cannot say.
_REMARKS: Final = (
    mark("No patient has an outcome yet: nothing can be said of the predictions."),
    mark("All hematomas expanded: an AUC needs both outcomes."),
    mark("No hematoma expanded: an AUC needs both outcomes."),
    mark("One outcome was seen once only: the AUC has no interval, and is not told."),
    mark(
        "The outcomes are ranked without a fault: with so few patients that may be luck, and the "
        "method has no interval for it; the AUC is not told."
    ),
    mark("Fewer than %(number)s patients with one of the outcomes: the intervals are rough."),
    mark("A validation should have %(number)s patients with each outcome (Vergouwe et al. 2005)."),
    mark("The outcomes were judged by different definitions of expansion."),
)

#: What the watch raises.
_ALARMS: Final = (
    mark("Watch: %(why)s"),
    mark("The AUC of the predictions lies below the limit of the site."),
    mark("Hematomas expand at another rate than the probabilities say."),
    mark("The volumes of hematomas have drifted from what is expected."),
    mark("The probabilities of expansion have drifted from what is expected."),
    mark("The slice thickness has drifted from what is expected."),
    mark("The scanners' makers have drifted from what is expected."),
    mark("The convolution kernels have drifted from what is expected."),
    mark(
        "The share of scans without hematoma, or not analysed, has drifted from what is expected."
    ),
    mark("The share of scans with flags has drifted from what is expected."),
)

#: Drawings.
_CHARTS: Final = (
    mark("ROC curve"),
    mark("Expansion predicted"),
    mark("1 - specificity"),
    mark("sensitivity"),
    mark("Promise and truth"),
    mark("share that expanded"),
    mark("Drift"),
    mark("population stability index"),
    mark("limit"),
)

WATCH: Final = (
    *(*_AROUND, *_FACTS, *_EXCLUSIONS, *_DRIFT, *_TRIAL),
    *(*_REMARKS, *_ALARMS, *_CHARTS),
)
