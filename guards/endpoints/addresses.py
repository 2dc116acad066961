"""Where the API of a server may be, for what people write as its base_url."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PATHS = r"(?:chat/)?completions|models"  # of the API itself
_OTHERS = r"chat|generate|tags|responses|embeddings|messages"  # behind /v1 or /api, of it or of another API


def bases(base_url: str) -> list[str]:
    """Where the API may be, likeliest first: a base_url may lack its /v1, have a path too much, or be that of another API of the server."""
    parts = urlsplit(base_url)
    root = f"{parts.scheme}://{parts.netloc}"
    path = re.sub(r"(?<!:)/{2,}", "/", parts.path).rstrip("/")
    path = re.sub(rf"/(?:{_PATHS})$", "", path)
    path = re.sub(rf"(/(?:v\d\w*|api))/(?:{_OTHERS})$", r"\1", path)
    ends = [path]
    if not re.search(r"/v\d", path):
        ends.append(path + "/v1")
    if not path:
        ends += ["/api", "/api/v1", "/openai/v1"]
    if path.endswith("/v1beta"):
        ends.append(path + "/openai")
    if "/openai/deployments/" in path:
        ends.append("/openai/v1")
    # beside a server's own API, but nothing beside a longer path, which may be one of several users' on the host
    own = re.fullmatch(r"(.*)/api(?:/v\d)?", path)
    if own:
        ends += [own[1] + "/v1", own[1] + "/api"]
    return list(dict.fromkeys(root + end for end in ends))
