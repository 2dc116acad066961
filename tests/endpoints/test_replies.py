"""Endpoints as people run them: servers that refuse fields, answer in odd places, stream unasked or hide their errors."""

import asyncio
import json

import pytest
from aiohttp import web

from tests.endpoints.conftest import KEY
from tools.testing import hosting
from tools.testing.chat_server import answering, chunk, error, events

endpoint, profiles, rewriter, listing = (
    hosting.module(f"guards.{name}")
    for name in ("endpoints.endpoint", "endpoints.profiles", "rewriters.protocol", "endpoints.listing")
)
PROMPT = "a secret prompt about five cats"
MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": PROMPT}]


def client(server, url=None, model="m", **settings):
    return endpoint.Endpoint("shop", profiles.Profile(url or server.url, "", "TEST_LLM_KEY"), model, **settings)


def ask(chatter, **options):
    return asyncio.run(chatter.chat(MESSAGES, **options))


def sent(server):
    return [request[3] for request in server.requests]


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


@pytest.mark.parametrize(
    "name, status, text",
    [
        ("logprobs", 403, "You are not allowed to request logprobs from this model"),
        ("seed", 500, "litellm.APIError: unsupported parameter seed"),
        ("seed", 200, "Unknown parameter: seed"),
        ("logprobs", 400, "logprobs is not supported; supported are seed, temperature, max_tokens"),
    ],
)
def test_fields_are_refused_with_other_statuses_too(server, name, status, text):
    server.fail, chatter, server.answer = refusing(server, name, status, text), client(server), "yes"
    assert asyncio.run(chatter.judge(MESSAGES)).yes == 1.0 and len(server.requests) == 2
    assert set(chatter.ways) - {"top_logprobs"} == {name}, "nothing else is left out"


@pytest.mark.parametrize("text", ["upstream error: stream closed", "the temperature of the GPU is high"])
def test_a_servers_own_failure_is_no_refusal_of_a_field(server, text):
    server.fail = lambda request: error(500, text)
    with pytest.raises(rewriter.RewriterError) as caught:
        ask(client(server))
    assert f"reports an error of its own (500): {text} (3 tries)" in str(caught.value)
    assert len(server.requests) == 3 and all({"stream", "temperature"} <= set(body) for body in sent(server))


@pytest.mark.parametrize(
    "status, text",
    [
        (400, "System role not supported"),
        (400, "Only user and assistant roles are supported!"),
        (500, "System role not supported at row 1, column 40"),
        (500, "Conversation roles must alternate user/assistant/user/assistant/... at row 4"),
    ],
)
def test_a_system_role_that_is_refused_goes_into_the_users_words(server, status, text):
    def fail(request):
        return error(status, text, code=status) if sent(server)[-1]["messages"][0]["role"] == "system" else None

    server.fail = fail
    assert ask(client(server)).text == "a dog" and len(server.requests) == 2
    assert sent(server)[1]["messages"] == [{"role": "user", "content": f"be brief\n\n{PROMPT}"}]


def test_more_tokens_than_the_context_holds_are_not_insisted_on(server):
    """Only for the answer that was cut off: later ones have their bound."""

    def fail(request):
        body = sent(server)[-1]
        most = body.get("max_tokens", body.get("max_completion_tokens", 0))
        if most > 1000:
            name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
            return error(400, f"{name} is too large: {most}. This model's maximum context length is 512 tokens")
        return (
            web.json_response({"choices": [{"message": {"content": "a"}, "finish_reason": "length"}]}) if most else None
        )

    server.fail, chatter = fail, client(server)
    assert ask(chatter).text == "a dog" and not chatter.ways


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


PARTS = [{"type": "text", "text": "a "}, {"type": "text", "text": "dog"}]
OLLAMA = [{"model": "m", "message": {"role": "assistant", "content": word}, "done": False} for word in ("a ", "dog")]
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


