"""A language model behind an OpenAI-compatible address: one POST to /chat/completions, with a deadline and few retries.

Servers differ in what they accept: what one refuses by name (a seed, temperature 0, a system role) is left out and asked for again, and not
sent to it any more, where that helped. Of what a server says in an error, neither key, prompt nor address is passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..rewriters.protocol import Answer, RewriterError, Verdict, verdict
from . import addresses, faults, hiding, listing, replies
from .faults import Asked
from .profiles import Profile

T = TypeVar("T")
LARGEST = 8_000_000  # bytes of a reply: a stream of thinking is long, and so are some lists of models
LARGEST_ERROR = 20_000  # bytes of an error that are read
TRIES = 3
PAUSES = (0.5, 1.0)  # seconds before the second and the third try
LOADING = 1.0  # seconds between two looks whether a model is loaded; not counted as tries
PATIENCE = 2.0  # seconds for the text of an error
POLL = 0.2  # seconds between two looks at the stop button
ADAPTATIONS = 9  # how often a request is changed to what the server accepts
UNNAMED = "default"  # the model that a server without a list is asked for: those with one model answer to any name


class _Later(Exception):
    """A failure that another try may mend. ``mend``: what to do about it; ``wait``: seconds the server asks for; ``loading``: its model is
    on the way."""

    mend = "Try again later, or look into the log of that server."

    def __init__(self, fault: str, wait: float | None = None, loading: bool = False):
        super().__init__(fault)
        self.wait, self.loading = wait, loading


class _Refused(_Later):
    mend = "Start that server, or check the port in its profile."


class _Unreachable(_Later):
    mend = "Check the network and the address in its profile."


class _Broken(_Later):
    mend = "Try again later, or check port and http or https in its profile."


class _NoRoute(Exception):
    """There is nothing at that path: a base_url without its /v1, perhaps."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class _Adaptable(Exception):
    """A refusal of what a request holds, perhaps. ``error``: what to raise where nothing can be left out."""

    def __init__(self, error: Exception, status: int, text: str):
        super().__init__(str(error))
        self.error, self.status, self.text = error, status, text


