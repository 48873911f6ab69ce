"""Orthanc as a PACS of the tests, started and stopped by them."""

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from acceptance.node_process import wait_until

from dicom_node.commands.demo_stage import free_ports

#: Only this test's own Orthanc, on the loopback address, ever hears it.
_USER = base64.b64encode(b"test:test").decode()


class Orthanc:
    """An Orthanc with an empty store of its own."""

    def __init__(self, folder, *, node_port=0, plugins=(), **more):
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
        if program is None:
            pytest.skip("Orthanc is not installed (Debian package orthanc)")
        self.dicom_port, self.http_port = free_ports(2)
        folder.mkdir()
        config = folder / "orthanc.json"
        settings = {
            "StorageDirectory": str(folder / "store"),
            "IndexDirectory": str(folder / "store"),
            "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {"test": "test"},
            "DicomAlwaysAllowStore": True,
            "DicomModalities": {"node": ["ICHNODE", "127.0.0.1", node_port or 11112]},
            "Plugins": [str(plugin) for plugin in plugins],
        }
        config.write_text(json.dumps(settings | more))
        self.log = (folder / "orthanc.log").open("w")
        self.process = subprocess.Popen([program, str(config)], stdout=self.log, stderr=self.log)
        wait_until(lambda: self.ask("/system"))

    def ask(self, path, body=None):
        """Return what the REST interface answers; None while nobody listens."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            headers={"Authorization": f"Basic {_USER}"},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  loopback
                return json.loads(answer.read())
        except urllib.error.URLError:
            return None

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