@pytest.mark.parametrize(
    "reply",
    [
        events(chunk(delta={"content": PARTS}, finish_reason="stop")),
        events(chunk(delta={"content": "a "}), chunk(delta={"content": "dog"}), "data: [DONE]", end="\n"),
        events(
            'data: {"choices": [{"delta": {"content":\ndata: "a dog"},\ndata: "finish_reason": "stop"}]}',
            "data: [DONE]",
        ),
        events('data: {"choices": [{"delta": {"content":\r\ndata: "a dog"}}]}', "data: [DONE]", end="\r\n\r\n"),
        answering(content={"type": "text", "text": "a dog"}),
        answering(content=["a ", {"text": "dog"}]),
        answering(content=None, reasoning_details=[{"type": "reasoning.text", "text": "hm\n\na dog"}]),
        lambda request: web.json_response({"message": {"content": "a dog"}, **DONE}),
        lambda request: web.json_response({"response": "a dog", **DONE}),
        lambda request: web.json_response({"result": {"response": "a dog"}, "success": True, "errors": []}),
        lambda request: web.Response(text="\n".join(map(json.dumps, [*OLLAMA, DONE]))),
        lambda request: web.Response(text="\n".join(map(json.dumps, [*OLLAMA, {"response": "", **DONE}]))),
        *(
            lambda request, status=status: web.json_response(
                {"choices": [{"message": {"content": "a dog"}}]}, status=status
            )
            for status in (201, 202)
        ),
    ],
)
def test_an_answer_is_read_in_rarer_shapes_at_once(server, reply):
    server.fail = reply
    assert ask(client(server)).text == "a dog" and len(server.requests) == 1


@pytest.mark.parametrize(
    "content", ["a dog", [{"type": "text", "text": "a "}, {"type": "image"}, {"type": "text", "text": "dog"}, 3]]
)
def test_content_in_parts_is_read_too(server, content):
    server.fail = lambda request: web.json_response(
        {"choices": [{"message": {"content": content}}], "usage": {"prompt_tokens": "x"}}
    )
    assert ask(client(server)) == rewriter.Answer("a dog", 0, 0)


def test_ollamas_own_answers_bring_their_counts(server):
    server.fail = lambda request: web.json_response({"message": {"content": "a dog"}, **DONE})
    assert ask(client(server)) == rewriter.Answer("a dog", 3, 2)
    server.fail = lambda request: web.json_response({"message": {"content": "a dog"}, **DONE, "done_reason": "length"})
    with pytest.raises(rewriter.RewriterError, match="the tokens were used up"):
        ask(client(server))


def test_a_request_that_was_only_taken_is_no_answer(server):
    server.fail = lambda request: web.json_response({"reqId": "1", "status": "pending"}, status=202)
    with pytest.raises(rewriter.RewriterError, match="status 202, without an answer"):
        ask(client(server))


BROKEN = [
    answering(content="a half", finish="error"),
    answering(content="a half", finish="insufficient_system_resource"),
    lambda request: web.json_response(
        {
            "choices": [
                {"error": {"code": 502, "message": "no provider"}, "finish_reason": "error", "message": {"content": ""}}
            ]
        }
    ),
    lambda request: web.json_response({"error": {"code": "429", "message": "slow down"}}),
    lambda request: web.json_response({"error": {"code": "rate_limit_exceeded", "message": "slow down"}}),
    lambda request: web.json_response([{"error": {"status": "RESOURCE_EXHAUSTED", "message": "slow down"}}]),
    events(chunk(delta={"content": "a half"})),
    events(chunk(delta={"content": "a half"}), 'data: {"choices": [{"del'),
    events(chunk(delta={"content": "a half"}), 'data: {"error": {"code": 500, "message": "boom"}}'),
    events(chunk(delta={"content": "a half"}), 'event: error\ndata: {"code": 500, "message": "boom"}'),
    events(chunk(delta={"content": "a half"}, finish_reason="error")),
    lambda request: web.Response(text="\n".join(map(json.dumps, OLLAMA))),
]


