"""Endpoints as people run them: servers that refuse fields, answer in odd places, stream unasked or hide their errors."""

import asyncio

import pytest
from aiohttp import web

from tools.testing import hosting
from tools.testing.chat_server import ChatServer

endpoint, profiles, rewriter, replies = (
    hosting.module(f"guards.rewriters.{name}") for name in ("endpoint", "profiles", "protocol", "replies")
)
KEY, PROMPT = "sk-very-secret-key", "a secret prompt about five cats"
MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": PROMPT}]


@pytest.fixture(scope="module")
def running():
    with ChatServer() as server:
        yield server


@pytest.fixture
def server(running, monkeypatch):
    monkeypatch.setattr(endpoint, "PAUSES", (0.02, 0.02))
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    running.reset()
    return running


def client(server, url=None, model="m", **settings):
    return endpoint.Endpoint("shop", profiles.Profile(url or server.url, "", "TEST_LLM_KEY"), model, **settings)


def ask(chatter, **options):
    return asyncio.run(chatter.chat(MESSAGES, **options))


def sent(server):
    return [request[3] for request in server.requests]


def answering(**message):
    finish = message.pop("finish", "stop")
    return lambda request: web.json_response({"choices": [{"message": message, "finish_reason": finish}]})


def refusing(server, name, status=400, text="{name} is not supported"):
    """A server that refuses a field of the request by name."""

    def fail(request):
        if name in sent(server)[-1]:
            return web.json_response({"error": {"message": text.format(name=name)}}, status=status)
        return None

    return fail


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("name", ["seed", "temperature", "max_tokens", "stream"])
def test_a_field_that_is_refused_by_name_is_left_out_and_stays_out(server, name, status):
    server.fail, chatter = refusing(server, name, status), client(server)
    assert ask(chatter, temperature=0.5).text == "a dog" and len(server.requests) == 2
    assert name not in sent(server)[1] and len(sent(server)[1]) >= len(sent(server)[0]) - 1
    ask(chatter)
    assert len(server.requests) == 3, "the server is not asked twice for what it refuses"


def test_a_temperature_that_must_be_positive_is_made_so(server):
    def fail(request):
        if sent(server)[-1]["temperature"] == 0:
            return web.json_response({"error": "`temperature` must be strictly positive"}, status=422)
        return None

    server.fail = fail
    assert ask(client(server)).text == "a dog" and sent(server)[1]["temperature"] == 0.01


def test_a_system_role_that_is_refused_goes_into_the_users_words(server):
    def fail(request):
        if sent(server)[-1]["messages"][0]["role"] == "system":
            return web.json_response({"error": {"message": "System role not supported"}}, status=400)
        return None

    server.fail = fail
    assert ask(client(server)).text == "a dog"
    assert sent(server)[1]["messages"] == [{"role": "user", "content": f"be brief\n\n{PROMPT}"}]


@pytest.mark.parametrize("end", ["", "/", "/chat/completions", "/v1/", "/v1/chat/completions"])
@pytest.mark.parametrize("lost", ["404", "error", "html"])
def test_a_base_url_may_lack_its_end_or_have_too_much_of_it(server, end, lost):
    def fail(request):
        if request.path.startswith("/v1/"):
            return None
        if lost == "404":
            return web.Response(status=404)
        if lost == "html":
            return web.Response(text="<html>a page</html>")
        return web.json_response({"error": f"Unexpected endpoint or method. (POST {request.path})"})

    server.fail = fail
    chatter = client(server, server.url.removesuffix("/v1") + end)
    assert ask(chatter).text == "a dog" and ask(chatter).text == "a dog"
    assert [request[1] for request in server.requests][-2:] == ["/v1/chat/completions"] * 2


@pytest.mark.parametrize(
    "reply",
    [
        answering(content="", reasoning_content="The cat must go.\n\na dog"),
        answering(content=None, reasoning="a dog"),
        answering(content="a dog", reasoning_content="cat"),
        lambda request: web.Response(body=b"\xef\xbb\xbf" + b'{"choices": [{"message": {"content": "a dog"}}]}'),
        lambda request: web.Response(
            text='data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n: ping\n\ndata: {"choices": [{"delta": {"content": "a "}}]}\n\n'
            'data: {"choices": [{"delta": {"content": "dog"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
            content_type="text/event-stream",
        ),
        lambda request: web.Response(
            text='data: {"id": "\u2028\x85", "choices": [{"delta": {"content": "a "}}]}\r\n\r\n'
            'data: {"choices": [{"delta": {"content": "dog"}, "finish_reason": "stop"}]}\r\n\r\n',
            content_type="text/event-stream",
        ),
    ],
)
def test_an_answer_is_found_where_it_is(server, reply):
    server.fail = reply
    assert ask(client(server)).text == "a dog"


