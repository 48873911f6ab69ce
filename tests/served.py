"""Servers of the standard library, run for as long as a test needs them."""

import threading
from contextlib import contextmanager

#: How soon a server notices that it shall end.
_POLL_S = 0.05


@contextmanager
def served(server):
    """Yield a server that serves in a thread of its own; at the end nothing of it is left."""
    server.daemon_threads = True  # an answer that is never finished holds up nobody
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
