#!/usr/bin/env python3
"""The peers that halcheck_transport (tests/support/halcheck.h) wants, on this machine:

    tls_echo.py PORT CERTIFICATE KEY STRANGERS_CERTIFICATE STRANGERS_KEY

At PORT one that sends back what it gets, and hangs up after a byte 04; at PORT+1 the same with a
certificate that the device must not trust; at PORT+2 one that accepts and says nothing. Nobody is at
PORT+3. Prints "ready".
"""
import socket
import ssl
import sys
import threading

END = b"\x04"


def echo(context, connection):
    try:
        with context.wrap_socket(connection, server_side=True) as stream:
            while got := stream.recv(4096):
                stream.sendall(got.split(END)[0])
                if END in got:
                    stream.unwrap()
                    return
    except OSError:
        pass


def serve(port, handle):
    listener = socket.create_server(("", port))

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=(connection,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def tls(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return lambda connection: echo(context, connection)


def main():
    port = int(sys.argv[1])
    held = []
    serve(port, tls(sys.argv[2], sys.argv[3]))
    serve(port + 1, tls(sys.argv[4], sys.argv[5]))
    serve(port + 2, held.append)
    print("ready", flush=True)
    threading.Event().wait()


main()