@pytest.mark.parametrize(
    "first", [{"content": "", "reasoning_content": "cats, hm"}, {"content": "a dog on"}, {"content": "<think>hm"}]
)
def test_an_answer_cut_off_is_asked_for_with_more_tokens(server, first):
    def fail(request):
        if sent(server)[-1]["max_tokens"] < 1000:
            return answering(finish="length", **first)(request)
        return None

    server.fail = fail
    assert ask(client(server)).text == "a dog" and [body["max_tokens"] for body in sent(server)] == [96, 1024]
    server.fail = answering(finish="length", **first)
    with pytest.raises(rewriter.RewriterError, match="Raise max_length"):
        ask(client(server))


@pytest.mark.parametrize(
    "error, said",
    [
        (
            {"error": {"message": f"No credits for {PROMPT} left, {KEY}"}},
            "answers with an error: No credits for ... left, ...",
        ),
        ({"error": "Model m is not loaded"}, "answers with an error: Model m is not loaded"),
        ({"object": "error", "message": "too long"}, "answers with an error: too long"),
        ({"detail": "see http://10.0.0.1/secret"}, "answers with an error: see ..."),
    ],
)
def test_an_error_that_comes_as_an_answer_is_shown_without_secrets(server, error, said):
    server.fail = lambda request: web.json_response(error)
    with pytest.raises(rewriter.RewriterError) as caught:
        ask(client(server))
    assert said in str(caught.value) and KEY not in str(caught.value) and PROMPT not in str(caught.value)


@pytest.mark.parametrize(
    "status, said",
    [
        (402, "wants to be paid"),
        (413, "too large"),
        (451, "legal"),
        (524, "took too long for the proxy"),
        (520, "behind its proxy"),
    ],
)
def test_rarer_statuses_have_words_that_help(server, status, said):
    server.fail = lambda request: web.Response(status=status)
    with pytest.raises(rewriter.RewriterError, match=said):
        ask(client(server))


def test_a_model_that_declines_is_told(server):
    server.fail = answering(content=None, refusal="I can't")
    with pytest.raises(rewriter.RewriterError, match="the model declines"):
        ask(client(server))


def test_the_first_model_that_can_chat_is_asked(server):
    listed = [{"id": "nomic-embed-text"}, {"id": "bge-m3"}, {"id": "x", "type": "embeddings"}, {"id": "qwen"}]
    assert replies.chat_models({"data": listed})[0] == "qwen"
    assert replies.chat_models({"models": [{"name": "llama"}]}) == ["llama"] and not replies.chat_models({"data": 3})


def judged(server, message, **choice):
    reply = {"choices": [{"message": message, "finish_reason": "length", **choice}]}
    server.fail = lambda request: web.json_response(reply) if "logprobs" in sent(server)[-1] else None
    return asyncio.run(client(server).judge(MESSAGES))


def test_yes_and_no_come_with_their_probabilities(server):
    rows = [{"token": "No", "logprob": -0.2231}, {"token": " yes", "logprob": -1.6094}, {"token": "I", "logprob": -9}]
    verdict = judged(
        server, {"content": "No"}, logprobs={"content": [{"token": "No", "logprob": -0.2, "top_logprobs": rows}]}
    )
    assert verdict.graded and verdict.yes == pytest.approx(0.2, abs=1e-3) and len(server.requests) == 1
    assert sent(server)[0]["max_tokens"] == 8 and sent(server)[0]["logprobs"] is True
    assert judged(server, {"content": "Yes, it does"}).yes == 1.0


def test_a_server_without_probabilities_is_asked_for_the_word(server):
    server.fail, server.answer = refusing(server, "logprobs"), "No."
    verdict = asyncio.run(client(server).judge(MESSAGES))
    assert (verdict.yes, verdict.told, verdict.graded) == (0.0, True, False)
    assert "top_logprobs" not in sent(server)[1]
    server.answer = "perhaps"
    assert not asyncio.run(client(server).judge(MESSAGES)).told