@pytest.mark.parametrize("reply", BROKEN)
def test_a_broken_answer_is_not_taken_but_asked_for_again(server, reply):
    server.fail = lambda request: reply(request) if len(server.requests) == 1 else None
    assert ask(client(server)).text == "a dog" and len(server.requests) == 2
    server.fail = reply
    with pytest.raises(
        rewriter.RewriterError, match=r"(broke its answer off|no provider|slow down|boom).* \(3 tries\)"
    ):
        ask(client(server))


def test_an_event_of_an_error_is_shown(server):
    for data, said in (
        ("the model fell over", "the model fell over"),
        ('{"message": "out of memory"}', "out of memory"),
    ):
        server.fail = events(chunk(delta={"content": "a half"}), f"event: error\ndata: {data}")
        with pytest.raises(rewriter.RewriterError, match=f"answers with an error: {said}"):
            ask(client(server))


@pytest.mark.parametrize("finish", ["content_filter", "content_filter: SAFETY", "SAFETY", "sensitive"])
@pytest.mark.parametrize("content", ["a half", None])
def test_what_a_filter_left_is_no_answer(server, finish, content):
    server.fail = answering(content=content, finish=finish)
    with pytest.raises(rewriter.RewriterError, match="its own filter stopped it"):
        ask(client(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "data", [{"object": "chat.completion", "usage": {"prompt_tokens": 5}}, {"choices": [], "usage": {}}]
)
def test_an_answer_without_a_choice_may_be_a_filters(server, data):
    server.fail = lambda request: web.json_response(data)
    with pytest.raises(rewriter.RewriterError, match="whose own filter stopped it"):
        ask(client(server))


@pytest.mark.parametrize("finish", ["model_length", "max_tokens", "MAX_TOKENS", "Length"])
def test_an_answer_is_cut_off_by_whatever_name(server, finish):
    server.fail = lambda request: (
        answering(content="a half", finish=finish)(request) if len(server.requests) == 1 else None
    )
    assert ask(client(server)).text == "a dog" and [body["max_tokens"] for body in sent(server)] == [96, 1024]


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
        ({"error": "Model m is not loaded"}, "has not loaded the model: Model m is not loaded"),
        ({"object": "error", "message": "too long"}, "answers with an error: too long"),
        ({"detail": "see http://10.0.0.1/secret"}, "answers with an error: see ..."),
        ({"code": "InvalidRequest", "message": "bad words"}, "answers with an error: bad words"),
        (
            {"success": False, "errors": [{"code": 7000, "message": "bad route"}], "result": None},
            "answers with an error: bad route",
        ),
        ([{"error": {"code": "x", "message": "bad list"}}], "answers with an error: bad list"),
        ({"error": True, "message": "bad flag"}, "answers with an error: bad flag"),
        ({"detail": {"error": {"message": "bad depth"}}}, "answers with an error: bad depth"),
        ({"status": "error", "msg": "no credits"}, "answers with an error: no credits"),
        ({"detail": [{"loc": ["body", "n"], "msg": "is bad", "input": KEY}]}, "answers with an error: n: is bad"),
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
    assert listing.chat_models({"data": listed})[0] == "qwen"
    small = ["all-minilm:latest", "shieldgemma:2b", "paraphrase-multilingual:latest", "llama3.2:latest"]
    assert listing.chat_models({"data": [{"id": name} for name in small]})[0] == "llama3.2:latest"
    assert listing.chat_models({"models": [{"name": "llama"}]}) == ["llama"] and not listing.chat_models({"data": 3})


@pytest.mark.parametrize(
    "listed",
    [
        {"data": ["llama"]},
        [{"id": "llama"}],
        ["llama"],
        {"models": [{"model": "llama"}]},
        {"data": [{"id": "llama"}], "message": "ok"},
    ],
)
def test_a_list_of_models_is_read_in_the_shapes_there_are(server, listed):
    server.fail = lambda request: web.json_response(listed) if request.method == "GET" else None
    ask(client(server, model=""))
    assert sent(server)[-1]["model"] == "llama"


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
