"""A real HTTP server on loopback that answers as an OpenAI-compatible one does, or fails as one does.

with ChatServer() as server:
    server.answer = "a dog"                 # or a function of the request's JSON
    server.fail = lambda request: web.Response(status=500)
    server.url                              # http://127.0.0.1:PORT/v1
    server.requests                         # [(method, path, headers, JSON)]

What such servers really send, for ``server.fail``: `error`, `answering`, `events` of `chunk`s.
"""

from __future__ import annotations

import asyncio
import json
import threading

from aiohttp import web


class ChatServer:
    """Runs in a thread of its own until the with-block ends."""

    def __init__(self):
        self.requests, self.models = [], ["first-model", "second-model"]
        self.reset()

    def reset(self):
        """Answer again, forget the requests."""
        self.requests.clear()
        self.answer, self.fail, self.delay = "a dog", None, 0.0

    async def _handle(self, request):
        body = await request.text()
        self.requests.append((request.method, request.path, dict(request.headers), json.loads(body) if body else None))
        await asyncio.sleep(self.delay)
        if self.fail is not None:
            reply = self.fail(request)
            if asyncio.iscoroutine(reply):
                reply = await reply
            if reply is not None:
                return reply
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})
        said = self.answer(self.requests[-1][3]) if callable(self.answer) else self.answer
        return web.json_response(
            {
                "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7},
            }
        )

    def __enter__(self):
        self.loop, ready = asyncio.new_event_loop(), threading.Event()

        async def start():
            app = web.Application(client_max_size=10**7)
            app.router.add_route("*", "/{path:.*}", self._handle)
            self.runner = web.AppRunner(app, shutdown_timeout=0.1)
            await self.runner.setup()
            site = web.TCPSite(self.runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
            ready.set()

        def serve():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(start())
            self.loop.run_forever()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        assert ready.wait(10)
        return self

    async def _stop(self):
        waiting = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await self.runner.cleanup()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


def error(status: int, message: str, **more) -> web.Response:
    """An error as most of them tell it. ``more``: of its object."""
    return web.json_response({"error": {"message": message, **more}}, status=status)


def answering(finish: str = "stop", **message):
    """Answers with that message whatever is asked."""
    return lambda request: web.json_response({"choices": [{"message": message, "finish_reason": finish}]})


def events(*rows: str, end: str = "\n\n"):
    """Answers with a stream of server-sent events."""
    return lambda request: web.Response(text="".join(row + end for row in rows), content_type="text/event-stream")


def chunk(**choice) -> str:
    """An event of a stream with that choice."""
    return "data: " + json.dumps({"choices": [choice]})
