"""The environment of the node's processes: what must be known before a program begins.

OpenSSL is told which TLS profile the site wants, the allocator how many arenas it may have.
"""

import os
import subprocess
import sys
from typing import Final

from dicom_node.association.tls_profiles import (
    CONFIGURATION_VARIABLE,
    MODIFIED_CONFIGURATION,
    TlsProfile,
)
from dicom_node.settings.schema import Settings

_PATIENCE_S: Final = 60.0

#: glibc gives threads up to eight arenas a core, and each keeps what its busiest moment took. The
#: threads here take turns with Python's lock, and hundreds a day come and go with associations:
#: with arenas of their own the office grew for days (mallopt(3), docs/soak).
_ARENAS: Final = ("MALLOC_ARENA_MAX", "2")

#: Says on standard error why a process that is started so would not keep the profile.
_PROBE: Final = """
import ssl
from dicom_node.association.tls_profiles import TlsProfile, check_offer, cipher_string
from dicom_node.errors import TlsProfileError
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.set_ciphers(cipher_string(TlsProfile.MODIFIED))
try:
    check_offer(context, TlsProfile.MODIFIED)
except TlsProfileError as error:
    raise SystemExit(str(error))
"""


def environment_of_children(settings: Settings) -> dict[str, str]:
    """Return this process's environment, with OpenSSL's file for the profile that is wanted.

    What the site has set itself is left in place.
    """
    environment = dict(os.environ)
    environment.setdefault(*_ARENAS)
    if TlsProfile(settings.tls.profile) is TlsProfile.MODIFIED:
        environment.setdefault(CONFIGURATION_VARIABLE, str(MODIFIED_CONFIGURATION))
    return environment


def profile_fault(settings: Settings) -> str:
    """Return why the node's processes could not keep the profile, empty if they can."""
    if TlsProfile(settings.tls.profile) is not TlsProfile.MODIFIED:
        return ""
    done = subprocess.run(  # noqa: S603 - this program's own words
        [sys.executable, "-c", _PROBE],
        env=environment_of_children(settings),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    return done.stderr.strip() if done.returncode else ""
