"""Peers that no device should have to meet, on real sockets, for tests of the device program.

    badnet.py answers PORT CERT KEY     HTTPS; what it answers is said by the id scope (see answer)
    badnet.py say PORT BYTES            sends these (a Python literal) after the first bytes, and closes
    badnet.py silent PORT               accepts and says nothing
    badnet.py portal PORT               plain HTTP, as a portal that catches every port
    badnet.py relay PORT TO MODE LOG    passes on what comes to port TO, in the way that the file MODE
                                        says at that moment: good, trickle (a byte a second), silent,
                                        close, portal, alert; LOG gets a line for each connection that was
                                        passed on: bytes up, bytes down
    badnet.py dns FILE                  names: FILE says silent, nxdomain, servfail, or an address;
                                        FILE.seen gets a line for each query: its id and kind
"""
import ast
import os
import pathlib
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time

HTML = b"<html><body>Please log in</body></html>"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A peer that goes away is no news here."""


def serve(port, handle):
    handler = type("Handler", (socketserver.BaseRequestHandler,), {"handle": lambda self: handle(self.request)})
    with Server(("127.0.0.1", port), handler) as server:
        server.serve_forever()


def reply(status, body=b"", kind="application/json", date=True, more=""):
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return (head + (f"Date: {now}\r\n" if date else "") + more + "\r\n").encode() + body


def answer(scope):
    """404.404201: status and code; disabled; html; found; bare.404: no body; no-date; blob.FILE; …"""
    word, _, rest = scope.partition(".")
    if word.isdigit():
        return reply(word, b'{"errorCode":%s,"message":"no"}' % rest.encode())
    if word == "blob":
        blob = pathlib.Path(os.environ["LAB"], rest).read_bytes()
        return reply(401, b'{"message":"prove it","keyName":"registration","authenticationKey":"%s"}' % blob)
    return {
        "disabled": lambda: reply(200, b'{"status":"disabled"}'),
        "html": lambda: reply(200, HTML, "text/html"),
        "found": lambda: reply(302, HTML, "text/html", more="Location: https://portal.example/\r\n"),
        "bare": lambda: reply(rest, HTML, "text/html"),
        "no-date": lambda: reply(503, date=False),
        "silent": lambda: b"",
        "endless": lambda: reply(200)[:-2] + b"X: " + b"x" * 100000,
    }[word]()


def answers(port, cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def handle(plain):
        with context.wrap_socket(plain, server_side=True) as stream:
            while request := stream.recv(16384):
                stream.sendall(answer(request.split()[1].decode().split("/")[1]))
    serve(port, handle)


def say(port, text):
    def handle(plain):
        plain.recv(4096)
        plain.sendall(text)
        plain.shutdown(socket.SHUT_WR)
        plain.settimeout(5)
        while plain.recv(4096):
            pass
    serve(port, handle)


def silent(port):
    serve(port, lambda plain: time.sleep(3600))


def portal(port):
    serve(port, lambda plain: (plain.recv(4096), plain.sendall(reply(200, HTML, "text/html"))))


def pump(source, sink, nap, count):
    try:
        while data := source.recv(1 if nap else 65536):
            count[0] += len(data)
            time.sleep(nap)
            sink.sendall(data)
    except OSError:
        pass
    for s in (source, sink):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def bad_end(near, mode):
    """The ways that lead nowhere."""
    if mode == "silent":
        time.sleep(3600)
    near.recv(4096)
    if mode == "portal":
        near.sendall(reply(200, HTML, "text/html"))
    if mode == "alert":
        near.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


def relay(port, to, mode_file, log):
    def handle(near):
        mode = pathlib.Path(mode_file).read_text().strip()
        if mode not in ("good", "trickle"):
            bad_end(near, mode)
            return
        nap = 1 if mode == "trickle" else 0
        up, down = [0], [0]
        with socket.create_connection(("127.0.0.1", to)) as far:
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=pump, args=(far, near, nap, down), daemon=True)
            back.start()
            pump(near, far, nap, up)
            back.join()
        with open(log, "a") as f:
            f.write(f"{up[0]} {down[0]}\n")
    serve(port, handle)


def dns(mode_file):
    """Answers A for every name as the file says at that moment, AAAA with nothing."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))
    pathlib.Path(mode_file + ".seen").touch()
    while True:
        query, peer = s.recvfrom(512)
        mode = pathlib.Path(mode_file).read_text().strip()
        end = query.index(b"\0", 12) + 5
        kind = struct.unpack(">H", query[end - 4:end - 2])[0]
        with open(mode_file + ".seen", "a") as f:
            f.write(f"{query[:2].hex()} {kind}\n")
        if mode == "silent":
            continue
        code = {"nxdomain": 3, "servfail": 2}.get(mode, 0)
        found = b""
        if code == 0 and kind == 1:
            found = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04" + socket.inet_aton(mode)
        s.sendto(query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if found else 0, 0, 0) +
                 query[12:end] + found, peer)


if __name__ == "__main__":
    mode, *words = sys.argv[1:]
    if mode == "answers":
        answers(int(words[0]), *words[1:])
    elif mode == "say":
        say(int(words[0]), ast.literal_eval(words[1]))
    elif mode == "silent":
        silent(int(words[0]))
    elif mode == "portal":
        portal(int(words[0]))
    elif mode == "relay":
        relay(int(words[0]), int(words[1]), words[2], words[3])
    else:
        dns(words[0])
