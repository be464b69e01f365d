"""MQTT 3.1.1 and 5 over TLS by hand, for tests of the hub: one connection, never opened again by
itself, so that its end can be seen; QoS 0 and 1. Packets can be wrong on purpose."""
import os
import select
import socket
import ssl
import struct
import time

HUB = os.environ.get("LAB_HUB", "hub.cradle.test")
CA = os.environ.get("CA", "")


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first, body):
    length, size = len(body), b""
    while True:
        length, low = divmod(length, 128)
        size += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + size + body


class Closed(Exception):
    pass


class Client:
    """client.code is the CONNACK's (0: let in, None: closed without an answer)."""

    def __init__(self, client_id, username, password, *, clean=True, will=None, version=4,
                 keepalive=60, port=8883, host=HUB):
        raw = socket.create_connection((host, port), timeout=10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = ssl.create_default_context(cafile=CA).wrap_socket(raw, server_hostname=host)
        self.version, self.buffer, self.messages, self.number = version, b"", [], 0
        flags = (2 if clean else 0)
        payload = text(client_id)
        if will:
            topic, message, retain = will
            flags |= 0x04 | (0x20 if retain else 0)
            payload += self.properties() + text(topic) + text(message)
        if username is not None:
            flags |= 0x80
            payload += text(username)
        if password is not None:
            flags |= 0x40
            payload += text(password)
        head = text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
        self.send(0x10, head + self.properties() + payload)
        try:
            self.code = self.expect(0x20)[1]
        except Closed:
            self.code = None

    def properties(self):
        return b"\0" if self.version == 5 else b""

    def send(self, first, body):
        self.socket.sendall(packet(first, body))

    def take(self, size, until):
        while len(self.buffer) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not self.socket.pending() and not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError
            try:
                more = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError, OSError):
                more = b""
            if not more:
                raise Closed
            self.buffer += more

    def packet(self, seconds):
        until = time.monotonic() + seconds
        size, shift, at = 0, 0, 1
        while True:
            self.take(at + 1, until)
            size |= (self.buffer[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not self.buffer[at - 1] & 128:
                break
        self.take(at + size, until)
        first, body = self.buffer[0], self.buffer[at:at + size]
        self.buffer = self.buffer[at + size:]
        if first & 0xf0 == 0x30:
            length = struct.unpack(">H", body[:2])[0]
            rest = body[2 + length + (2 if first & 6 else 0):]
            if self.version == 5:
                rest = rest[1 + rest[0]:]
            self.messages.append((body[2:2 + length].decode(), rest.decode(), bool(first & 1)))
            if first & 6 == 2:
                self.send(0x40, body[2 + length:4 + length])
        return first, body

    def expect(self, wanted, seconds=10):
        until = time.monotonic() + seconds
        while True:
            first, body = self.packet(max(0, until - time.monotonic()))
            if first & 0xf0 == wanted:
                return body

    def subscribe(self, topic, qos=1):
        """The SUBACK's code: the granted QoS, 0x80 or above: refused."""
        self.number += 1
        self.send(0x82, struct.pack(">H", self.number) + self.properties() + text(topic) + bytes([qos]))
        return self.expect(0x90)[-1]

    def unsubscribe(self, topic):
        self.number += 1
        self.send(0xa2, struct.pack(">H", self.number) + self.properties() + text(topic))
        self.expect(0xb0)

    def publish(self, topic, message, retain=False):
        """QoS 1; MQTT 5 gives the PUBACK's code, 3.1.1 knows none."""
        self.number += 1
        self.send(0x32 | retain, text(topic) + struct.pack(">H", self.number) + self.properties()
                  + message.encode())
        body = self.expect(0x40)
        return body[2] if len(body) > 2 else 0

    def ping(self):
        self.send(0xc0, b"")
        self.expect(0xd0)

    def wait(self, seconds):
        """Takes what comes; the seconds until the connection was closed, None: it was not."""
        start = time.monotonic()
        try:
            while True:
                self.packet(max(0, start + seconds - time.monotonic()))
        except TimeoutError:
            return None
        except Closed:
            return time.monotonic() - start

    def drop(self):
        """Without a DISCONNECT: the broker sends the will."""
        self.socket.close()

    def close(self):
        try:
            self.send(0xe0, b"")
        except OSError:
            pass
        self.socket.close()
