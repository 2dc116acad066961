"""Listen to a ComfyUI server's event stream: a WebSocket reader small enough to need no library."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import threading
from collections.abc import Callable

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Events(threading.Thread):
    """Calls `handler(type, data)` for every event the server sends to this client, until `close()` or the server ends."""

    def __init__(self, host: str, port: int, client_id: str, handler: Callable[[str, dict], None]):
        super().__init__(daemon=True)
        self.handler = handler
        self.socket = socket.create_connection((host, port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                f"GET /ws?clientId={client_id} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        if b" 101 " not in status:
            raise ConnectionError(f"The server refused the event stream: {status.decode(errors='replace').strip()}")
        while self.stream.readline().strip():
            pass
        self.socket.settimeout(None)
        self.start()

    def run(self) -> None:
        try:
            while (frame := self._frame()) is not None:
                opcode, payload = frame
                if opcode == TEXT:
                    event = json.loads(payload)
                    self.handler(event.get("type", ""), event.get("data") or {})
                elif opcode == PING:
                    self._send(PONG, payload)
        except (OSError, ValueError, struct.error):
            pass  # the connection is gone: nothing more to hear

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _frame(self) -> tuple[int, bytes] | None:
        """One whole message; the server neither masks nor, in practice, fragments, but fragments are joined."""
        opcode, message = 0, b""
        while True:
            head = self.stream.read(2)
            if len(head) < 2:
                return None
            length = head[1] & 127
            if length == 126:
                length = struct.unpack(">H", self.stream.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.stream.read(8))[0]
            message += self.stream.read(length)
            opcode = head[0] & 15 or opcode
            if opcode == CLOSE:
                return None
            if head[0] & 128:
                return opcode, message

    def _send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([128 | opcode, 128 | len(payload)]) + mask + masked)
