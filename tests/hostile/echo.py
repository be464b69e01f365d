"""A running echo_server, certificates made for it, and clients that misbehave on purpose."""
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

BIN = os.path.join(os.environ["CRADLE_BUILD"], "bin", "echo_server")
SANITIZED = b"__asan_init" in open(BIN, "rb").read()
CRLF = b"\r\n"


def case(name):
    print(f"ok   {name}", flush=True)


def expect(truth, what):
    if not truth:
        raise AssertionError(f"expected {what}")


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, timeout=30)


def certificates(folder, key=("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")):
    """A CA and a server certificate for localhost; returns the paths of CA, chain and key."""
    at = lambda name: os.path.join(folder, name)
    for who in ("ca", "server"):
        expect(openssl("genpkey", *key, "-out", at(f"{who}.key")).returncode == 0, "a key")
    openssl("req", "-x509", "-key", at("ca.key"), "-subj", "/CN=test CA", "-days", "2",
            "-addext", "basicConstraints=critical,CA:TRUE", "-out", at("ca.pem"))
    openssl("req", "-new", "-key", at("server.key"), "-subj", "/CN=localhost", "-out", at("server.csr"))
    with open(at("ext"), "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    made = openssl("x509", "-req", "-in", at("server.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"),
                   "-days", "2", "-extfile", at("ext"), "-out", at("server.pem"))
    expect(made.returncode == 0, f"a certificate: {made.stderr.decode()}")
    return at("ca.pem"), at("server.pem"), at("server.key")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Stream:
    """A TLS connection; reads whole answers."""

    def __init__(self, server, source=None, tls=True, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = server.context.wrap_socket(self.socket, server_hostname="localhost")
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        """False at the end of the stream, however it came."""
        try:
            data = self.socket.recv(65536)
        except (ssl.SSLError, ConnectionError):
            data = b""
        self.pending += data
        return bool(data)

    def answer(self, head_only=False):
        """The next answer, or None where the stream ends before one."""
        while CRLF + CRLF not in self.pending:
            if not self.more():
                expect(self.pending == b"", f"no half an answer: {self.pending!r}")
                return None
        head, rest = self.pending.split(CRLF + CRLF, 1)
        first, *lines = head.decode().split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Za-z ]+", first)
        expect(match, f"a status line, not {first!r}")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        length = 0 if head_only or match[1] == "100" else int(headers["content-length"])
        while len(rest) < length:
            self.pending = b""
            expect(self.more(), f"a body of {length}, not {len(rest)} bytes")
            rest += self.pending
        self.pending = rest[length:]
        return Answer(int(match[1]), headers, rest[:length])

    def ask(self, data):
        self.send(data)
        return self.answer()

    def ended(self, within=5):
        """Whether the peer ends the stream, without another byte, in that time."""
        self.socket.settimeout(within)
        try:
            return not self.more() and self.pending == b""
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()


class Server:
    def __init__(self, *options, descriptors=None):
        self.folder = tempfile.TemporaryDirectory()
        self.ca, self.chain, self.key = certificates(self.folder.name)
        self.context = ssl.create_default_context(cafile=self.ca)
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.process = subprocess.Popen(
            [BIN, "--certificate", self.chain, "--key", self.key, *map(str, options)],
            stdout=subprocess.PIPE, stderr=self.log, preexec_fn=limit if descriptors else None)
        line = self.process.stdout.readline().decode()
        expect(line.startswith("port="), f"a port; the server says {self.logged()}")
        self.port = int(line[5:])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.logged()[-3000:], file=sys.stderr)
            self.process.kill()
        else:
            self.stop()
        self.process.wait()
        self.folder.cleanup()

    def logged(self):
        with open(self.log.name, "rb") as f:
            return f.read().decode(errors="replace")

    def count(self):
        """How many requests were handled before this one."""
        with Stream(self) as s:
            return int(s.ask(request("/count")).body)

    def still_good(self):
        expect(self.process.poll() is None, f"a server that lives; it says {self.logged()[-3000:]}")
        with Stream(self) as s:
            answer = s.ask(request("/echo?alive"))
            expect(answer and answer.status == 200, f"a good request to be served, not {answer}")

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """Drains it; returns how many milliseconds it took."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        expect(self.process.returncode == 0, f"a clean end, not {self.process.returncode}: {self.logged()[-3000:]}")
        return int(out.decode().split("drained_ms=")[1])


def request(target, body=b"", method="GET", *headers):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + CRLF + CRLF + body


def seconds_since(start):
    return time.monotonic() - start
