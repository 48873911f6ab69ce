"""The pynetdicom that plays the other side in tests closes its sockets, and ends at once.

Its `AssociationSocket` closes a socket only if it could be shut down; where the other end has gone
first, as one does that is killed, the socket is left to the garbage collector, and whichever test
is running then is told of it. The node's own sockets do not rely on this: `GuardedSocket` and
`negotiate` close theirs themselves.

Its servers look every half second whether they shall end, and collect garbage at every sixtieth
look.
"""

from socketserver import BaseServer

from pynetdicom.transport import AssociationServer, AssociationSocket

#: How soon a server notices that it shall end.
_POLL_S = 0.05

_shut_down = AssociationSocket._shutdown_socket


def _shut_down_and_close(transport):
    _shut_down(transport)
    if transport.socket is not None:
        transport.socket.close()


def _serve_forever(server, poll_interval=_POLL_S):
    BaseServer.serve_forever(server, poll_interval)


def close_sockets():
    """Have it so for the rest of this process."""
    AssociationSocket._shutdown_socket = _shut_down_and_close
    AssociationServer.serve_forever = _serve_forever
    AssociationServer.service_actions = BaseServer.service_actions  # nothing
