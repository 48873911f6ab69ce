"""Sentences said to whoever asks: tests of peers, comparisons, refusals.

Like those of the ledger they are found by their patterns, see `dicom_node.web.sentences`.
"""

from typing import Final

from dicom_node.web.words import mark

#: What a test of a peer found: `dicom_node.association.peer_trial` and `.context_answers`.
TRIAL_FOUND: Final = (
    mark("%(host)s port %(port)s answers; the node calls from %(address)s"),
    mark("nobody knows the name %(host)s"),
    mark("%(host)s port %(port)s did not answer within %(time)s s"),
    mark("%(host)s port %(port)s refuses connections"),
    mark(
        "%(version)s with %(cipher)s; it shows %(subject)s, until %(day)s; the node shows %(name)s"
    ),
    mark("%(title)s accepts %(own_title)s"),
    mark("accepted in %(encodings)s"),
    mark(
        "refused by the peer's user: it knows the class, but does not take it from this AE title"
    ),
    mark("refused without a reason"),
    mark("refused: SOP class not supported"),
    mark("refused: transfer syntax not supported"),
    mark("refused with the unknown result %(number)s"),
    mark("not accepted"),
    mark("no answer"),
    mark("Success"),
    mark("No connection to %(peer)s: %(why)s"),
    mark("No TLS with %(peer)s: %(why)s"),
    mark("%(peer)s rejected the association: %(words)s"),
    mark(
        "%(peer)s accepted the connection but did not answer the association request within "
        "%(time)s s"
    ),
    mark("%(peer)s aborted while the association was negotiated"),
    mark("%(host)s port %(port)s speaks DICOM, but without TLS"),
    mark("%(host)s port %(port)s speaks TLS, and it is called without"),
    mark("%(title)s may not call the node, so it cannot report"),
    mark("%(url)s answers"),
    mark("the test broke off; the log says why"),
)

#: What whoever sees such a test has to do, here or at the other side.
TRIAL_ADVICE: Final = (
    mark("enter an address, or ask for the right name"),
    mark("ask whether a firewall lets this machine through to %(host)s port %(port)s"),
    mark("ask whether the DICOM service runs, and on which port"),
    mark("look at address, port and network"),
    mark("put the files of [tls] right: ichnode check"),
    mark(
        "%(peer)s must show a certificate for %(host)s of an authority in tls.trusted, and "
        "believe the authority of %(name)s"
    ),
    mark(
        "set peers.port to the port at which %(peer)s expects TLS, often 2762; or, if it shall be "
        "called without, peers.tls = false"
    ),
    mark(
        "set peers.tls = true for %(peer)s; or, if it shall be called without, peers.port to its "
        "port without TLS, often 104 or 11112"
    ),
    mark("let %(title)s accept the Verification SOP class"),
    mark("ask why %(title)s does not answer C-ECHO"),
    mark("look into the log of %(title)s"),
    mark("let %(title)s store %(object)s (%(uid)s) from %(own_title)s"),
    mark("enter AE title %(own_title)s at %(address)s at %(peer)s as an allowed sender"),
    mark("ask how %(peer)s is called: it does not answer to %(title)s"),
    mark("%(peer)s is busy or limits associations: ask, or set associations = 1"),
    mark(
        "ask whether AE title %(own_title)s at %(address)s is entered at %(peer)s, and whether it "
        "expects TLS (it is used here)"
    ),
    mark(
        "ask whether AE title %(own_title)s at %(address)s is entered at %(peer)s, and whether it "
        "expects TLS (it is not used here)"
    ),
    mark("let it in here: ichnode callers add %(title)s"),
    mark("look at url, user, secret_file and trusted of this entry"),
)

#: Why TLS was not spoken: `dicom_node.association.tls.handshake_words`.
HANDSHAKES: Final = (
    mark("the handshake took too long"),
    mark("the certificate of the other side is not believed: %(words)s"),
    mark("the caller spoke HTTP"),
    mark("the other side has no TLS 1.2 or 1.3"),
    mark("the other side did not speak TLS"),
    mark("no cipher suite is known to both sides"),
    mark("no key exchange group is known to both sides"),
    mark("no signature algorithm is known to both sides"),
    mark("the caller showed no certificate"),
    mark("the peer demands a certificate that it trusts"),
    mark("the other side refused our version of TLS"),
    mark("the other side refused the cipher suites"),
    mark("the other side does not trust the authority of our certificate"),
    mark("the other side refused our certificate"),
    mark("the other side says that our certificate has ended"),
    mark("the other side says that our certificate is revoked"),
    mark("the other side hung up in the handshake"),
)

#: Comparisons and searches for earlier scans: `dicom_node.follow_up_view`, `jobs.prior_seeker`.
FOLLOW_UP: Final = (
    mark("comparison %(state)s: %(why)s"),
    mark("comparison %(state)s"),
    mark("%(baseline)s to %(later)s mL in %(hours)s h: %(verdict)s"),
    mark("%(baseline)s to %(later)s mL: %(verdict)s"),
    mark("expanded"),
    mark("not expanded"),
    mark("no verdict"),
    mark("priors at %(peer)s: %(why)s; again at %(moment)s"),
    mark("priors at %(peer)s: %(why)s"),
    mark("no earlier head CT in the window"),
    mark("no earlier head CT in the window that is not here yet"),
    mark("fetched %(images)s images of %(series)s series"),
    mark("fetched %(images)s images of %(series)s series, %(failed)s failed"),
    mark("fetched %(images)s images of %(series)s series, %(failed)s failed (%(words)s)"),
    mark("none of %(images)s images could be fetched"),
    mark("broken off, for the node was stopped"),
    mark("the images hold no Patient ID to ask for"),
    mark("the Patient ID holds a character that is a wildcard"),
    mark("the image that says whom to ask for is unreadable"),
)

