"""What it costs a hub that somebody looks at its dashboard: CPU time of the process without viewers, with 20 and with 100, and with one on a line that takes
nothing. A viewer is a WebSocket client that follows `$metrics:overview`, `$metrics:feeds` and `$admin:alerts`, as the page does."""

import base64
import hashlib
import hmac
import json
import selectors
import socket
import time

CHANNELS = ("$metrics:overview", "$metrics:feeds", "$admin:alerts")
VIEWERS = (20, 100)
# The canaries and the first look at everything are over by then.
SETTLE_SECONDS = 3
ANSWER_SECONDS = 10
# So that what is sent to who does not read soon waits in the hub and not in the kernel.
SLOW_BUFFER_BYTES = 4_096
MASK = b"\x5a\xc3\x96\x2f"


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def token(key):
    """Of somebody with the role of a viewer, signed as the hub's configuration says (HS256)."""
    claims = {"sub": "viewer", "role": "viewer", "exp": int(time.time()) + 3_600}
    text = b".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return b".".join((text, encoded(hmac.new(key.encode(), text, hashlib.sha256).digest()))).decode()


def frame(text):
    payload = text.encode()
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return b"\x81" + length + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def viewer(port, signed, is_slow=False):
    """A connected viewer that has heard that it is subscribed to everything."""
    client = socket.socket()
    client.settimeout(ANSWER_SECONDS)
    if is_slow:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
    client.connect(("127.0.0.1", port))
    head = "GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    client.sendall((head + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    commands = [{"id": 1, "connect": {"token": signed}}]
    commands += [{"id": 2 + number, "subscribe": {"channel": channel}} for number, channel in enumerate(CHANNELS)]
    client.sendall(frame("\n".join(map(json.dumps, commands))))
    last, heard = f'"id":{1 + len(CHANNELS)}'.encode(), b""
    while last not in heard:
        more = client.recv(65_536)
        if not more or b'"error"' in heard:
            raise OSError(f"a viewer is not let in: {heard[-300:]!r}")
        heard += more
    client.setblocking(False)
    return client


def cpu_seconds(pid):
    """CPU time of all threads of a process, by its own clock (clock_getcpuclockid(3) says how its number is made)."""
    return time.clock_gettime((~pid << 3) | 2)


def share(pid, clients, seconds):
    """Per cent of one core that the process uses while the clients read what comes. How many bytes came to each in a second."""
    came = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        began, before = time.monotonic(), cpu_seconds(pid)
        while (left := began + seconds - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                data = key.fileobj.recv(1 << 20)
                if not data:
                    raise OSError("a viewer was cut off")
                came += len(data)
                # A ping of the protocol is an empty object, alone in its frame.
                if data.endswith(b"\x81\x02{}"):
                    key.fileobj.sendall(frame("{}"))
        used = cpu_seconds(pid) - before
    return 100 * used / seconds, came / seconds / max(1, len(clients))


def measure(pid, port, key, seconds):
    signed = token(key)
    time.sleep(SETTLE_SECONDS)
    alone, _ = share(pid, [], seconds)
    figures = {"seconds": seconds, "cpu_percent_alone": alone}
    clients = []
    try:
        for count in VIEWERS:
            clients += [viewer(port, signed) for _ in range(count - len(clients))]
            # What a page is given at its beginning is not what it costs to have it open.
            share(pid, clients, 1)
            used, bytes_each = share(pid, clients, seconds)
            figures[f"cpu_percent_more_with_{count}"] = used - alone
            figures[f"bytes_per_second_each_with_{count}"] = bytes_each
        slow = viewer(port, signed, is_slow=True)
        used, _ = share(pid, clients, seconds)
        figures["cpu_percent_more_with_100_and_a_slow_one"] = used - alone
        slow.close()
    finally:
        for client in clients:
            client.close()
    return figures
