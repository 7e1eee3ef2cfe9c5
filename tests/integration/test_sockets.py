"""Other tests reach this machine only: the rule, tested on itself."""

from __future__ import annotations

import socket

import pytest


def test_no_test_connects_to_another_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one, pytest.raises(Exception, match=r"192\.0\.2\.1"):
        one.connect(("192.0.2.1", 80))


def test_a_test_may_connect_to_its_own_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass
