"""Listen to a ComfyUI server's event stream in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable

import aiohttp


class Events(threading.Thread):
    """Calls `handler(type, data)` for every event the server sends to this client, until `close()` or the server ends.

    Raises:
        ConnectionError: the server refuses the stream.
    """

    def __init__(self, url: str, client_id: str, handler: Callable[[str, dict], None]):
        super().__init__(daemon=True)
        self.url, self.client_id, self.handler = url, client_id, handler
        self.opened: concurrent.futures.Future = concurrent.futures.Future()
        self.start()
        self.loop, self.socket = self.opened.result()

    def run(self) -> None:
        try:
            asyncio.run(self._listen())
        except (OSError, ValueError, aiohttp.ClientError, asyncio.TimeoutError) as error:
            if not self.opened.done():  # afterwards, the connection is gone: nothing more to hear
                self.opened.set_exception(ConnectionError(f"The server refused the event stream: {error}"))

    async def _listen(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, connect=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:  # takes no proxy from the environment
            async with session.ws_connect(
                f"{self.url}/ws", params={"clientId": self.client_id}, max_msg_size=0
            ) as socket:
                self.opened.set_result((asyncio.get_running_loop(), socket))
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        event = message.json()
                        self.handler(event.get("type", ""), event.get("data") or {})

    def close(self) -> None:
        """Stop listening and wait for the thread's end."""
        if self.is_alive():
            closing = self.socket.close()
            try:
                asyncio.run_coroutine_threadsafe(closing, self.loop)
            except RuntimeError:  # ended in this moment
                closing.close()
        if threading.current_thread() is not self:
            self.join(5)