class _NoList(RewriterError):
    """There is no list of models, or an empty one."""


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
        key = hiding.key(self.profile.key_env)
        if not key:
            raise self._say(
                f"needs a key, but the environment variable {self.profile.key_env} is not set on this server",
                "Set it where ComfyUI is started.",
            )
        if not (key.isascii() and key.isprintable()):
            raise self._say(
                f"has a key that cannot be sent: the environment variable {self.profile.key_env} holds characters that no "
                "header may hold",
                "Set it again where ComfyUI is started, on one line.",
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
            asked = Asked(messages, temperature, seed, 8 if first else self.max_length, first)
            number = 0
            while number < TRIES:
                try:
                    reply = await self.clock.within(end - self.clock.now(), self._told(self._once(session, asked)))
                    if not asked.without_end(reply):
                        return reply
                    longer = asked.longer()
                    reply = await self.clock.within(end - self.clock.now(), self._told(self._once(session, longer)))
                    if longer.without_end(reply):
                        raise self._cut(reply)
                    return reply
                except (asyncio.TimeoutError, TimeoutError):
                    raise self._say(
                        f"gave no answer within {self.timeout:g} s" + (f" (before that it {last})" if last else ""),
                        "Raise timeout, or choose a faster model.",
                    ) from None
                except _Later as later:
                    last = later
                number += not last.loading
                if number < TRIES:
                    await self._pause(last, LOADING if last.loading else PAUSES[number - 1], end)
        assert last is not None  # there is at least one try
        raise self._say(f"{last} ({TRIES} tries)", last.mend)

    async def _pause(self, last: _Later, pause: float, end: float) -> None:
        """Wait before another try. Raises RewriterError where that would last beyond ``end``."""
        asks = "waiting "
        if last.wait is not None:
            pause, asks = max(last.wait, LOADING if last.loading else 0.0), "it asks to wait "
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
        except aiohttp.ClientConnectorSSLError:
            raise self._say(
                "speaks no https at that port", "Write http:// into its profile, or another port."
            ) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(getattr(error, "os_error", None), ConnectionRefusedError):
                raise _Refused("refuses the connection") from None
            raise _Unreachable("cannot be reached") from None
        except (aiohttp.InvalidURL, UnicodeError):
            raise self._say("has a base_url that is no address", "Mend its profile on the server.") from None
        except aiohttp.ClientError as error:
            raise _Broken(f"broke the connection off ({type(error).__name__})") from None

    async def _once(self, session, asked: Asked) -> replies.Reply:
        model, lost = self.model or self.profile.model, ""
        if not model:
            try:
                model = (await self.models(session))[0]
            except _NoList as error:
                model, lost = UNNAMED, str(error)
        try:
            return await self._adapting(session, asked, model)
        except RewriterError as error:
            if not lost:
                raise
            told = str(error).removeprefix(f"Endpoint {self.profile_name!r} ")
            raise RewriterError(f"{lost} Asked for the model {UNNAMED!r} all the same, it {told}") from None

    async def _adapting(self, session, asked: Asked, model: str) -> replies.Reply:
        """An answer to as much of a request as the server accepts. What it refused is remembered once it answers without that."""
        ways, lasting, before = self.ways, True, None
        for number in range(ADAPTATIONS):
            body = asked.body(model, ways)
            try:
                reply = self._read(await self._call(session, "POST", "/chat/completions", body, model))
            except _Adaptable as refused:
                if not faults.spent(refused.text):
                    found = faults.adapted(ways, refused.status, refused.text, body)
                    if found is None or number == ADAPTATIONS - 1:
                        raise (before or refused.error) from None
                    before = refused.error if found.blind else None
                    ways, lasting = found.ways, lasting and found.lasting
                    continue
                reply = replies.Reply("", "length", thought=True)
            if lasting:
                self.ways.update({name: way for name, way in ways.items() if name != "base"})
            return reply
        raise AssertionError("the last request is answered or refused")

    async def models(self, session) -> list[str]:
        """The models that the endpoint lists, those that can chat first. Raises RewriterError where there is none."""
        try:
            data = await self._call(session, "GET", "/models", None, "")
        except _Adaptable as refused:
            raise refused.error from None
        names = listing.chat_models(data)
        if not names:
            raise _NoList(
                str(self._say("names no model", "Load one on that server, or write its name into model_name."))
            )
        return names

    async def _call(self, session, method, path, body, model):
        """What the body of an answer holds. Raises _Adaptable, _Later or RewriterError for everything else."""
        first = None
        bases = addresses.bases(self.profile.base_url)
        for base in [self.ways["base"]] if self.ways.get("base") else bases:
            try:
                found = await self._at(base, session, method, path, body, model)
            except _NoRoute as lost:
                first = first or lost
                continue
            except _Adaptable:
                self.ways.update({"base": base} if base != bases[0] else {})
                raise
            self.ways.update({"base": base} if base != bases[0] else {})
            return found
        assert first is not None  # there is at least one base
        raise (first.error if body else _NoList(str(first.error))) from None

    async def _at(self, base, session, method, path, body, model):
        import aiohttp

        async with session.request(method, base + path, json=body, allow_redirects=False) as reply:
            status, data = reply.status, bytearray()
            well = 200 <= status < 300 and status not in (204, 205)
            if 300 <= status < 400:
                error = self._say(
                    f"redirects to another address ({status}), which is not followed",
                    "Write https:// into its profile on the server."
                    if base.startswith("http:") and reply.headers.get("Location", "").startswith("https:")
                    else "Write the final address into its profile on the server.",
                )
                raise _NoRoute(error) if body else error
            if well:
                await self._into(data, reply, LARGEST)
            else:
                with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(self._into(data, reply, LARGEST_ERROR), PATIENCE)
            wait = faults.seconds(reply.headers.get("Retry-After"))
        if not well:
            self._refuse(status, replies.fault(bytes(data[:LARGEST_ERROR])), wait, model, body)
        if len(data) > LARGEST:
            raise self._say(
                f"sends more than {LARGEST // 1_000_000} MB", "That is no answer of a chat model: check base_url."
            )
        try:
            loaded = replies.load(bytes(data))
        except replies.Unreadable:
            error = self._say(
                "does not answer in JSON",
                "Check that its profile's base_url is that of an OpenAI-compatible server, mostly ending with /v1.",
            )
            raise _NoRoute(error) from None
        fault = replies.error_in(loaded)
        if fault:
            self._refuse(fault.code or 200, fault, wait, model, body)
        if body and status != 200 and replies.read(loaded) is None:
            raise self._say(f"answers with status {status}, without an answer")
        return loaded

    async def _into(self, data, reply, most):
        """Read a body, of one that is larger a little more than ``most`` bytes."""
        async for chunk in reply.content.iter_chunked(65536):
            data += chunk
            if len(data) > most:
                break

    def _refuse(self, status, fault, wait, model, body):
        """Raise what an error means."""
        env = self.profile.key_env
        prompts = [str(message["content"]) for message in (body or {}).get("messages", ())]
        whole = hiding.masked(f"{fault.marks}; {fault.text}"[: hiding.READ], "", prompts, short=False)
        meant, text = faults.meaning(whole, status), hiding.harmless(fault.text, hiding.key(env), prompts)
        names = {
            "key": f"the key in {env}" if env else "a request without a key (its profile has no key_env)",
            "model": model,
        }
        what, mend = faults.words(status, meant, text, **names)
        if status in faults.AGAIN and meant in ("", "loading"):
            error = _Later(what, wait, meant == "loading")
        else:
            error = self._say(what, mend)
        adaptable = body and faults.adaptable(status, whole, body)
        if status in (404, 405, 410, 501) and not meant and not (adaptable and faults.named(whole, body)):
            raise _NoRoute(error if model else self._say(f"has no list of models ({status})", mend))
        if status == 200 and not meant and faults.no_route(text):
            raise _NoRoute(error)
        raise _Adaptable(error, status, whole) if adaptable else error

    def _read(self, data) -> replies.Reply:
        reply = replies.read(data)
        if reply is None and replies.blocked(data):
            raise self._say(
                "answers without a choice, as servers do whose own filter stopped it",
                "Choose another endpoint for these concepts, or check that the model can chat.",
            )
        if reply is None:
            raise self._say("answers without a choice", "Check that the model is loaded on that server and can chat.")
        if reply.refused:
            raise self._say("gave no answer: the model declines", "Choose another endpoint for these concepts.")
        if reply.filtered:
            raise self._say(*faults.MEANINGS["filter"])
        if reply.called:
            raise self._say("calls a tool instead of answering", "Choose another model, or one without tools.")
        if reply.failed:
            raise _Later("broke its answer off")
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
