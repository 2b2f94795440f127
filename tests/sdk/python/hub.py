"""Starts the real hub, and says what an application would: tokens and server API calls."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import signal
import tempfile
import time

SECRET = b"a-secret-of-the-tests-32-bytes-long"
API_KEY = "the-api-key-of-the-tests"
DEADLINE_SECONDS = 20
CONFIG = pathlib.Path(__file__).parent.parent / "hub.toml"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(**claims) -> str:
    """A token signed as an application's backend would sign it."""
    head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(hmac.new(SECRET, signed.encode(), hashlib.sha256).digest())}"


def in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


async def eventually(what, probe):
    """Asks again and again until the answer is truthy; fails with the last answer."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = probe()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not come true within {DEADLINE_SECONDS} s; last: {answer!r}"
        await asyncio.sleep(0.02)


class Hub:
    @classmethod
    async def start(cls) -> "Hub":
        hub = cls()
        # A file, so that the hub never waits for somebody to read its log.
        hub.log = tempfile.TemporaryFile()
        hub.folder = tempfile.TemporaryDirectory()
        hub.process = await asyncio.create_subprocess_exec(
            os.environ["AETHER_BIN"],
            "serve",
            "--config",
            str(CONFIG),
            stdout=asyncio.subprocess.PIPE,
            stderr=hub.log,
            env={**os.environ, "AETHER_DATA_DIR": hub.folder.name},
        )
        while line := await asyncio.wait_for(hub.process.stdout.readline(), DEADLINE_SECONDS):
            if line.startswith(b"ready "):
                hub.host, hub.port = line.decode().split()[1].removeprefix("http://").split(":")
                hub.baseline = await hub.counts()
                return hub
        raise AssertionError(f"the hub ended before it was ready:\n{hub.read_log()}")

    def read_log(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    @property
    def websocket(self) -> str:
        return f"ws://{self.host}:{self.port}/connection/websocket"

    async def _request(self, method: str, path: str, body: bytes = b""):
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nX-API-Key: {API_KEY}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.read(), DEADLINE_SECONDS)
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] == b"200", answer
        return json.loads(body)

    async def api(self, method: str, **params):
        body = await self._request("POST", f"/api/{method}", json.dumps(params).encode())
        assert "result" in body, body
        return body["result"]

    async def counts(self):
        """What a client that left may leave no trace in."""
        state = await self._request("GET", "/debug/state")
        return {what: state[what] for what in ("sessions", "members", "topics", "presence")}

    async def until_empty(self):
        """Everybody has left, and nothing of them remains."""

        async def is_empty():
            return await self.counts() == self.baseline

        await eventually("the hub being empty", is_empty)

    def signal(self, number):
        self.process.send_signal(number)

    async def stop(self):
        """Ends the hub as an operator would; it must end well."""
        self.signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), DEADLINE_SECONDS)
        assert code == 0, self.read_log()
        self.log.close()
        self.folder.cleanup()
