"""Which endpoints a server knows: profiles by name, from a file that its operator keeps, beside those of the usual local servers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FILE = "concept_guards/endpoints.json"
EXAMPLE = '{"my server": {"base_url": "https://llm.example.org/v1", "model": "some-model", "key_env": "MY_LLM_KEY"}}'
NO_ADDRESS = "is no address: write one such as http://127.0.0.1:11434/v1."
FIELDS = {"base_url", "model", "key_env"}


@dataclass(frozen=True)
class Profile:
    """Where an OpenAI-compatible server is (up to /v1), the model to ask, and the environment variable that holds its key ("": no key)."""

    base_url: str
    model: str = ""
    key_env: str = ""


LOCAL = {
    "Ollama (local)": Profile("http://127.0.0.1:11434/v1"),
    "LM Studio (local)": Profile("http://127.0.0.1:1234/v1"),
    "llama.cpp (local)": Profile("http://127.0.0.1:8080/v1"),
    "vLLM (local)": Profile("http://127.0.0.1:8000/v1"),
    "KoboldCpp (local)": Profile("http://127.0.0.1:5001/v1"),
    "text-generation-webui (local)": Profile("http://127.0.0.1:5000/v1"),
}


def parse(text: str, place: str) -> dict[str, Profile]:
    """The profiles of a file's text; ``place`` is the file, for messages. Raises ValueError naming file and line."""
    try:
        stored = json.loads(text)
    except RecursionError:
        raise ValueError(f"{place}: nested too deeply. It holds profiles by name: {EXAMPLE}") from None
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise ValueError(
            f"{place}, line {line}: {getattr(error, 'msg', 'no JSON')}. It is to be JSON such as {EXAMPLE}"
        ) from None
    if not isinstance(stored, dict):
        raise ValueError(f"{place}, line 1: it is to hold profiles by name: {EXAMPLE}")
    profiles = {}
    for name, entry in stored.items():
        where = f"{place}, line {_line(text, name)}: profile {name!r}"
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise ValueError(f"{where} needs a name of 1 to 100 printable characters.")
        if not isinstance(entry, dict) or not isinstance(entry.get("base_url"), str):
            raise ValueError(f"{where} needs a base_url, such as {EXAMPLE}")
        secret = [field for field in entry if "key" in field.lower() and field != "key_env" or "token" in field.lower()]
        if secret:
            raise ValueError(
                f"{where}: take {secret[0]!r} out. Put the key into an environment variable and its name into key_env."
            )
        unknown = sorted(set(entry) - FIELDS)
        if unknown:
            raise ValueError(f"{where} has a field {unknown[0]!r}; known are {', '.join(sorted(FIELDS))}.")
        model, key_env = entry.get("model") or "", entry.get("key_env") or ""
        if not isinstance(model, str) or not model.isprintable():
            raise ValueError(f"{where}: model is to be a name in quotes.")
        if not isinstance(key_env, str) or key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key_env):
            raise ValueError(f"{where}: key_env is to be the name of an environment variable, not the key itself.")
        problem = fault(entry["base_url"])
        if problem:
            raise ValueError(f"{where}: base_url {problem}")
        profiles[name] = Profile(entry["base_url"].strip().rstrip("/"), model, key_env)
    return profiles


def fault(url: str) -> str:
    """Why an address cannot be used; empty where it can. Never repeats the address: it may hold a secret."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        _ = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError):
        return NO_ADDRESS
    if parts.scheme not in ("http", "https"):
        return "is to begin with http:// or https://."
    if any(char.isspace() or not char.isprintable() for char in url):
        return NO_ADDRESS
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password: put a key into an environment variable and its name into key_env."
    if not re.fullmatch(r"[\w.:%-]+", host) or (host in ("http", "https") and parts.path.startswith("//")):
        return NO_ADDRESS
    if parts.query or parts.fragment:
        azure = " Azure OpenAI's is https://NAME.openai.azure.com/openai/v1." * ("api-version" in parts.query)
        return f"is to end with the path (such as /v1), without ? and #.{azure}"
    return ""


def load(path: Path) -> dict[str, Profile]:
    """All profiles this server knows. Raises ValueError naming file and line where the operator's file is broken."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return dict(LOCAL)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read: {type(error).__name__}. It is to be a UTF-8 text file with JSON such as {EXAMPLE}"
        ) from None
    own = parse(text, str(path))
    return {**own, **{name: profile for name, profile in LOCAL.items() if name not in own}}


def unknown(name: str, names, path: Path) -> str:
    """What to say of a name that no profile has."""
    return (
        f"endpoint: this server has no profile {name!r}. It knows: {', '.join(names)}. To make one, write {path} on the server, such "
        f"as {EXAMPLE} (key_env names the environment variable that holds the key), and reload the page."
    )


def _line(text, name):
    """The line on which a profile begins."""
    for literal in (json.dumps(name), json.dumps(name, ensure_ascii=False)):
        place = text.find(literal)
        if place >= 0:
            return text.count("\n", 0, place) + 1
    return 1
