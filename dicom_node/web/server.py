"""Serving the pages from a thread of the office."""

import socket
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from dicom_node.association.tls import web_context
from dicom_node.lasting_thread import LastingThread

#: How long the server may take to begin or to end.
_PATIENCE_S = 10.0


class WebServer:
    """Serves an application until it is stopped.

    Parameters
    ----------
    app : FastAPI
        The application.
    host, port
        Where to listen; port 0 takes a free one.
    certificate, key
        PEM files, for TLS; empty for none.

    Raises
    ------
    TlsFileError
        If they cannot be used.
    """

    def __init__(
        self, app: FastAPI, *, host: str, port: int, certificate: str = "", key: str = ""
    ) -> None:
        context = web_context(Path(certificate), Path(key)) if certificate else None
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            # Strict about the request line; uvicorn takes another parser where it is installed.
            http="h11",
            proxy_headers=False,
            ssl_context_factory=(lambda *_: context) if context else None,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; only after `start`."""
        if self._socket is None:
            raise RuntimeError("The server has no port before it is started")
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Listen; returns once the page answers.

        Raises
        ------
        OSError
            If the port is taken.
        """
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        sockets = [self._socket]
        self._thread = LastingThread(target=lambda: self._server.run(sockets=sockets), name="web")
        self._thread.start()
        deadline = time.monotonic() + _PATIENCE_S
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        """Finish the requests under way and close the port."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        if self._socket is not None:
            self._socket.close()
