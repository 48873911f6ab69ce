"""The pynetdicom that plays the other side in tests closes its sockets.

Its `AssociationSocket` closes a socket only if it could be shut down; where the other end has gone
first, as one does that is killed, the socket is left to the garbage collector, and whichever test
is running then is told of it. The node's own sockets do not rely on this: `GuardedSocket` and
`negotiate` close theirs themselves.
"""

from pynetdicom.transport import AssociationSocket

_shut_down = AssociationSocket._shutdown_socket


def _shut_down_and_close(transport):
    _shut_down(transport)
    if transport.socket is not None:
        transport.socket.close()


def close_sockets():
    """Have it so for the rest of this process."""
    AssociationSocket._shutdown_socket = _shut_down_and_close
