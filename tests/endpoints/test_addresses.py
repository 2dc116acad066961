"""Where an endpoint is looked for, whose base_url is that of another API of the server."""

import pytest
from aiohttp import web

from tests.endpoints.test_replies import ask, client, rewriter
from tools.testing import hosting

addresses = hosting.module("guards.endpoints.addresses")


@pytest.mark.parametrize(
    "base, at", [("/api", "/v1"), ("/api/chat", "/v1"), ("/api/generate/", "/v1"), ("", "/api"), ("/api", "/api/v1")]
)
@pytest.mark.parametrize("model", ["m", ""])
def test_a_base_url_of_another_api_of_the_server_will_do(server, base, at, model):
    def fail(request):
        return (
            None
            if request.path in (f"{at}/chat/completions", f"{at}/models")
            else web.Response(status=405, text="405 no such page")
        )

    server.fail, chatter = fail, client(server, url=server.url.removesuffix("/v1") + base, model=model)
    assert ask(chatter).text == "a dog"
    assert ask(chatter).text == "a dog" and server.requests[-1][1] == f"{at}/chat/completions"
    assert server.requests[-2][1] in (f"{at}/chat/completions", f"{at}/models"), "it is not looked for again"
    server.fail = lambda request: web.Response(status=404)
    with pytest.raises(rewriter.RewriterError, match=r"base_url is wrong \(404\)"):
        ask(client(server, url=server.url.removesuffix("/v1") + base))
    server.requests.clear()
    with pytest.raises(rewriter.RewriterError):
        ask(client(server, url=server.url.removesuffix("/v1") + "/ann"))
    assert {request[1].split("/")[1] for request in server.requests} == {"ann"}, (
        "what others have on the host is not asked"
    )


@pytest.mark.parametrize(
    "written, at",
    [
        ("http://h//v1//chat/completions/", "/v1"),
        ("http://h/v1/chat", "/v1"),
        ("http://h/v1/responses", "/v1"),
        ("http://h/v1/messages", "/v1"),
        ("http://[::1]:8/v1/models/", "/v1"),
        ("http://h/proxy/https://other/v1", "/proxy/https://other/v1"),
        ("http://h", "/api/v1"),
        ("http://h", "/openai/v1"),
        ("http://v1.h", "/v1"),
        ("http://h/api/v0", "/v1"),
        ("http://h/api/v1/chat", "/v1"),
        ("http://h/ollama/api", "/ollama/v1"),
        ("http://h/v1beta", "/v1beta/openai"),
        ("http://h/openai/deployments/gpt/chat/completions", "/openai/v1"),
        ("http://h/v1/projects/p/endpoints/openapi", "/v1/projects/p/endpoints/openapi"),
        ("http://h/client/v4/accounts/x/ai/v1", "/client/v4/accounts/x/ai/v1"),
    ],
)
def test_an_address_is_looked_for_where_its_service_has_it(written, at):
    root = "/".join(written.split("/")[:3])
    assert root + at in addresses.bases(written) and len(addresses.bases(written)) <= 5


def test_a_redirect_is_no_end_where_the_address_lacks_its_path(server):
    server.fail = lambda request: None if request.path.startswith("/v1/") else web.Response(status=302)
    assert ask(client(server, url=server.url.removesuffix("/v1"))).text == "a dog"
