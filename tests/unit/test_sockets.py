"""Unit tests reach no network: the rule, tested on itself."""

from __future__ import annotations

import socket

import pytest


def test_a_unit_test_opens_no_network_socket() -> None:
    with pytest.raises(Exception, match="tried to use socket"):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
