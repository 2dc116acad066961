"""A language model behind an OpenAI-compatible address: one POST to /chat/completions, with a deadline and few retries.

Servers differ in what they accept: what one refuses by name (a seed, temperature 0, a system role) is left out and asked for again, and not
sent to it any more. Of what a server says in an error, neither key, prompt nor address is passed on.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import replies
from .decoding import alternating
from .profiles import Profile
from .protocol import Answer, RewriterError, Verdict, verdict

T = TypeVar("T")
LARGEST = 1_000_000  # bytes of a reply
TRIES = 3
PAUSES = (0.5, 1.0)  # seconds before the second and the third try
AGAIN = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
POLL = 0.2  # seconds between two looks at the stop button
ADAPTATIONS = 6  # how often a request is changed to what the server accepts
MORE = 4  # times as many tokens for an answer that was cut off, and at least MORE_AT_LEAST
MORE_AT_LEAST = 1024
ALTERNATIVES = 10  # of the first word that a server is asked for
_SYSTEM_ROLE = re.compile(
    r"system (?:role|message|prompt)|(?:role|instruction)s? .{0,40}(?:not (?:supported|enabled|allowed)|must alternate)"
    r"|developer instruction",
    re.I,
)
_WORDS = {
    402: ("wants to be paid (402)", "Top up the account that the key belongs to, or choose another model."),
    413: ("finds the request too large (413)", "Shorten the query."),
    451: ("may not answer for legal reasons (451)", "Choose another endpoint for these concepts."),
}


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


class _NoRoute(Exception):
    """There is nothing at that path: a base_url without its /v1, perhaps."""

    def __init__(self, error: RewriterError):
        super().__init__(str(error))
        self.error = error


class Clock:
    """Time as an Endpoint sees it: ``now`` in seconds, ``sleep``, and a bound on what is awaited."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
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
    # What the server has refused until now: names of fields; "system"; and where it really is, under "base".
    ways: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        return f"endpoint {self.profile_name} ({self.model or self.profile.model or 'its first model'})"

    async def chat(
        self, messages: Sequence[dict], *, temperature: float | None = None, seed: int = 0, banned: Sequence[str] = ()
    ) -> Answer:
        """See `protocol.ChatRewriter`. ``banned`` cannot be passed on. The time-out holds for all tries together."""
        reply = await self._watched(list(messages), self.temperature if temperature is None else temperature, seed)
        return Answer(reply.text, reply.prompt_tokens, reply.answer_tokens)

    async def judge(self, messages: Sequence[dict], *, seed: int = 0) -> Verdict:
        """See `protocol.JudgingRewriter`: by the probabilities of the first word, where the server tells them."""
        reply = await self._watched(list(messages), 0.0, seed, first=True)
        return verdict(Answer(reply.text, reply.prompt_tokens, reply.answer_tokens), reply.first)

    async def _watched(self, messages: list[dict], temperature: float, seed: int, first: bool = False) -> replies.Reply:
        work = asyncio.ensure_future(self._tries(messages, temperature, seed, first))
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

    def _session(self):
        import aiohttp

        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, connect=None),
            headers=self._headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def listed(self) -> list[str]:
        """The models that the endpoint lists, those that can chat first, within the time-out. Raises RewriterError."""
        try:
            async with self._session() as session:
                return await self.clock.within(self.timeout, self._told(self.models(session)))
        except (asyncio.TimeoutError, TimeoutError):
            raise self._say(f"gave no answer within {self.timeout:g} s", "Look whether that server is busy.") from None
        except _Later as later:
            raise self._say(str(later), later.mend) from None

    async def _tries(self, messages: list[dict], temperature: float, seed: int, first: bool) -> replies.Reply:
        """An answer within the time-out, of at most TRIES requests; of one more where it was cut off, with more tokens."""
        end, last = self.clock.now() + self.timeout, None
        async with self._session() as session:
            asked = _Asked(messages, temperature, seed, 8 if first else self.max_length, first)
            for number in range(TRIES):
                try:
                    reply = await self.clock.within(end - self.clock.now(), self._told(self._once(session, asked)))
                    if not (reply.cut and asked.wants_more(reply)):
                        return reply
                    reply = await self.clock.within(
                        end - self.clock.now(), self._told(self._once(session, asked.longer()))
                    )
                    if reply.cut and asked.wants_more(reply):
                        raise self._cut(reply)
                    return reply
                except (asyncio.TimeoutError, TimeoutError):
                    raise self._say(
                        f"gave no answer within {self.timeout:g} s" + (f" (before that it {last})" if last else ""),
                        "Raise timeout, or choose a faster model.",
                    ) from None
                except _Later as later:
                    last = later
                if number < TRIES - 1:
                    await self._pause(last, PAUSES[number], end)
        assert last is not None  # there is at least one try
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

    async def _told(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of requests, their connection's failures told as ours: _Later where another try may help, else RewriterError."""
        import aiohttp

        try:
            return await work
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

    async def _once(self, session, asked: _Asked) -> replies.Reply:
        model = self.model or self.profile.model or (await self.models(session))[0]
        for _ in range(ADAPTATIONS):
            body = asked.body(model, self.ways)
            status, data = await self._call(session, "POST", "/chat/completions", body, model)
            if status not in (400, 422):
                return self._read(data, asked)
            if not _adapted(self.ways, status, str(data), body):
                break
        raise self._say(
            f"does not accept the request ({status})",
            "Look into the log of that server: it may be a model that cannot chat, or a prompt too long for it.",
        )

    async def models(self, session) -> list[str]:
        """The models that the endpoint lists, those that can chat first. Raises RewriterError where there is none."""
        _, data = await self._call(session, "GET", "/models", None, "")
        names = replies.chat_models(data)
        if not names:
            raise self._say("names no model", "Load one on that server, or write its name into model_name.")
        return names

    async def _call(self, session, method, path, body, model):
        """(status, what the body holds) for 200, 400 and 422; an error for everything else. A base_url may lack its /v1."""
        base = self.ways.get("base") or re.sub(
            r"/(?:chat/)?completions$|/models$", "", self.profile.base_url.rstrip("/")
        )
        try:
            return await self._at(base, session, method, path, body, model)
        except _NoRoute as lost:
            if re.search(r"/v\d", base):
                raise lost.error from None
            try:
                found = await self._at(base + "/v1", session, method, path, body, model)
            except _NoRoute:
                raise lost.error from None
            self.ways["base"] = base + "/v1"
            return found

    async def _at(self, base, session, method, path, body, model):
        async with session.request(method, base + path, json=body, allow_redirects=False) as reply:
            status, data = reply.status, bytearray()
            self._refuse(status, reply, model)
            async for chunk in reply.content.iter_chunked(65536):
                data += chunk
                if len(data) > LARGEST:
                    raise self._say(
                        f"sends more than {LARGEST // 1_000_000} MB",
                        "That is no answer of a chat model: check base_url.",
                    )
        if status in (400, 422):
            return status, bytes(data[:20_000]).decode("utf-8", "replace")
        try:
            data = replies.load(bytes(data))
        except replies.Unreadable:
            error = self._say(
                "does not answer in JSON",
                "Check that its profile's base_url is that of an OpenAI-compatible server, mostly ending with /v1.",
            )
            raise _NoRoute(error) from None
        text, code = replies.error_in(data)
        if text:
            self._answered_by_error(text, code, body)
        return status, data

    def _answered_by_error(self, text, code, body):
        """Raise what an error that came with status 200 says."""
        text = self._harmless(text, body)
        if code in AGAIN:
            raise _Later(f"reports an error ({code}): {text}")
        error = self._say(
            f"answers with an error: {text}", "" if text.endswith(".") else "Look into the log of that server."
        )
        raise _NoRoute(error) if re.search(r"unexpected endpoint|not found|no route|unknown url", text, re.I) else error

    def _harmless(self, text, body):
        """An error's text without what it may repeat: the key, the prompt, addresses. At most 200 characters."""
        key = os.environ.get(self.profile.key_env, "").strip() if self.profile.key_env else ""
        for secret in (key, *(str(message["content"]) for message in (body or {}).get("messages", ()))):
            text = text.replace(secret, "...") if secret else text
            for run in re.findall(r"\S+\s+\S+\s+\S+", secret):
                text = text.replace(run, "...")
        return (
            re.sub(r"https?://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "...", text)[:200].strip() or "without a text"
        )

    def _refuse(self, status, reply, model):
        """Raise what a status that brings no answer means."""
        if status in (200, 400, 422):
            return
        if status in (401, 403):
            env = self.profile.key_env
            has = f"the key in {env}" if env else "a request without a key (its profile has no key_env)"
            raise self._say(f"does not accept {has} ({status})", "Check the key and what it is allowed to do.")
        if status in (404, 405):
            what = f"knows no model {model!r}, or its base_url is wrong" if model else "has no list of models"
            mend = "Check model_name, and that the profile's base_url ends as that server wants it, mostly with /v1."
            raise _NoRoute(self._say(f"{what} ({status})", mend))
        if 300 <= status < 400:
            raise self._say(
                f"redirects to another address ({status}), which is not followed",
                "Write the final address into its profile on the server.",
            )
        if status in AGAIN:
            word = "is busy or its quota is used up" if status == 429 else "reports an error of its own"
            word = "cannot be reached behind its proxy" if 520 <= status <= 523 else word
            word = "took too long for the proxy before it" if status == 524 else word
            raise _Later(f"{word} ({status})", _seconds(reply.headers.get("Retry-After")))
        raise self._say(*_WORDS.get(status, (f"answers with status {status}",)))

    def _read(self, data, asked: _Asked) -> replies.Reply:
        reply = replies.read(data)
        if reply is None:
            raise self._say("answers without a choice", "Check that the model is loaded on that server and can chat.")
        if reply.refused:
            raise self._say("gave no answer: the model declines", "Choose another endpoint for these concepts.")
        if not reply.text.strip() and reply.finish == "content_filter":
            raise self._say("gave no answer: its own filter stopped it", "Choose another endpoint for these concepts.")
        if not reply.text.strip() and reply.cut and not reply.thought:
            raise self._cut(reply)
        return reply

    def _cut(self, reply):
        if reply.text.strip():
            return self._say("broke its answer off: the tokens were used up", "Raise max_length.")
        return self._say(
            "gave an empty answer: the model used up all its tokens before it came to one",
            "Raise max_length, or choose a model that does not think first.",
        )


@dataclass(frozen=True)
class _Asked:
    """What one answer is asked for with. ``first``: a yes or no is wanted, with the probabilities of the first word."""

    messages: list[dict]
    temperature: float
    seed: int
    tokens: int
    first: bool

    def wants_more(self, reply: replies.Reply) -> bool:
        """Whether a cut-off reply is of no use: half a caption is, a *yes* with half a reason is not."""
        return not self.first or not verdict(Answer(reply.text), reply.first).told

    def longer(self) -> _Asked:
        return _Asked(self.messages, self.temperature, self.seed, max(MORE * self.tokens, MORE_AT_LEAST), self.first)

    def body(self, model: str, ways: dict) -> dict:
        """The request's JSON, without what the server has refused before."""
        body = {
            "model": model,
            "messages": alternating(self.messages) if "system" in ways else self.messages,
            "max_tokens": self.tokens,
            "temperature": max(self.temperature, ways.get("coldest", 0.0)),
            "seed": self.seed % 2**31,
            "stream": False,
            **({"logprobs": True, "top_logprobs": ALTERNATIVES} if self.first else {}),
        }
        if "max_tokens" in ways:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return {name: value for name, value in body.items() if not ways.get(name)}


def _adapted(ways: dict, status: int, text: str, body: dict) -> bool:
    """Note in ``ways`` what a refusal names; without a name (400 alone) leave out all that some servers refuse. False: nothing is left."""
    before, text = dict(ways), text.casefold()
    for name in ("seed", "top_logprobs", "logprobs", "stream", "max_tokens", "max_completion_tokens"):
        if name in text and name in body:
            ways[name] = True
            break
    if ways.get("logprobs"):
        ways["top_logprobs"] = True
    if "temperature" in text and "temperature" in body:
        positive = body["temperature"] == 0 and re.search(r"positive|greater|> ?0|strictly|above", text)
        ways.update({"coldest": 0.01} if positive else {"temperature": True})
    if _SYSTEM_ROLE.search(text) and any(message["role"] == "system" for message in body["messages"]):
        ways["system"] = True
    if ways == before and status == 400:
        ways.update(dict.fromkeys(("max_tokens", "temperature", "seed", "logprobs", "top_logprobs"), True))
    return ways != before


def _seconds(text):
    """The seconds of a Retry-After header; None where it has none (or a date: clocks differ)."""
    try:
        return min(max(0.0, float(text)), 1e6)
    except (TypeError, ValueError):
        return None