#: What a destination has of a result: `dicom_node.status_view`.
DELIVERED: Final = (
    mark("%(name)s: %(here)s of %(all)s accepted"),
    mark("%(name)s: %(here)s of %(all)s accepted; %(why)s"),
    mark("%(name)s: %(here)s of %(all)s accepted, %(committed)s committed"),
    mark("%(name)s: %(here)s of %(all)s accepted, %(committed)s committed; %(why)s"),
)

#: What a destination said to an object: `dicom_node.association.storage_scu`.
SENT: Final = (
    mark("%(peer)s: %(outcome)s (0x%(code)s)"),
    mark("stored with a warning"),
    mark("out of resources"),
    mark("data set does not match SOP class"),
    mark("cannot understand"),
    mark("SOP class not supported"),
    mark("not authorised"),
)

#: What became of a log-in, in the audit.
LOG_INS: Final = (
    mark("logged in, %(address)s"),
    mark("logged out, %(address)s"),
    mark("failed, %(address)s"),
)

#: Where points of a series come from: `dicom_node.intake.selection_explained`.
POINTS: Final = (
    mark("%(points)s: slices are %(thickness)s mm thick"),
    mark("%(points)s: %(rule)s, found %(found)s"),
)

#: Why the node does not do what somebody wants.
REFUSALS: Final = (
    mark("the form is too old or not from this page; load it again"),
    mark("this needs the role %(role)s; %(name)s has not got it"),
    mark("a form takes %(number)s files; send a zip archive of them"),
    mark("a hold needs a reason"),
    mark("%(name)s is not held"),
    mark("no such action"),
    mark("no such change"),
    mark("no such delivery"),
    mark("no such destination"),
    mark("no such entry"),
    mark("no such entry; it may have been removed meanwhile"),
    mark("no such image, or it was purged"),
    mark("the settings have no key '%(name)s'"),
    mark("no such kind of entry"),
    mark("no such list of rules"),
    mark("no such object"),
    mark("no such picture"),
    mark("no such series"),
    mark("no such study"),
    mark("no such test; the node may have been restarted meanwhile"),
    mark("nothing was uploaded"),
    mark("the upload broke off"),
    mark("the disk has no room for it"),
    mark("this upload is somebody else's"),
    mark("the node has no images of this study"),
    mark("the search cannot be read: %(places)s"),
    mark("the settings name no such peer"),
    mark("the settings name no peer '%(name)s'"),
    mark("images come by move or get"),
    mark("one thing is asked for: a Patient ID, a Study Instance UID or an Accession Number"),
    mark("what is asked for holds a character that is a wildcard"),
    mark("what is asked for is too long or not printable"),
    mark("a Study Instance UID has digits and dots only"),
    mark("the test was forgotten"),
    mark("%(number)s tests are under way; try again when one of them has ended"),
    mark("say that you have looked at the comparison"),
    mark("there is no such role"),
    mark("cannot be read: %(places)s"),
    mark("the node runs without a settings file; write one with ichnode init"),
    mark("%(path)s was changed by somebody else meanwhile; look at it again"),
    mark("the ledger knows no study '%(uid)s'"),
    mark("study '%(uid)s' is not on hold"),
    mark(
        "no series of this study can be analysed again: none was chosen, its images were purged, "
        "or it is waiting or being analysed"
    ),
    mark("other models are on trial by now; look at them first"),
    mark("no model is on trial"),
    mark("other models are being tried; wait for them"),
    mark("name one or two bundles"),
    mark("two bundles are for %(task)s"),
    mark("%(name)s has the weights that are in use already"),
    mark("a token lasts 1 to %(number)s days, not %(found)s"),
    mark(
        "a name has 1 to 32 characters: lower-case letters, digits, '.', '-', '_', and begins "
        "with a letter or digit; found %(found)s"
    ),
)

#: Why a file of an upload was not taken: `dicom_node.manual_runs`.
UPLOADS: Final = (
    mark("the archive is broken"),
    mark("the archive is cut off"),
    mark("the archive is of the kind ZIP64; upload smaller parts"),
    mark("the archive holds more than %(number)s files"),
    mark("the archive would become more than %(number)s times as long"),
    mark("is damaged in the archive"),
    mark("is not as long as the archive says"),
    mark("its name leads out of the archive"),
    mark("is encrypted"),
    mark("is compressed in a way that is not read"),
    mark("is longer than %(number)s MB"),
    mark("is no DICOM file"),
    mark("is no CT image"),
    mark("is encoded in a way that is not read"),
    mark("its modality is %(modality)s"),
    mark("rank %(rank)s of %(number)s by what the peer tells"),
    mark("a destination does not have the results"),
)

ANSWERS: Final = (
    *(*TRIAL_FOUND, *TRIAL_ADVICE, *HANDSHAKES, *FOLLOW_UP, *DELIVERED, *SENT, *LOG_INS, *POINTS),
    *(*REFUSALS, *UPLOADS),
)
