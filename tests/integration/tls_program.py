"""A provider with TLS in a process of its own; ends with its standard input.

Arguments: profile, certificate, key, authorities.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from dicom_node.association.callers import Caller
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.tls import ServerTls, TlsFiles
from dicom_node.association.tls_profiles import TlsProfile
from dicom_node.errors import TlsFileError


class NoIntake:
    """Takes nothing."""

    def accept(self, request):
        """Refuse."""
        raise OSError(f"nothing is taken, and no {request}")

    def association_closed(self, sender, at):
        """Forget it."""


def main():
    """Listen until standard input ends."""
    profile, *paths = sys.argv[1:]
    certificate, key, trusted = (Path(path) for path in paths)
    files = TlsFiles(certificate=certificate, key=key, trusted=trusted)
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host="127.0.0.1",
            port=None,
            tls_port=0,
            tls=ServerTls(files=files, profile=TlsProfile(profile)),
            callers=(Caller(ae_title=None),),
        ),
        intake=NoIntake(),
        clock=lambda: datetime.now(UTC),
    )
    try:
        provider.start()
    except TlsFileError as error:
        raise SystemExit(str(error)) from error
    print(provider.tls_port, flush=True)
    sys.stdin.read()
    provider.stop(grace_s=0.1)


if __name__ == "__main__":
    main()
