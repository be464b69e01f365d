"""The device API spoken by hand, for flow and hostile tests: every byte of it can be wrong on purpose.

A Device signs with a real TPM through the program `tpmkeys` (tests/support/tpmkeys.c); a Client
speaks HTTPS on one kept connection. Nothing here retries or forgives.
"""
import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.parse

BUILD = os.environ["CRADLE_BUILD"]
LAB = os.environ.get("LAB", "")
SERVICE = os.environ.get("LAB_SERVICE", "provisioning.cradle.test")
SCOPE = os.environ.get("ID_SCOPE", "")
CA = os.environ.get("CA", "")
API = "?api-version=2021-06-01"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.raw = status, headers, body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    @property
    def code(self):
        return (self.json or {}).get("errorCode")

    @property
    def blob(self):
        return (self.json or {}).get("authenticationKey")

    def __str__(self):
        return f"{self.status} {self.raw[:300]!r}"


class Client:
    def __init__(self, host=SERVICE, port=443, source=None):
        self.context = ssl.create_default_context(cafile=CA)
        self.host, self.port, self.source, self.connection = host, port, source, None

    def request(self, method, path, body=None, token=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                self.host, self.port, context=self.context, timeout=30,
                source_address=(self.source, 0) if self.source else None)
        sent = {"Accept": "application/json"}
        if body is not None:
            sent["Content-Type"] = "application/json; charset=utf-8"
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
        if token:
            sent["Authorization"] = token
        sent.update(headers or {})
        self.connection.request(method, path, body=body, headers=sent)
        reply = self.connection.getresponse()
        return Answer(reply.status, reply.headers, reply.read())

    def register(self, registration_id, ek=None, srk=None, token=None, scope=None, body=None):
        if body is None:
            body = {"registrationId": registration_id}
            if ek is not None:
                body["tpm"] = {"endorsementKey": b64(ek), "storageRootKey": b64(srk)}
        return self.request("PUT", register_path(registration_id, scope), body, token)

    def poll(self, registration_id, operation, token):
        return self.request(
            "GET", f"/{SCOPE}/registrations/{registration_id}/operations/{operation}{API}", b"{}", token)

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


def register_path(registration_id, scope=None):
    return f"/{scope or SCOPE}/registrations/{registration_id}/register{API}"


def b64(raw):
    return raw if isinstance(raw, str) else base64.b64encode(raw).decode()


def resource(registration_id, scope=None):
    return f"{scope or SCOPE}/registrations/{registration_id}"


def token(sign, sr, expiry, skn="registration", escape=True):
    """sign: message bytes to 32 signature bytes. The spelling of sr is what is signed."""
    sr = urllib.parse.quote(sr, safe="") if escape else sr
    signature = sign(f"{sr}\n{expiry}".encode())
    text = f"SharedAccessSignature sr={sr}&sig={urllib.parse.quote(b64(signature), safe='')}&se={expiry}"
    return text + (f"&skn={skn}" if skn is not None else "")


def in_an_hour():
    return int(time.time()) + 3600


class Device:
    """A TPM of the lab by name."""

    def __init__(self, name):
        self.tcti = f"swtpm:path={LAB}/tpm-{name}/sock"
        keys = self.run("publics").split()
        self.ek, self.srk = (base64.b64decode(k) for k in keys)

    def run(self, *words):
        done = subprocess.run([f"{BUILD}/bin/tpmkeys", self.tcti, *words],
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise ActivationFailed(done.stderr.strip())
        return done.stdout.strip()

    def activate(self, blob):
        """Opens a challenge or a hub key: it becomes the identity key at 0x81000100."""
        self.run("activate", blob)

    def sign(self, message):
        return bytes.fromhex(self.run("sign", message.hex()))

    def prove(self, client, registration_id, expiry=None, tpm=True):
        """First request, activation, second request; returns the last answer and the token."""
        first = client.register(registration_id, self.ek, self.srk)
        expect(first.status == 401 and first.blob, f"a challenge, not {first}")
        self.activate(first.blob)
        proof = token(self.sign, resource(registration_id), expiry or in_an_hour())
        keys = (self.ek, self.srk) if tpm else (None, None)
        return client.register(registration_id, *keys, token=proof), proof


class ActivationFailed(Exception):
    pass


passed = []


def case(name):
    """Marks what the lines before proved; a test that printed no case proved nothing."""
    passed.append(name)
    print(f"ok  {name}", flush=True)


def expect(condition, what):
    if not condition:
        raise SystemExit(f"FAILED: expected {what}")


def refused(answer, status, code, what):
    expect(answer.status == status and answer.code == code, f"{status} {code} for {what}, not {answer}")
    expect(answer.blob is None, f"no key in an error ({what})")
    for member in ("trackingId", "message", "timestampUtc"):
        expect(member in answer.json, f"{member} in the error for {what}")
    expect(answer.headers["Content-Type"] == "application/json; charset=utf-8", "JSON content type")
    expect(answer.headers["WWW-Authenticate"] is None, "no WWW-Authenticate")


def raw_exchange(data, host=SERVICE, port=443, timeout=30):
    """Sends bytes as they are; returns everything that came until the peer closed."""
    context = ssl.create_default_context(cafile=CA)
    with socket.create_connection((host, port), timeout=timeout) as plain:
        with context.wrap_socket(plain, server_hostname=host) as stream:
            stream.sendall(data)
            got = b""
            while True:
                try:
                    part = stream.recv(65536)
                except (ssl.SSLError, ConnectionError, socket.timeout):
                    break
                if not part:
                    break
                got += part
            return got
