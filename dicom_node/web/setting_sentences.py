"""What is said of a settings file that is wrong: what was found, and what was expected.

Like the sentences of the ledger they are found by their patterns, see `dicom_node.web.sentences`.
"""

from typing import Final

from dicom_node.web.words import mark

#: What stands in the file instead, where it is not the value itself.
_FOUND: Final = (
    mark("%(key)s: found %(found)s; expected %(expected)s"),
    mark("none"),
    mark("nothing"),
    mark("an unknown key"),
    mark("no such file"),
    mark("no list"),
    mark("%(quoted)s again"),
    mark("no peer that gets every result"),
)

#: What any value has to be: `dicom_node.settings.file`, `dicom_node.configuration.toml_text`.
_SHAPE: Final = (
    mark("a value; this key has no default"),
    mark("a whole number"),
    mark("a number"),
    mark("true or false"),
    mark("text in quotes"),
    mark("a path in quotes"),
    mark("a list in [ ]"),
    mark("a table"),
    mark("a finite number"),
    mark("more than %(number)s"),
    mark("%(number)s or more"),
    mark("less than %(number)s"),
    mark("%(number)s or less"),
    mark("one of %(choices)s"),
    mark("text of the form %(pattern)s"),
    mark("at least %(number)s characters"),
    mark("at least %(number)s entry"),
    mark("[[...]] blocks"),
    mark("one; there are: %(known)s"),
    mark("letters, digits, - and _"),
)

#: What the file itself has to be.
_FILE: Final = (
    mark("a TOML file"),
    mark("%(places)s, or --config FILE"),
    mark("readable TOML"),
    mark("readable TOML in UTF-8"),
    mark("a file that can be read, in UTF-8"),
    mark("a file and a history that can be changed"),
)

#: What single values have to be: `dicom_node.settings.values`, `.web`.
_VALUE: Final = (
    mark('"auto", "cpu", "cuda" or "cuda:1"'),
    mark(
        "an AE title: 1 to 16 printable ASCII characters, no backslash, no space at either end "
        "(PS3.5, section 6.2)"
    ),
    mark("a short name: lower-case letters, digits, '-' and '_', at most 32 characters"),
    mark("an IP address or host name, for example 10.0.0.7"),
    mark("a regular expression (%(error)s)"),
    mark("an IP address or network, for example 10.0.0.7 or 10.0.0.0/24"),
    mark(
        "cn:NAME, dns:HOST or sha256:FINGERPRINT (64 hexadecimal digits) of the certificate that "
        "the caller shows, for example cn:CT1"
    ),
    mark("a path that begins with / or ~"),
    mark('"sqlite" or an address like "%(example)s", its password in ledger_secret_file'),
    mark("an address that begins with https:// or http://, without a password"),
    mark("a mail address, for example ct@hospital.example"),
    mark(
        'at least one of "explicit", "implicit" and "deflated": only captures can be "jpegls" or '
        '"rle"'
    ),
    mark("an address without a path, for example https://ichnode.hospital.example"),
    mark("an address that begins with https:// or http:// and has %(study)s"),
    mark("a time zone such as Europe/Berlin or Asia/Shanghai"),
    mark("an address that begins with https://"),
    mark('words with a blank between them, "openid" among them'),
)

#: What keys have to be beside one another: `dicom_node.settings.contradictions`.
_BETWEEN: Final = (
    mark('"", or a postgresql:// address in node.ledger'),
    mark("another port than %(key)s"),
    mark("true, or tls.enabled = true beside it"),
    mark("the path of a PEM file, for %(reason)s"),
    mark("none, or tls.enabled and tls.callers_need_certificate = true beside it"),
    mark('false, for tls.profile is "modified"'),
    mark("how browsers reach the pages, by https://; the provider sends them there"),
    mark("the name of the node at the provider, for web.oidc_issuer names one"),
    mark('for example { admin = "ichnode-admins" }: without a role nobody gets in'),
    mark("a value such as %(example)s, for alerts.mail_to names somebody"),
    mark("another hour than from_hour"),
    mark("0, or more than node.free_space_floor_mb (%(number)s)"),
    mark("a %(key)s that no other entry of %(table)s has"),
    mark("a name that no other peer has"),
    mark("a code, or a pattern in labels"),
    mark('"", "web" or the name of a peer with gives_priors'),
    mark(
        'a peer with receives_results = true and receives = "all": a completed workitem names '
        "where its results are"
    ),
    mark("https://, for a secret is sent there"),
    mark("%(key)s (%(number)s) or more"),
    mark("the thinner value first"),
    mark("%(key)s is true"),
    mark('audit.transport is "tls"'),
    mark("%(key)s names one"),
)

SETTINGS: Final = (*_FOUND, *_SHAPE, *_FILE, *_VALUE, *_BETWEEN)
