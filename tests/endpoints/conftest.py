"""A stand-in for an endpoint's server, and the key that it wants."""

import pytest

from tools.testing import hosting
from tools.testing.chat_server import ChatServer

KEY = "sk-very-secret-key"


@pytest.fixture(scope="module")
def running():
    with ChatServer() as server:
        yield server


@pytest.fixture
def server(running, monkeypatch):
    monkeypatch.setattr(hosting.module("guards.endpoints.endpoint"), "PAUSES", (0.02, 0.02))
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    running.reset()
    return running
