"""A language model behind an OpenAI-compatible address: one POST to /chat/completions, with a deadline and few retries.

Nothing of what the server says in an error is passed on: it may repeat the prompt or the key.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from .profiles import Profile
from .protocol import Answer, RewriterError

LARGEST = 1_000_000  # bytes of a reply
TRIES = 3
PAUSES = (0.5, 1.0)  # seconds before the second and the third try
AGAIN = {408, 425, 429, 500, 502, 503, 504, 529}
POLL = 0.2  # seconds between two looks at the stop button


class _Later(Exception):
    """A failure that another try may mend. ``mend``: what to do about it; ``wait``: seconds the server asks for."""

    mend = "Try again later, or look into the log of that server."

    def __init__(self, fault: str, wait: float | None = None):
        super().__init__(fault)
        self.wait = wait


class _Refused(_Later):
    mend = "Start that server, or check the port in its profile."


class _Unreachable(_Later):
    mend = "Check the network and the address in its profile."


class Clock:
    """Time as an Endpoint sees it: ``now`` in seconds, ``sleep``, and a bound on what is awaited."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, work: Coroutine) -> Answer:
        """The result of ``work``. Raises TimeoutError (asyncio's own before Python 3.11) where it takes longer."""
        return await asyncio.wait_for(work, max(0.01, seconds))


