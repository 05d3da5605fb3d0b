"""How `omnireel serve` listens."""

import socket

from omnireel.cli.serve import _bound_socket
from omnireel.settings import Settings


def test_an_answer_in_two_parts_does_not_wait_for_an_acknowledgement_in_between():
    with _bound_socket(Settings(), 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
