"""The shapes of answers and of lists of models, as gateways and older servers send them."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from tests.endpoints.test_replies import ask, client, listing, rewriter, sent
from tools.testing.chat_server import answering, chunk, events

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "a dog"}, "finish_reason": "stop"}]}
CHUNKS = [
    {"choices": [{"delta": {"content": "a "}}]},
    {"choices": [{"delta": {"content": "dog"}, "finish_reason": "stop"}]},
]


def body(data, **headers):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return lambda request: web.Response(body=data, headers={"Content-Type": "text/html", **headers})


@pytest.mark.parametrize(
    "reply",
    [
        body(gzip.compress(json.dumps(ANSWER).encode()), **{"Content-Encoding": "gzip"}),
        body(b"\xef\xbb\xbf" * 2 + json.dumps(ANSWER).encode() + b"\0"),
        body(b": PROCESSING\n\n: PROCESSING\n\n" + json.dumps(ANSWER).encode()),
        body(json.dumps(ANSWER)),
        body({"statusCode": 200, "body": json.dumps(ANSWER)}),
        body({"code": 200, "msg": "ok", "data": ANSWER}),
        body({"output": ANSWER, "request_id": "x"}),
        body({"response": ANSWER}),
        body([ANSWER]),
        body(CHUNKS),
        body({"object": "chat.completion.chunk", **CHUNKS[1], "choices": [{"delta": {"content": "a dog"}}]}),
        body({"choices": [{"message": "a dog"}]}),
        body({**ANSWER, "error": {"message": "", "type": "", "param": "", "code": None}}),
        body({**ANSWER, "error": {"code": 0, "message": "success"}}),
        answering(content=[{"type": "thinking", "text": "hm, cat"}, {"type": "text", "text": "a dog"}]),
        answering(content=[{"type": "reasoning", "text": "hm"}, {"type": "text", "text": {"value": "a dog"}}]),
        answering(content=[{"type": "text", "content": "a dog"}]),
        answering(content="", reasoning_content="The cat.\r\n\r\na dog\r\n"),
        events(chunk(delta={"content": "a dog"}), "data: [done]"),
    ],
)
def test_an_answer_is_read_in_the_wrappings_there_are(server, reply):
    server.fail = reply
    assert ask(client(server)).text == "a dog" and len(server.requests) == 1


def test_a_line_break_that_is_not_escaped_is_read(server):
    server.fail = body(b'{"choices": [{"message": {"content": "a dog\nruns"}}]}')
    assert ask(client(server)).text == "a dog\nruns"


def test_a_stream_may_be_long(server):
    rows = [chunk(delta={"reasoning_content": "hm"}, id="x" * 200)] * 6000
    server.fail = events(*rows, chunk(delta={"content": "a dog"}, finish_reason="stop"))
    assert ask(client(server)).text == "a dog"


CUT = (
    "max_new_tokens token_limit model_context_window_exceeded ERROR_LIMIT truncated incomplete FinishReason.MAX_TOKENS"
)
FAILED = "timeout failed server_error canceled engine_overloaded MALFORMED_RESPONSE"
FILTERED = (
    "content-filter contentFilter ERROR_TOXIC IMAGE_SAFETY MODEL_ARMOR blocked moderation FinishReason.SAFETY guardrail"
)


@pytest.mark.parametrize("finish", [*CUT.split(), *FAILED.split()])
def test_half_an_answer_is_asked_for_again_by_whatever_name(server, finish):
    half = answering(content="a half", finish=finish)
    server.fail = lambda request: half(request) if len(server.requests) == 1 else None
    assert ask(client(server)).text == "a dog"
    assert sent(server)[-1]["max_tokens"] == (1024 if finish in CUT.split() else 96)


@pytest.mark.parametrize("finish", FILTERED.split())
def test_a_filter_ends_an_answer_by_whatever_name(server, finish):
    server.fail = answering(content="a half", finish=finish)
    with pytest.raises(rewriter.RewriterError, match="its own filter stopped it"):
        ask(client(server))


@pytest.mark.parametrize(
    "finish", ["eos_token", "end_turn", "COMPLETE", "", None, "null", "FinishReason.STOP", "tool_calls"]
)
def test_an_answer_that_ended_well_is_taken_by_whatever_name(server, finish):
    server.fail = answering(content="a dog", finish=finish)
    assert ask(client(server)).text == "a dog" and len(server.requests) == 1


@pytest.mark.parametrize(
    "message", [{"content": "<think>hm"}, {"content": "", "reasoning_content": "The cat is"}, {"content": ""}]
)
def test_tokens_that_are_used_up_are_seen_where_the_server_does_not_say_so(server, message):
    data = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 96}}
    server.fail = lambda request: web.json_response(data) if len(server.requests) == 1 else None
    assert ask(client(server)).text == "a dog" and [one["max_tokens"] for one in sent(server)] == [96, 1024]


@pytest.mark.parametrize(
    "reply, said",
    [
        (answering(content=None, finish="tool_calls", tool_calls=[{"id": "x"}]), "calls a tool instead of answering"),
        (events(chunk(delta={"tool_calls": [{}]}), chunk(delta={}, finish_reason="tool_calls")), "calls a tool"),
        (answering(content=[{"type": "refusal", "refusal": "I cannot"}]), "the model declines"),
    ],
)
def test_what_is_no_answer_is_told(server, reply, said):
    server.fail = reply
    with pytest.raises(rewriter.RewriterError, match=said):
        ask(client(server))


@pytest.mark.parametrize(
    "data, first",
    [
        ({"result": [{"name": "@cf/llama"}], "success": True}, "@cf/llama"),
        ({"result": "koboldcpp/llama"}, "koboldcpp/llama"),
        ({"model_names": ["llama.gguf"]}, "llama.gguf"),
        ({"models": [{"type": "embedding", "key": "text"}, {"type": "llm", "key": "qwen"}]}, "qwen"),
        ({"data": {"llama": {}, "qwen": {}}}, "llama"),
        ({"data": {"models": [{"id": "llama"}]}}, "llama"),
        ({"result": {"data": [{"model_name": "llama"}]}}, "llama"),
        ({"id": "llama", "object": "model"}, "llama"),
        ({"data": {"id": "llama", "object": "model"}}, "llama"),
        ({"data": [{"id": 3, "name": " llama "}, {"id": " "}]}, "llama"),
        ({"data": [{"id": "a", "capabilities": {"completion_chat": False}}, {"id": "b"}]}, "b"),
        ({"models": [{"name": "a", "endpoints": ["embed"]}, {"name": "b", "endpoints": ["chat"]}]}, "b"),
        ({"data": [{"id": "a", "architecture": {"output_modalities": ["image"]}}, {"id": "b"}]}, "b"),
        (
            {
                "data": [
                    {"id": name} for name in ("sora-2", "veo-3.0", "babbage-002", "gpt-3.5-turbo-instruct", "gpt-4o")
                ]
            },
            "gpt-4o",
        ),
    ],
)
def test_a_list_of_models_is_read_in_rarer_shapes(data, first):
    assert listing.chat_models(data)[0] == first


def test_what_is_no_list_of_models_names_none():
    for data in (None, {}, {"data": []}, {"data": None}, {"message": "ok"}, {"data": [{"id": "x" * 400}]}, [3, None]):
        assert listing.chat_models(data) == []


def test_the_models_are_listed_from_any_of_these(server):
    server.fail = lambda request: web.json_response({"result": [{"name": "llama"}], "success": True})
    assert asyncio.run(client(server, model="").listed()) == ["llama"]
