"""What servers refuse of a request, and what their errors mean, in the words that they really use."""

import asyncio

import pytest
from aiohttp import web

from tests.endpoints.conftest import KEY
from tests.endpoints.test_replies import PROMPT, ask, client, rewriter, sent
from tools.testing.chat_server import chunk, error, events


def refusing(server, holds, status, text, **more):
    """A server that refuses every request that ``holds`` something; what it is made to stream it streams."""

    def fail(request):
        body = sent(server)[-1]
        if holds(body):
            return error(status, text, **more)
        return events(chunk(delta={"content": "a dog"}), "data: [DONE]")(request) if body.get("stream") else None

    server.fail = fail


SYSTEM_ROLE = [
    (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
    (400, "'system' is not one of ['user', 'assistant'] - 'messages.0.role'"),
    (400, "Please use a valid role: user, model."),
    (422, "messages[0].role: unknown variant `system`, expected `user` or `assistant`"),
    (400, "A conversation must start with a user message."),
    (422, "role: Input should be 'user' or 'assistant'"),
    (500, "Unexpected message role."),
    (422, "Unsupported role: system"),
    (422, "System turn is not allowed"),
    (400, "Alternating user/assistant roles are required"),
    (400, "messages[0] should be user"),
    (400, "messages 参数非法：role 不支持 system"),
]


@pytest.mark.parametrize("status, text", SYSTEM_ROLE)
def test_a_system_role_is_refused_in_many_words(server, status, text):
    refusing(server, lambda body: body["messages"][0]["role"] == "system", status, text)
    assert ask(client(server)).text == "a dog" and len(server.requests) == 2
    assert sent(server)[1]["messages"] == [{"role": "user", "content": f"be brief\n\n{PROMPT}"}]


@pytest.mark.parametrize(
    "name, status, text",
    [
        ("top_logprobs", 422, "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 10"),
        ("logprobs", 422, "Log probabilities are not supported by this deployment"),
        ("logprobs", 500, "log_probs unsupported"),
        ("logprobs", 422, "responseLogprobs is not supported"),
        ("logprobs", 500, "Please set gather_generation_logits=True to return logprobs"),
        ("logprobs", 415, "logprobs not supported"),
        ("logprobs", 501, "logprobs is not yet implemented"),
        ("seed", 422, "random_seed must not be set"),
        ("seed", 403, "Parameter 'seed' is only available on enterprise plans"),
        ("seed", 404, "Unknown parameter: seed"),
        ("seed", 405, "Parameter seed is not allowed"),
        ("seed", 502, "Provider returned error: unsupported parameter: seed"),
        ("max_tokens", 422, "Input validation error: `max_new_tokens` must be <= 64. Given: 96"),
        ("max_tokens", 422, "maxTokens is not a permitted property"),
    ],
)
def test_a_field_is_refused_by_other_names_and_with_any_status(server, name, status, text):
    refusing(server, lambda body: name in body, status, text)
    server.answer, chatter = "yes", client(server)
    assert asyncio.run(chatter.judge([{"role": "user", "content": PROMPT}])).yes == 1.0 and len(server.requests) == 2
    assert set(chatter.ways) - {"top_logprobs"} <= {name}, "nothing else is left out"


def test_what_the_provider_behind_a_gateway_refuses_is_left_out(server):
    raw = '{"error": {"message": "Developer instruction is not enabled for models/gemma"}}'
    for told in (raw, {"error": {"message": "System role not supported"}}, "System role not supported"):
        text, more = "Provider returned error", {"metadata": {"raw": told}}
        refusing(server, lambda body: body["messages"][0]["role"] == "system", 400, text, **more)
        server.requests.clear()
        assert ask(client(server)).text == "a dog" and len(server.requests) == 2


@pytest.mark.parametrize(
    "data",
    [
        {"message": "Validation error", "details": [{"field": "seed", "issue": "unsupported"}]},
        {"message": "The given data was invalid.", "errors": {"seed": ["The seed field is prohibited."]}},
        {"error": {"message": "bad request", "issues": [{"keys": ["seed"], "code": "unrecognized_keys"}]}},
        {"title": "Constraint Violation", "status": 422, "violations": [{"field": "seed", "message": "no"}]},
    ],
)
def test_a_field_that_is_listed_beside_the_message_is_left_out(server, data):
    server.fail = lambda request: web.json_response(data, status=422) if "seed" in sent(server)[-1] else None
    chatter = client(server)
    assert ask(chatter).text == "a dog" and chatter.ways == {"seed": True}


def test_a_field_in_the_name_of_a_model_is_not_what_is_refused(server):
    refusing(server, lambda body: "temperature" in body, 400, "Model seed-oss-36b does not support temperature")
    chatter = client(server, model="seed-oss-36b")
    assert ask(chatter).text == "a dog" and chatter.ways == {"temperature": True}


@pytest.mark.parametrize(
    "status, text",
    [
        (400, "This model only support stream mode, please enable the stream parameter to access the model."),
        (400, "parameter.enable_thinking must be set to false for non-streaming calls"),
        (422, "'stream': False is not supported. Streaming only."),
        (400, "stream=false is not available for this model"),
    ],
)
def test_a_server_that_only_streams_is_asked_for_a_stream(server, status, text):
    refusing(server, lambda body: not body.get("stream"), status, text)
    chatter = client(server)
    assert ask(chatter).text == "a dog" and ask(chatter).text == "a dog" and len(server.requests) == 3
    assert sent(server)[-1]["stream"] is True


@pytest.mark.parametrize(
    "text", ["must be in (0, 2]", "取值范围是:(0.0,1.0)", "should be at least 0.01", "can not be 0"]
)
def test_a_coldest_temperature_is_told_in_many_words(server, text):
    refusing(server, lambda body: body["temperature"] == 0, 422, f"invalid: temperature {text}")
    assert ask(client(server)).text == "a dog" and sent(server)[-1]["temperature"] == 0.01


def test_a_temperature_that_is_too_hot_costs_the_cold_ones_nothing(server):
    refusing(server, lambda body: body["temperature"] > 1, 400, "temperature must be less than or equal to 1")
    chatter = client(server)
    assert ask(chatter, temperature=1.5).text == "a dog" and sent(server)[-1]["temperature"] == 1.0
    assert ask(chatter).text == "a dog" and sent(server)[-1]["temperature"] == 0.0 and len(server.requests) == 3


@pytest.mark.parametrize(
    "text",
    [
        "Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.",
        "No answer yet: the output tokens limit was reached.",
    ],
)
def test_tokens_that_are_used_up_may_be_told_as_a_refusal(server, text):
    refusing(server, lambda body: body["max_tokens"] < 1000, 400, text)
    assert ask(client(server)).text == "a dog" and [body["max_tokens"] for body in sent(server)] == [96, 1024]
    refusing(server, lambda body: True, 400, text)
    with pytest.raises(rewriter.RewriterError, match="used up all its tokens before it came to one. Raise max_length"):
        ask(client(server))


def test_what_was_learnt_on_the_way_to_more_tokens_is_kept(server):
    """As with a model that thinks: it refuses max_tokens, then finds the tokens too few."""

    def fail(request):
        body = sent(server)[-1]
        if "max_tokens" in body:
            return error(400, "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
        if body["max_completion_tokens"] < 1000:
            return error(400, "Could not finish the message because max_tokens or model output limit was reached.")
        return None

    server.fail = fail
    assert ask(client(server)).text == "a dog" and len(server.requests) == 3


CHAT, PAID, FILTER = "cannot chat", "wants to be paid.*Top up", "its own filter stopped it"
LONG, MODEL, KEYED = "too long for its model", "knows no model 'm'", "does not accept the key in TEST_LLM_KEY"


@pytest.mark.parametrize(
    "status, text, said",
    [
        (400, '"nomic-embed-text" does not support chat', CHAT),
        (400, "model omni-moderation does not support chat", CHAT),
        (404, "This is not a chat model and thus not supported in the v1/chat/completions endpoint.", CHAT),
        (400, "default chat template is no longer allowed, so you must provide a chat template", CHAT),
        (501, "This server does not support chat completions", CHAT),
        (400, "Your credit balance is too low to access the API", PAID),
        (403, "用户额度不足, 剩余额度: $0.0", PAID),
        (403, "Sorry, your account balance is insufficient", PAID),
        (429, "您的账户已欠费，请充值后重试。", PAID),
        (403, "not enough balance", PAID),
        (400, "Billing hard limit has been reached", PAID),
        (403, "Your team doesn't have any credits yet", PAID),
        (422, "`inputs` must have less than 1024 tokens. Given: 2000", LONG),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens", LONG),
        (400, "Cannot truncate prompt with n_keep (5000) >= n_ctx (4096)", LONG),
        (400, "Your request exceeded model token limit: 8192", LONG),
        (400, "prompt exceeds max length", LONG),
        (400, "litellm.ContextWindowExceededError: too big", LONG),
        (400, "Range of input length should be [1, 30720]", LONG),
        (400, "Unavailable model: m", MODEL),
        (400, "Unsupported model: m", MODEL),
        (404, "models/m is not found for API version v1main", MODEL),
        (400, "Multiple models are loaded. Please specify a model", MODEL),
        (422, "model `m` is not supported. Supported models: a, b", MODEL),
        (500, "Model has not been loaded, please load model", "has not loaded the model"),
        (400, "Could not find model: m", MODEL),
        (403, "Invalid access token.", KEYED),
        (403, "Invalid or expired token", KEYED),
        (200, "无效的令牌", KEYED),
        (446, "The guardrail checks defined in the config failed.", FILTER),
        (403, "Input was blocked by guardrail policies", FILTER),
        (400, "Client sent an HTTP request to an HTTPS server.", "wants https.*Write https://"),
    ],
)
def test_what_an_error_means_is_read_from_what_servers_say(server, status, text, said):
    server.fail = lambda request: error(status, text)
    with pytest.raises(rewriter.RewriterError, match=said):
        ask(client(server))
    assert len(server.requests) <= 3


@pytest.mark.parametrize(
    "data, said",
    [
        ({"error": {"message": "You have no quota", "code": "insufficient_quota"}}, PAID),
        ({"error": {"message": "please check your account", "type": "Arrearage"}}, PAID),
        ({"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}, "choices": None}, FILTER),
        ({"error": {"issues": [{"message": "bad key"}, {"message": "bad words"}]}}, "an error: bad key; bad words"),
        ({"errors": [{"description": "bad words", "key": "fail.body"}]}, "answers with an error: bad words"),
        ({"errcode": 40001, "errmsg": "bad words"}, "answers with an error: bad words. Look into the log"),
        ({"fault": {"faultstring": "Invalid ApiKey"}}, KEYED),
        ({"statusCode": 400, "message": ["bad", "words"]}, "answers with an error: bad; words"),
    ],
)
def test_an_error_is_found_where_servers_put_it(server, data, said):
    server.fail = lambda request: web.json_response(data)
    with pytest.raises(rewriter.RewriterError, match=said):
        ask(client(server))
    assert len(server.requests) == 1, "what money or a filter stopped is not asked for again"


@pytest.mark.parametrize(
    "status", [406, 407, 410, 411, 415, 418, 421, 424, 426, 431, 499, 501, 505, 507, 525, 530, 999]
)
def test_an_error_of_any_status_says_what_to_do(server, status):
    server.fail = lambda request: web.Response(status=status)
    with pytest.raises(rewriter.RewriterError, match=rf"\({status}\)|status {status}") as caught:
        ask(client(server))
    _, mend = str(caught.value).split(". ")
    assert "profile" in mend or mend.startswith("Try again")


def test_the_title_of_a_page_that_comes_as_an_error_is_shown(server):
    page = "<html>\r\n<head><title>{}</title></head><body>nginx</body></html>"
    for status, title, said in (
        (403, "Attention Required! | Cloudflare", r"refuses the request \(403\): Attention Required"),
        (502, "502 Bad &amp; Gateway", r"\(502\): 502 Bad & Gateway"),
        (400, "400 The plain HTTP request was sent to HTTPS port", "wants https"),
        (403, KEY, r"\(403\)\. Check"),
    ):
        server.fail = lambda request, status=status, title=title: web.Response(status=status, text=page.format(title))
        with pytest.raises(rewriter.RewriterError, match=said) as caught:
            ask(client(server))
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "GPU temperature too high: throttled",
        "http2 stream was reset by peer",
        "context deadline exceeded",
        "insufficient system resources",
        "model runner has stopped",
        "duplicate key value violates unique constraint",
    ],
)
def test_a_servers_own_failure_is_told_as_one(server, text):
    server.fail, chatter = lambda request: error(500, text), client(server)
    with pytest.raises(rewriter.RewriterError, match=rf"reports an error of its own \(500\): {text} \(3 tries\)"):
        ask(chatter)
    assert len(server.requests) == 3 and not chatter.ways
