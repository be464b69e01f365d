"""The service API spoken by hand: every byte of it can be wrong on purpose.

An Operator signs with one policy's key; nothing here retries or forgives.
"""
import base64
import hashlib
import hmac
import os
import time
import urllib.parse

from dps import LAB, SERVICE, Client

VERSION = "2021-10-01"


def owner_key():
    """The key of provisioningserviceowner, as cradled init printed it."""
    with open(LAB + "/init.out") as f:
        text = next(line for line in f if line.startswith("connection_string="))
    return base64.b64decode(text.strip().split("SharedAccessKey=", 1)[1])


def derived_key(policy, which=""):
    """Another policy's key, derived as the service derives it: HMAC under the policy root."""
    with open(LAB + "/data/secrets/master", "rb") as f:
        master = f.read()
    pseudo_random = hmac.new(bytes(32), master, hashlib.sha256).digest()
    root = hmac.new(pseudo_random, b"cradle policy root v1\x01", hashlib.sha256).digest()
    return hmac.new(root, (policy + which).encode(), hashlib.sha256).digest()


def signature(key, sr, expiry, policy, order=("sr", "sig", "skn", "se")):
    sig = base64.b64encode(hmac.new(key, f"{sr}\n{expiry}".encode(), hashlib.sha256).digest()).decode()
    parts = {"sr": sr, "sig": urllib.parse.quote(sig, safe=""), "skn": policy, "se": expiry}
    return "SharedAccessSignature " + "&".join(f"{name}={parts[name]}" for name in order)


class Operator:
    def __init__(self, policy="provisioningserviceowner", key=None, client=None):
        self.policy = policy
        self.key = key or derived_key(policy)
        self.client = client or Client()

    def token(self, sr=SERVICE, expiry=None, **more):
        return signature(self.key, sr, expiry or int(time.time()) + 3600, self.policy, **more)

    def call(self, method, path, body=None, headers=None, token=None, version=VERSION):
        query = f"?api-version={version}" if version else ""
        return self.client.request(method, path + query, body, token or self.token(), headers)

    def get(self, path):
        return self.call("GET", path)

    def put(self, path, body, etag=None):
        return self.call("PUT", path, body, {"If-Match": etag} if etag else None)

    def delete(self, path, etag=None):
        return self.call("DELETE", path, None, {"If-Match": etag} if etag else None)

    def query(self, kind, text="SELECT *", size=None, continuation=None):
        headers = {}
        if size is not None:
            headers["x-ms-max-item-count"] = str(size)
        if continuation is not None:
            headers["x-ms-continuation"] = continuation
        return self.call("POST", f"/{kind}/query", {"query": text}, headers)

    def all(self, kind, text="SELECT *", size=None):
        """Every row of a query, page by page."""
        rows, token = [], None
        while True:
            page = self.query(kind, text, size, token)
            if page.status != 200:
                raise AssertionError(f"a page, not {page}")
            rows += page.json
            token = page.headers.get("x-ms-continuation")
            if token is None:
                return rows


def tpm_enrollment(registration_id, ek, **more):
    return {"registrationId": registration_id,
            "attestation": {"type": "tpm", "tpm": {"endorsementKey": base64.b64encode(ek).decode()}}, **more}


def key_enrollment(registration_id, primary=None, secondary=None, **more):
    keys = {"primaryKey": primary, "secondaryKey": secondary}
    return {"registrationId": registration_id,
            "attestation": {"type": "symmetricKey", "symmetricKey": keys}, **more}
