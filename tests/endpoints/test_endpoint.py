"""The endpoint back end against a real server on loopback that answers, fails, stalls and lies."""

import asyncio
import logging
import socket

import pytest
from aiohttp import web

from tests.endpoints.conftest import KEY
from tools.testing import hosting
from tools.testing.chat_server import error

endpoint, profiles, rewriter = (
    hosting.module(f"guards.{name}") for name in ("endpoints.endpoint", "endpoints.profiles", "rewriters.protocol")
)
PROMPT = "secret-prompt-about-cats"
MESSAGES = [{"role": "user", "content": PROMPT}]


class Watched(endpoint.Clock):
    """A clock that does not wait: it goes on by what was slept, and remembers it. ``late``: every request meets its time-out."""

    def __init__(self, late=False):
        self.time, self.slept, self.bounds, self.late = 100.0, [], [], late

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds

    async def within(self, seconds, work):
        self.bounds.append(seconds)
        return await super().within(0.2 if self.late else 20.0, work)


def client(server, **changes):
    settings = {"model": "m", "timeout": 5.0, **changes}
    url, key_env = settings.pop("url", server.url), settings.pop("key_env", "TEST_LLM_KEY")
    return endpoint.Endpoint("shop", profiles.Profile(url, "", key_env), **settings)


def ask(chatter, **options):
    return asyncio.run(chatter.chat(MESSAGES, **options))


def refusal(chatter):
    """The message of the RewriterError, after a look for secrets in it and in what it came from."""
    with pytest.raises(rewriter.RewriterError) as caught:
        ask(chatter)
    for text in (str(caught.value), repr(caught.value), repr(chatter), str(caught.value.__cause__)):
        assert KEY not in text and PROMPT not in text and "127.0.0.1" not in text
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_an_answer_comes_with_its_tokens(server):
    assert ask(client(server, max_length=50), temperature=0.7, seed=2**40 + 5) == rewriter.Answer("a dog", 11, 7)
    ((method, path, headers, body),) = server.requests
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/chat/completions", f"Bearer {KEY}")
    assert body == {
        "model": "m",
        "messages": MESSAGES,
        "max_tokens": 50,
        "temperature": 0.7,
        "seed": 5,
        "stream": False,
    }


def test_without_a_key_none_is_sent(server):
    ask(client(server, key_env=""))
    assert "Authorization" not in server.requests[0][2]


def test_without_a_model_the_first_one_listed_is_asked(server):
    ask(client(server, model=""))
    assert [one[1] for one in server.requests] == ["/v1/models", "/v1/chat/completions"] and server.requests[1][3][
        "model"
    ] == "first-model"


def status(number, **headers):
    return lambda request: web.json_response({"error": f"{KEY} {PROMPT}"}, status=number, headers=headers)


@pytest.mark.parametrize(
    "no_list, said",
    [
        (lambda: web.Response(status=404), "has no list of models (404)"),
        (lambda: web.json_response({"data": []}), "names no model"),
        (lambda: web.Response(text="<html>hello</html>"), "does not answer in JSON"),
    ],
)
def test_a_server_without_a_list_of_models_is_asked_all_the_same(server, no_list, said):
    server.fail = lambda request: no_list() if request.method == "GET" else None
    assert ask(client(server, model="")).text == "a dog" and server.requests[-1][3]["model"] == "default"
    server.fail = lambda request: no_list() if request.method == "GET" else error(404, "model 'default' not found")
    message = refusal(client(server, model=""))
    assert (
        said in message and "Asked for the model 'default' all the same, it knows no model 'default' (404)" in message
    )
    with pytest.raises(rewriter.RewriterError):
        asyncio.run(client(server, model="").listed())


FILTERED = [
    (
        400,
        "The response was filtered due to the prompt triggering our content management policy.",
        {"code": "content_filter"},
    ),
    (400, "Sorry.", {"innererror": {"code": "ResponsibleAIPolicyViolation"}}),
    (
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        {"code": "invalid_prompt"},
    ),
    (403, 'It requires moderation. Your input was flagged for "violence".', {"code": 403}),
    (400, "Input data may contain inappropriate content.", {"code": "data_inspection_failed"}),
    (400, "Content Exists Risk", {"type": "invalid_request_error"}),
    (500, "litellm.ContentPolicyViolationError: it violates our safety policy", {}),
    (200, "Output blocked by content filtering policy", {}),
]


@pytest.mark.parametrize("number, text, more", FILTERED)
def test_a_filter_is_told_as_one(server, number, text, more):
    server.fail, chatter = lambda request: error(number, text, **more), client(server)
    message = refusal(chatter)
    assert "gave no answer: its own filter stopped it" in message and text.rstrip(".") in message
    assert message.endswith("Choose another endpoint for these concepts.")
    assert len(server.requests) == 1 and not chatter.ways, "nothing is left out for it"


