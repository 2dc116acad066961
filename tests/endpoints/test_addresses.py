"""Where an endpoint is looked for, whose base_url is that of another API of the server."""

import pytest
from aiohttp import web

from tests.endpoints.test_replies import ask, client, rewriter


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
