"""Keys as people set them, and keys and addresses in what servers say."""

import socket
import threading

import pytest
from aiohttp import web

from tests.endpoints.test_endpoint import ask, client, profiles, refusal
from tests.endpoints.test_replies import rewriter
from tools.testing import hosting
from tools.testing.chat_server import error

hiding = hosting.module("guards.endpoints.hiding")


@pytest.mark.parametrize(
    "written", ['"sk-abc-1"', "'sk-abc-1'", "Bearer sk-abc-1", " sk-abc-1\r\n", "\ufeffsk-abc-1", '"Bearer sk-abc-1"']
)
def test_a_key_is_sent_without_what_it_is_often_written_with(server, monkeypatch, written):
    monkeypatch.setenv("TEST_LLM_KEY", written)
    ask(client(server))
    assert server.requests[0][2]["Authorization"] == "Bearer sk-abc-1"


@pytest.mark.parametrize("written", ["sk\n2", "sk-\u00e4", "sk-\u200b2"])
def test_a_key_that_cannot_be_sent_is_told_with_the_mend(server, monkeypatch, written):
    monkeypatch.setenv("TEST_LLM_KEY", written)
    with pytest.raises(rewriter.RewriterError, match="characters that no header may hold. Set it again") as caught:
        ask(client(server))
    assert written not in str(caught.value) and not server.requests


SECRET = "sk-Very-Secret-Key-4711"


@pytest.mark.parametrize(
    "text",
    [
        *("Received API Key = sk-...4711", "key sk-Ve…4711", "sk-**4711 is wrong", "(sk-v..)", "it is ...4711"),
        *(SECRET.upper(), "\u200b".join(SECRET), SECRET.replace("-", "_"), f"Bearer%20{SECRET}", SECRET[:9]),
    ],
)
def test_no_part_of_a_key_is_shown(text):
    shown = hiding.harmless(f"wrong: {text} here", SECRET, ())
    assert shown.startswith("wrong: ") and not any(
        part in shown.casefold() for part in ("4711", "sk-", "very", "secret")
    )


@pytest.mark.parametrize("key", ["x", "o", "none", "token", "not-needed", "seed"])
def test_a_key_that_is_a_mere_word_does_not_spoil_what_is_read(server, monkeypatch, key):
    monkeypatch.setenv("TEST_LLM_KEY", key)
    server.fail = lambda request: error(404, "model 'm' not found, try pulling it first")
    assert "knows no model 'm' (404): model 'm' not found, try" in refusal(client(server))
    server.fail = lambda request: error(400, "seed unknown") if "seed" in server.requests[-1][3] else None
    chatter = client(server)
    assert ask(chatter).text == "a dog" and chatter.ways == {"seed": True}


@pytest.mark.parametrize(
    "place", ["::1:8080", "[::1]:80", "localhost:8080", "llm.internal:8000", "10.0.0.1:80", "http://h/x?k=1"]
)
def test_no_address_is_shown(place):
    assert hiding.harmless(f"dial tcp {place} refused", "", ()) == "dial tcp ... refused"


def test_what_only_looks_like_an_address_is_shown():
    for text in ("std::bad_alloc, model llama3:8b", "Error: no 'x'", "Loading model... wait"):
        assert hiding.harmless(text, SECRET, ()) == text


@pytest.mark.parametrize(
    "url",
    [
        "http://.../v1",
        "http://a..b/v1",
        f"http://{'a' * 70}.com/v1",
        "http://${HOST}/v1",
        "http://http://h/v1",
        "http://*:80",
    ],
)
def test_what_is_no_address_is_told_with_its_profile(server, url):
    assert profiles.fault(url) == profiles.NO_ADDRESS
    with pytest.raises(rewriter.RewriterError, match=r"profile"):
        ask(client(server, url=url))


def test_spaces_around_an_address_are_nothing_and_azures_is_named():
    assert profiles.parse('{"a": {"base_url": " http://h/v1/\\n"}}', "F")["a"].base_url == "http://h/v1"
    assert "https://NAME.openai.azure.com/openai/v1" in profiles.fault("https://h/openai?api-version=2024-10-21")


def test_http_and_https_are_told_apart(server):
    assert "speaks no https at that port. Write http://" in refusal(
        client(server, url=server.url.replace("http", "https"))
    )
    server.fail = lambda request: web.Response(
        status=301, headers={"Location": "https://127.0.0.1/v1/chat/completions"}
    )
    assert "redirects to another address (301), which is not followed. Write https://" in refusal(client(server))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def alert():
            while True:
                try:
                    caller, _ = listening.accept()
                    caller.recv(65536)
                    caller.sendall(b"\x15\x03\x01\x00\x02\x02\x46")
                    caller.close()
                except OSError:
                    return

        threading.Thread(target=alert, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        assert "check port and http or https in its profile" in refusal(client(server, url=url))