@pytest.mark.parametrize(
    "number, text, more, said",
    [
        (
            400,
            "No models loaded. Please load a model in the developer page",
            {},
            "has not loaded the model (400): No models loaded",
        ),
        (400, "The model `x` does not exist", {"code": "model_not_found"}, "knows no model 'm' (400): The model"),
        (404, 'model "m" not found, try pulling it first', {}, "knows no model 'm' (404): model"),
        (500, "model 'm' not found", {}, "knows no model 'm' (500)"),
        (
            400,
            "This model's maximum context length is 2048 tokens",
            {},
            "finds the request too long for its model (400): This model's",
        ),
        (
            500,
            "the request exceeds the available context size",
            {"type": "exceed_context_size_error"},
            "too long for its model (500)",
        ),
        (
            400,
            "API key not valid. Please pass a valid API key.",
            {},
            "does not accept the key in TEST_LLM_KEY (400): API key not valid",
        ),
        (403, "Country, region, or territory not supported", {}, "refuses the request (403): Country, region"),
        (
            401,
            "You have no access",
            {},
            "does not accept the key in TEST_LLM_KEY (401): You have no access. Check the key",
        ),
        (
            422,
            "Failed to deserialize the body",
            {},
            "does not accept the request (422): Failed to deserialize the body. Look",
        ),
    ],
)
def test_what_a_refusal_says_is_told_and_nothing_left_out_for_it(server, number, text, more, said):
    server.fail, chatter = lambda request: error(number, text, **more), client(server)
    assert said in refusal(chatter) and len(server.requests) == 1 and not chatter.ways


def test_what_was_left_out_in_vain_is_asked_for_again(server):
    server.fail, chatter = lambda request: error(400, "Bad request"), client(server)
    assert "does not accept the request (400): Bad request" in refusal(chatter)
    assert "seed" not in server.requests[1][3] and not chatter.ways
    server.fail = lambda request: (
        error(400, "seed is not supported") if "seed" in server.requests[-1][3] else error(401, "no")
    )
    refusal(chatter)
    server.reset()
    assert ask(chatter).text == "a dog" and "seed" in server.requests[0][3]


def test_a_model_that_loads_is_waited_for_within_the_time_out(server):
    loading = lambda: error(503, "Loading model", code=503, type="unavailable_error")
    server.fail, clock = lambda request: loading() if len(server.requests) < 8 else None, Watched()
    assert ask(client(server, timeout=20.0, clock=clock)).text == "a dog" and clock.slept == [1.0] * 7
    server.fail, clock = lambda request: loading(), Watched()
    message = refusal(client(server, timeout=5.0, clock=clock))
    assert "is still loading its model (503): Loading model; waiting 1 s more, beyond the time-out of 5 s" in message
    assert len(clock.slept) == 4


@pytest.mark.parametrize("number", [200, 400, 401, 403, 404, 422, 429, 500])
@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-very-******-key. See https://example.org/keys",
        "no such key: very-secret",
        "your prompt: {prompt} is bad",
        "you wrote: red fox over\n the  lazy",
        "'lazy dog' is not nice",
        "输入包含: 红色狐狸跳过",
        "at http://10.1.2.3:80/x, 10.1.2.3",
        "\u202eab\x1b[31m",
    ],
)
def test_no_text_of_a_server_repeats_what_it_should_not(server, number, text):
    prompt = "a quick red fox over the lazy dog, 一只红色狐狸跳过懒狗"
    server.fail = lambda request: error(number, text.format(prompt=prompt))
    with pytest.raises(rewriter.RewriterError) as caught:
        asyncio.run(client(server).chat([{"role": "user", "content": prompt}]))
    message = str(caught.value)
    for secret in (KEY, "very", "secret", "red", "fox", "lazy", "狐狸", "example.org", "10.1.2.3"):
        assert secret not in message
    assert message.isprintable()


def test_an_error_whose_text_does_not_come_is_told_all_the_same(server, monkeypatch):
    monkeypatch.setattr(endpoint, "PATIENCE", 0.05)

    async def stall(request):
        reply = web.StreamResponse(status=401)
        await reply.prepare(request)
        await reply.write(b"{")
        while request.transport is not None:
            await asyncio.sleep(0.01)
        return reply

    server.fail = stall
    assert "does not accept the key in TEST_LLM_KEY (401)" in refusal(client(server))