@dataclass(frozen=True)
class Endpoint:
    """A ChatRewriter. ``stop`` is called while waiting and raises when the user wants an end. The key is read when sent, and never kept."""

    profile_name: str
    profile: Profile = field(repr=False)
    model: str = ""
    max_length: int = 96
    temperature: float = 0.0
    timeout: float = 30.0
    stop: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    clock: Clock = field(default_factory=Clock, repr=False, compare=False)

    @property
    def name(self) -> str:
        return f"endpoint {self.profile_name} ({self.model or self.profile.model or 'its first model'})"

    async def chat(
        self, messages: Sequence[dict], *, temperature: float | None = None, seed: int = 0, banned: Sequence[str] = ()
    ) -> Answer:
        """See `protocol.ChatRewriter`. ``banned`` cannot be passed on. The time-out holds for all tries together."""
        work = asyncio.ensure_future(
            self._tries(list(messages), self.temperature if temperature is None else temperature, seed)
        )
        try:
            while not work.done():
                self.stop()
                await asyncio.wait({work}, timeout=POLL)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        return work.result()

    def release(self) -> None:
        """Nothing is held."""

    def _say(self, what, mend=""):
        return RewriterError(f"Endpoint {self.profile_name!r} {what}.{' ' + mend if mend else ''}")

    def _headers(self):
        if not self.profile.key_env:
            return {}
        key = os.environ.get(self.profile.key_env, "").strip()
        if not key:
            raise self._say(
                f"needs a key, but the environment variable {self.profile.key_env} is not set on this server",
                "Set it where ComfyUI is started.",
            )
        if not (key.isascii() and key.isprintable()):
            raise self._say(
                f"has a key that cannot be sent: the environment variable {self.profile.key_env} holds characters that no "
                "header may hold"
            )
        return {"Authorization": f"Bearer {key}"}

    async def _tries(self, messages: list[dict], temperature: float, seed: int) -> Answer:
        """An answer within the time-out, of at most TRIES requests."""
        import aiohttp

        end, last = self.clock.now() + self.timeout, None
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, connect=None),
            headers=self._headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            for number in range(TRIES):
                try:
                    return await self.clock.within(
                        end - self.clock.now(), self._try(session, messages, temperature, seed)
                    )
                except (asyncio.TimeoutError, TimeoutError):
                    raise self._say(
                        f"gave no answer within {self.timeout:g} s" + (f" (before that it {last})" if last else ""),
                        "Raise timeout, or choose a faster model.",
                    ) from None
                except _Later as later:
                    last = later
                if number < TRIES - 1:
                    await self._pause(last, PAUSES[number], end)
        raise self._say(f"{last} ({TRIES} tries)", last.mend)

    async def _pause(self, last: _Later, pause: float, end: float) -> None:
        """Wait before another try. Raises RewriterError where that would last beyond ``end``."""
        asks = "waiting "
        if last.wait is not None:
            pause, asks = last.wait, "it asks to wait "
        if self.clock.now() + pause >= end:
            raise self._say(
                f"{last}; {asks}{pause:g} s more, beyond the time-out of {self.timeout:g} s",
                "Try again later, or raise timeout.",
            )
        await self.clock.sleep(pause)

    async def _try(self, session, messages: list[dict], temperature: float, seed: int) -> Answer:
        """One request, its connection's failures told as ours: _Later where another try may help, else RewriterError."""
        import aiohttp

        try:
            return await self._once(session, messages, temperature, seed)
        except aiohttp.ClientConnectorCertificateError:
            raise self._say(
                "has a certificate that this machine does not trust", "Check the address, or that server's certificate."
            ) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(getattr(error, "os_error", None), ConnectionRefusedError):
                raise _Refused("refuses the connection") from None
            raise _Unreachable("cannot be reached") from None
        except aiohttp.InvalidURL:
            raise self._say("has a base_url that is no address", "Mend its profile on the server.") from None
        except aiohttp.ClientError as error:
            raise _Later(f"broke the connection off ({type(error).__name__})") from None

    async def _once(self, session, messages, temperature, seed):
        model = self.model or self.profile.model or await self._first_model(session)
        body = {
            "model": model,
            "messages": messages,
            "max_tokens": self.max_length,
            "temperature": temperature,
            "seed": seed % 2**31,
            "stream": False,
        }
        status, data = await self._call(session, "POST", "/chat/completions", body, model)
        if status == 400:  # newer models know neither max_tokens nor a temperature
            body = {"model": model, "messages": messages, "max_completion_tokens": self.max_length, "stream": False}
            status, data = await self._call(session, "POST", "/chat/completions", body, model)
        if status in (400, 422):
            raise self._say(
                f"does not accept the request ({status})",
                "Look into the log of that server: it may be a model that cannot chat, or a prompt too long for it.",
            )
        return self._read(data)

    async def _first_model(self, session):
        _, data = await self._call(session, "GET", "/models", None, "")
        names = [
            model["id"]
            for model in _list(data, "data")
            if isinstance(model, dict) and isinstance(model.get("id"), str) and model["id"]
        ]
        if not names:
            raise self._say("names no model", "Load one on that server, or write its name into model_name.")
        return names[0]

    async def _call(self, session, method, path, body, model):
        """(status, what the JSON holds) for 200, 400 and 422; an error for everything else."""
        async with session.request(method, self.profile.base_url + path, json=body, allow_redirects=False) as reply:
            status = reply.status
            if status in (400, 422):
                return status, None
            if status in (401, 403):
                env = self.profile.key_env
                has = f"the key in {env}" if env else "a request without a key (its profile has no key_env)"
                raise self._say(f"does not accept {has} ({status})", "Check the key and what it is allowed to do.")
            if status == 404:
                raise self._say(
                    f"knows no model {model!r}, or its base_url is wrong (404)"
                    if model
                    else "has no list of models (404)",
                    "Check model_name, and that the profile's base_url ends as that server wants it, mostly with /v1.",
                )
            if 300 <= status < 400:
                raise self._say(
                    f"redirects to another address ({status}), which is not followed",
                    "Write the final address into its profile on the server.",
                )
            if status in AGAIN:
                word = "is busy or its quota is used up" if status == 429 else "reports an error of its own"
                raise _Later(f"{word} ({status})", _seconds(reply.headers.get("Retry-After")))
            if status != 200:
                raise self._say(f"answers with status {status}")
            data = bytearray()
            async for chunk in reply.content.iter_chunked(65536):
                data += chunk
                if len(data) > LARGEST:
                    raise self._say(
                        f"sends more than {LARGEST // 1_000_000} MB",
                        "That is no answer of a chat model: check base_url.",
                    )
        try:
            return status, json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError):
            raise self._say(
                "does not answer in JSON",
                "Check that its profile's base_url is that of an OpenAI-compatible server, mostly ending with /v1.",
            ) from None

    def _read(self, data):
        choices = _list(data, "choices")
        if not choices or not isinstance(choices[0], dict):
            raise self._say("answers without a choice", "Check that the model is loaded on that server and can chat.")
        message = choices[0].get("message")
        content = message.get("content") if isinstance(message, dict) else choices[0].get("text")
        if isinstance(content, list):
            texts = [part.get("text") for part in content if isinstance(part, dict)]
            content = "".join(text for text in texts if isinstance(text, str))
        content = content if isinstance(content, str) else ""
        if not content.strip():
            reason = choices[0].get("finish_reason")
            if reason == "length":
                raise self._say(
                    "gave an empty answer: the model used up all its tokens before it came to one",
                    "Raise max_length, or choose a model that does not think first.",
                )
            if reason == "content_filter":
                raise self._say(
                    "gave no answer: its own filter stopped it", "Choose another endpoint for these concepts."
                )
        usage = data.get("usage") if isinstance(data.get("usage"), dict) else {}
        count = lambda name: usage[name] if isinstance(usage.get(name), int) else 0
        return Answer(content, count("prompt_tokens"), count("completion_tokens"))


def _list(data, name):
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _seconds(text):
    """The seconds of a Retry-After header; None where it has none (or a date: clocks differ)."""
    try:
        return min(max(0.0, float(text)), 1e6)
    except (TypeError, ValueError):
        return None