def test_a_page_or_a_flood_as_an_error_is_not_shown(server):
    for text in ("<html>403</html>", "x " * 400, "[" * 900 + "]" * 900):
        server.fail = lambda request, text=text: web.Response(status=403, text=text)
        assert refusal(client(server)).endswith("(403). Check the key and what it is allowed to do.")
    server.fail = lambda request: web.Response(status=418, body=b'{"error": "' + b"y" * 3_000_000)
    assert len(refusal(client(server))) < 400


@pytest.mark.parametrize(
    "fail, said, tries",
    [
        (status(401), "does not accept the key in TEST_LLM_KEY (401)", 1),
        (status(403), "(403). Check the key", 1),
        (status(404), "knows no model 'm', or its base_url is wrong (404)", 1),
        (status(429), "is busy or its quota is used up (429) (3 tries)", 3),
        (status(500), "reports an error of its own (500) (3 tries). Try again later", 3),
        (status(503), "(503) (3 tries)", 3),
        (status(418), "answers with status 418", 1),
        (status(400), "does not accept the request (400)", 2),
        (status(422), "(422)", 1),
        (status(302, Location="http://127.0.0.1:1/x"), "redirects to another address (302), which is not followed", 1),
        (status(307, Location="/v1/chat/completions"), "redirects", 1),
        (status(308, Location="//evil"), "redirects", 1),
        (lambda r: web.Response(text="<html>no</html>"), "does not answer in JSON", 1),
        (lambda r: web.Response(text=""), "JSON", 1),
        (lambda r: web.Response(text='{"choices": [{"message": {"cont'), "does not answer in JSON", 1),
        (lambda r: web.Response(body=b"\xff\xfe"), "JSON", 1),
        (lambda r: web.Response(text="[" * 200_000), "does not answer in JSON", 1),
        (lambda r: web.json_response({}), "without a choice", 1),
        (lambda r: web.json_response({"choices": []}), "without a choice", 1),
        (lambda r: web.json_response([1]), "without a choice", 1),
        (lambda r: web.json_response({"choices": "x"}), "without a choice", 1),
        (
            lambda r: web.json_response({"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}),
            "Raise max_length",
            1,
        ),
        (
            lambda r: web.json_response(
                {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}
            ),
            "its own filter",
            1,
        ),
        (lambda r: web.Response(body=b"x" * 9_000_000), "sends more than 8 MB", 1),
    ],
)
def test_every_failure_is_told_in_one_clear_message(server, fail, said, tries):
    server.fail = fail
    message = refusal(client(server))
    assert message.startswith("Endpoint 'shop' ") and said in message and "\n" not in message
    assert len(server.requests) == tries


def test_a_refused_connection_is_told(server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert "refuses the connection (3 tries). Start that server" in refusal(
        client(server, url=f"http://127.0.0.1:{port}/v1")
    )


def test_a_name_that_no_one_knows_is_told(server):
    assert "cannot be reached" in refusal(client(server, url="http://no-such-host.invalid/v1"))


def test_a_connection_that_breaks_off_is_tried_again(server):
    left = [2]

    def breaks(request):
        if left[0]:
            left[0] -= 1
            request.transport.close()
            return web.Response()

    server.fail = breaks
    assert ask(client(server)).text == "a dog" and len(server.requests) == 3


def test_a_busy_server_is_asked_again_when_it_says(server):
    def busy_once(request):
        return web.Response(status=429, headers={"Retry-After": "3.5"}) if len(server.requests) == 1 else None

    server.fail, clock = busy_once, Watched()
    assert ask(client(server, clock=clock)).text == "a dog"
    assert clock.slept == [3.5] and clock.bounds == [5.0, 1.5], "the time-out holds for all tries together"


def test_a_busy_server_that_says_nothing_is_given_longer_each_time(server, monkeypatch):
    monkeypatch.setattr(endpoint, "PAUSES", (0.5, 1.0))
    server.fail, clock = status(503), Watched()
    refusal(client(server, clock=clock))
    assert clock.slept == [0.5, 1.0] and clock.bounds == [5.0, 4.5, 3.5]


def test_a_wait_beyond_the_time_out_is_not_begun(server):
    server.fail, clock = status(429, **{"Retry-After": "60"}), Watched()
    message = refusal(client(server, timeout=2.0, clock=clock))
    assert "it asks to wait 60 s more, beyond the time-out of 2 s" in message
    assert not clock.slept and len(server.requests) == 1


@pytest.mark.parametrize("drip", [False, True])
def test_a_server_that_stalls_meets_the_time_out(server, drip):
    async def stall(request):
        reply = web.StreamResponse()
        await reply.prepare(request)
        while request.transport is not None:
            if drip:
                await reply.write(b" ")
            await asyncio.sleep(0.01)
        return reply

    server.fail, clock = stall, Watched(late=True)
    assert "gave no answer within 1 s" in refusal(client(server, timeout=1.0, clock=clock))
    assert clock.bounds == [1.0]


def test_the_stop_button_is_looked_at_while_a_server_keeps_one_waiting(server, monkeypatch):
    """The answer would take for ever: that this ends at all shows that the button was heeded, at the second look."""
    monkeypatch.setattr(endpoint, "POLL", 0.01)
    server.delay, looks = 3600, []

    class Stopped(Exception):
        pass

    def stop():
        looks.append(len(server.requests))
        if len(looks) > 1 and looks[-1]:
            raise Stopped

    with pytest.raises(Stopped):
        ask(client(server, timeout=600.0, stop=stop))
    assert looks[-1] == 1
    server.delay = 0


def test_the_button_is_looked_at_often_enough():
    assert 0 < endpoint.POLL <= 0.5, "the stop button ends it within a second"


def test_a_model_that_knows_no_max_tokens_is_asked_in_the_newer_way(server):
    server.fail = lambda request: web.Response(status=400) if "max_tokens" in server.requests[-1][3] else None
    assert ask(client(server)).text == "a dog"
    assert server.requests[1][3] == {"model": "m", "messages": MESSAGES, "max_completion_tokens": 96, "stream": False}


def test_a_missing_key_is_told_before_anything_is_sent(server, monkeypatch):
    monkeypatch.delenv("TEST_LLM_KEY")
    assert "the environment variable TEST_LLM_KEY is not set on this server" in refusal(client(server))
    monkeypatch.setenv("TEST_LLM_KEY", "line\nbreak")
    assert "characters that no header may hold" in refusal(client(server))
    assert not server.requests


def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(client(server)).text == "a dog"


def test_neither_key_nor_prompt_reaches_a_log(server, caplog):
    with caplog.at_level(logging.DEBUG):
        ask(client(server))
        for fail in (status(401), status(500), lambda request: web.Response(text=KEY + PROMPT)):
            server.fail = fail
            refusal(client(server))
    said = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp.access"))
    assert KEY not in said and PROMPT not in said


def test_profiles_are_read_from_the_operators_file(tmp_path):
    path = tmp_path / "endpoints.json"
    assert profiles.load(path) == profiles.LOCAL and all(
        one.base_url.startswith("http://127.0.0.1:") for one in profiles.LOCAL.values()
    )
    path.write_text(
        '\ufeff{"mine": {"base_url": "https://x.org/v1/", "model": "m", "key_env": "K"}, "Ollama (local)": {"base_url": "http://h:1/v1"}}',
        encoding="utf-8",
    )
    known = profiles.load(path)
    assert (
        known["mine"] == profiles.Profile("https://x.org/v1", "m", "K")
        and known["Ollama (local)"].base_url == "http://h:1/v1"
    )
    assert list(known)[:2] == ["mine", "Ollama (local)"] and len(known) == len(profiles.LOCAL) + 1


@pytest.mark.parametrize(
    "text, said",
    [
        ('{\n "a": {"base_url": "https://x"},\n "b" {}\n}', "line 3: Expecting"),
        ("", "line 1: Expecting"),
        ("[]", "line 1: it is to hold profiles by name"),
        ("[" * 100_000, "nested"),
        ('{\n"a": 3}', "line 2: profile 'a' needs a base_url"),
        ('{\n\n"a": {}}', "line 3: profile 'a' needs a base_url"),
        ('{"a": {"base_url": "ftp://x"}}', "is to begin with http"),
        ('{"a": {"base_url": "file:///etc/passwd"}}', "is to begin with http"),
        ('{"a": {"base_url": "https://"}}', "is no address"),
        ('{"a": {"base_url": "https://x:99999/"}}', "is no address"),
        ('{"a": {"base_url": "https://u:hidden@x/v1"}}', "holds a user name or password"),
        ('{"a": {"base_url": "https://x/v1?k=hidden"}}', "without ?"),
        ('{"a": {"base_url": "https://x", "api_key": "hidden"}}', "take 'api_key' out"),
        ('{"a": {"base_url": "https://x", "Token": "hidden"}}', "take 'Token'"),
        ('{"a": {"base_url": "https://x", "modle": "m"}}', "has a field 'modle'"),
        ('{"a": {"base_url": "https://x", "model": 3}}', "model is to be"),
        ('{"a": {"base_url": "https://x", "key_env": "sk-hidden"}}', "not the key itself"),
        ('{"": {"base_url": "https://x"}}', "needs a name"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(tmp_path, text, said):
    path = tmp_path / "endpoints.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        profiles.load(path)
    assert str(path) in str(caught.value) and said in str(caught.value) and "hidden" not in str(caught.value)
