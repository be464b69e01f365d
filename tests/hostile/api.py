"""Hostile requests against a running service; see tests/hostile/api."""
import random
import statistics
from dps import *

pump, valve, client = Device("pump"), Device("valve"), Client()
EK, SRK = pump.ek, pump.srk


def still_good():
    first = client.register("pump-1", EK, SRK)
    expect(first.status == 401 and first.blob, f"the real device still gets a challenge, not {first}")


def bad(what, answer, status=400):
    expect(answer.status == status, f"{status} for {what}, not {answer}")
    refused(answer, status, answer.code, what)
    expect(answer.code // 1000 == status, f"a code of {status}, not {answer.code}")
    case(what)


def put(registration_id, body, path=None, headers=None):
    return client.request("PUT", path or register_path(registration_id), body, headers=headers)


def tpm_body(ek=EK, srk=SRK, registration_id="pump-1"):
    return {"registrationId": registration_id, "tpm": {"endorsementKey": b64(ek), "storageRootKey": b64(srk)}}


def software_modulus():
    pem = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
    out = subprocess.run(["openssl", "rsa", "-noout", "-modulus"], input=pem, capture_output=True, check=True)
    return bytes.fromhex(out.stdout.decode().strip().split("=")[1])


def with_modulus(public, modulus):
    return public[:-256] + modulus


def replaced(public, at, new):
    return public[:at] + new + public[at + len(new):]


# ---- T1, T2, T14: not enrolled, another's, somebody's own -----------------------------------
fake = with_modulus(EK, software_modulus())
unknown, swapped = client.register("nobody-1", EK, SRK), client.register("pump-1", valve.ek, SRK)
false = client.register("pump-1", fake, SRK)
for answer, what in ((unknown, "T14 an unknown id"), (swapped, "T2 another enrollment's EK"),
                     (false, "T1 a software EK")):
    refused(answer, 404, 404201, what)
    case(what)
expect(len({len(a.raw) for a in (unknown, swapped, false)}) == 1, "bodies of one length")
blank = lambda a: {k: v for k, v in a.json.items() if k not in ("trackingId", "timestampUtc")}
expect(blank(unknown) == blank(swapped) == blank(false), "one and the same answer")
case("T1 T14 identical bodies")


def service_cpu_us():
    """All its threads so far. The clock on the wall says more about the neighbours than about us."""
    tasks = f"/proc/{open(f'{LAB}/pid.service').read().strip()}/task"
    return sum(int(open(f"{tasks}/{t}/schedstat").read().split()[0]) for t in os.listdir(tasks)) / 1000


def cpu_us(requests, rounds=15, batch=20):
    """Medians over batches, interleaved in ever another order, so that drift hits all alike."""
    times = {name: [] for name in requests}
    for _ in range(rounds):
        for name in random.sample(list(requests), len(requests)):
            before = service_cpu_us()
            for _ in range(batch):
                requests[name]()
            times[name].append((service_cpu_us() - before) / batch)
    return {name: statistics.median(t) for name, t in times.items()}


# Without the wrap that a refusal throws away it would take little more than half.
for attempt in range(5):
    medians = cpu_us({"unknown": lambda: client.register("nobody-1", EK, SRK),
                      "other": lambda: client.register("pump-1", valve.ek, SRK),
                      "right": lambda: client.register("pump-1", EK, SRK)})
    spread = max(medians.values()) / min(medians.values())
    if spread < 1.12:
        break
expect(spread < 1.12, f"one class of time, not {medians}")
case("T14 one class of time: " + ", ".join(f"{n} {t:.0f} us" for n, t in medians.items()))

# ---- T8: registration ids --------------------------------------------------------------------
expect(client.register("PUMP-1", EK, SRK).blob, "ids are compared without regard to case")
case("T8 case is folded")
expect(client.register("%70ump%2d1", EK, SRK, body=tpm_body()).blob, "escapes are undone")
case("T8 percent escapes are undone once")
for what, spelled in {
    "T8 look-alike": "pum%d1%80-1", "T8 full-width": "%ef%bd%90ump-1", "T8 trailing dot": "pump-1.",
    "T8 doubly escaped": "%2570ump-1", "T8 NUL": "pump-1%00", "T8 bad escape": "pump-1%zz",
    "T8 cut escape": "pump-1%4", "T8 space": "pump%201", "T8 129 characters": "a" * 129,
    "T18 CR LF": "pump-1%0d%0ainjected", "T18 ESC": "pump%1b[31m", "T18 format": "%25s%25n%25x",
    "T19 dot dot": "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "T19 slash": "pump%2f..%2fvalve-1",
    "T20 quote": "pump-1'%20OR%20'1'='1", "T20 comment": "pump-1';--", "T20 union": "x'%20UNION%20SELECT",
}.items():
    bad(what, client.register(spelled, EK, SRK, body={"tpm": tpm_body()["tpm"]}))
refused(client.register("a" * 128, EK, SRK), 404, 404201, "128 characters")
bad("T8 body names another id", put("pump-1", tpm_body(registration_id="valve-1")))
for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", f"/{SCOPE}/registrations/../secrets", "/"):
    answer = client.request("GET", path)
    expect(answer.status in (400, 404, 405) and answer.code, f"an error for {path}, not {answer}")
case("T19 no path leads anywhere")
refused(client.register("pump-1", EK, SRK, scope="0ne'--"), 404, 404201, "a strange scope")

# ---- T10: JSON -------------------------------------------------------------------------------
good = json.dumps(tpm_body()).encode()
for what, body in {
    "no object": b"[]", "a string": b'"x"', "null": b"null", "cut": good[:-1],
    "text after the end": good + b"x", "two values": good + good, "depth 10,000": b"[" * 10000,
    "depth 10,000 in a payload": good[:-1] + b',"payload":' + b"[" * 10000 + b"]" * 10000 + b"}",
    "duplicate key": b'{"registrationId":"pump-1",' + good[1:],
    "duplicate key inside": good.replace(b'"endorsementKey"', b'"endorsementKey":"","endorsementKey"', 1),
    "NUL": good.replace(b"pump-1", b"pump-1\\u0000"), "raw NUL": good.replace(b"pump-1", b"pump\0-1"),
    "invalid UTF-8": good[:-1] + b',"payload":"\xc3\x28"}', "lone surrogate": good[:-1] + b',"payload":"\\ud800"}',
    "1e309": good[:-1] + b',"payload":1e309}', "01": good[:-1] + b',"payload":01}',
    "single quotes": good.replace(b'"', b"'"), "tpm a string": b'{"tpm":"x"}', "tpm an array": b'{"tpm":[]}',
    "EK a number": b'{"tpm":{"endorsementKey":1,"storageRootKey":"AA=="}}', "EK missing": b'{"tpm":{"storageRootKey":"AA=="}}',
    "SRK missing": json.dumps({"tpm": {"endorsementKey": b64(EK)}}).encode(), "tpm empty": b'{"tpm":{}}',
    "EK null": b'{"tpm":{"endorsementKey":null,"storageRootKey":null}}',
}.items():
    bad(f"T10 {what}", put("pump-1", body))
refused(put("pump-1", b""), 401, 401002, "an empty body: neither keys nor a token")
bad("T10 96 KiB and one byte", put("pump-1", b'"' + b"a" * 98303 + b'"'), 413)
client.close()
expect(put("pump-1", good[:-1] + b',"payload":{"a":[1,2,{"b":null}]},"unknown":true}').blob, "members nobody knows")
expect(put("pump-1", good.replace(b"/", b"\\/")).blob, "escaped slashes")
case("T10 unknown members and escaped slashes are fine")
bad("media type", put("pump-1", good, headers={"Content-Type": "text/plain"}), 415)

# ---- T11: base64 -----------------------------------------------------------------------------
text = b64(EK)
for what, ek in {
    "no padding": text.rstrip("="), "surplus padding": text + "====", "white space": text[:40] + " " + text[40:],
    "line break": text[:64] + "\n" + text[64:], "URL alphabet": b64(b"\xfb\xff\xfe" * 100).replace("+", "-").replace("/", "_"),
    "trailing bits": b64(EK[:-1])[:-2] + chr(ord(b64(EK[:-1])[-2]) + 1) + "=", "padding inside": text[:8] + "=" + text[9:],
    "one character": "A", "empty": "", "not ASCII": "é" + text[1:],
}.items():
    bad(f"T11 {what}", put("pump-1", tpm_body(ek=ek)))

# ---- T12: TPM2B_PUBLIC -----------------------------------------------------------------------
random.seed(12)
ECC = bytes.fromhex("007a0023000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
                    "0006008000430010000300100020") + bytes.fromhex(
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" "0020"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
X, Y = ECC[-66:-34], ECC[-32:]
ecc = lambda x, y: ECC[:-68] + len(x).to_bytes(2, "big") + x + len(y).to_bytes(2, "big") + y
resized = lambda public: (len(public) - 2).to_bytes(2, "big") + public[2:]
square = (random.getrandbits(1022) | 1 | (3 << 1022)) ** 2
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = EK[-256:]
small = bytes([0x7f]) + N[1:]
refused(client.register("pump-1", ECC, SRK), 404, 404201, "a sound ECC EK")   # the base is not malformed itself
for what, ek in {
    "size one more": (len(EK) - 1).to_bytes(2, "big") + EK[2:], "size one less": (len(EK) - 3).to_bytes(2, "big") + EK[2:],
    "size zero": b"\0\0" + EK[2:], "trailing byte": EK + b"\0", "trailing byte counted": resized(EK + b"\0"),
    "cut": EK[:-1], "only the size": EK[:2], "one byte": b"\1", "unknown algorithm": replaced(EK, 2, b"\0\x77"),
    "keyedhash": replaced(EK, 2, b"\0\x08"), "name algorithm SHA-1": replaced(EK, 4, b"\0\x04"),
    "name algorithm SHA-384": replaced(EK, 4, b"\0\x0c"), "AES-256": replaced(EK, 46, b"\1\0"),
    "CTR": replaced(EK, 48, b"\0\x40"), "a scheme": replaced(EK, 50, b"\0\x14"),
    "1024 bits": replaced(EK, 52, b"\x04\0"), "3072 bits": replaced(EK, 52, b"\x0c\0"),
    "RSA-1024 modulus": resized(EK[:-258] + b"\0\x80" + N[:128]), "RSA-3072 modulus": resized(EK[:-258] + b"\1\x80" + N + N[:128]),
    "exponent 1": replaced(EK, 54, b"\0\0\0\1"), "exponent 2": replaced(EK, 54, b"\0\0\0\2"),
    "exponent 3": replaced(EK, 54, b"\0\0\0\3"), "exponent even": replaced(EK, 54, b"\0\1\0\2"),
    "modulus even": with_modulus(EK, N[:-1] + bytes([N[-1] & 0xfe])), "modulus top bit clear": with_modulus(EK, small),
    "modulus zero": with_modulus(EK, bytes(256)), "modulus 2^2047": with_modulus(EK, b"\x80" + bytes(255)),
    "modulus a square": with_modulus(EK, square.to_bytes(256, "big")),
    "policy of 31 bytes": resized(EK[:10] + b"\0\x1f" + EK[12:43] + EK[44:]),
    "policy of 33 bytes": resized(EK[:10] + b"\0\x21" + EK[12:44] + b"\0" + EK[44:]),
    "sign and decrypt": replaced(EK, 6, (0x000300b2 | 0x40000).to_bytes(4, "big")),
    "not restricted": replaced(EK, 6, (0x000300b2 & ~0x10000).to_bytes(4, "big")),
    "not fixedTPM": replaced(EK, 6, (0x000300b2 & ~2).to_bytes(4, "big")),
    "ECC (0,0)": ecc(bytes(32), bytes(32)), "ECC empty": resized(ecc(b"", b"")),
    "ECC not on the curve": ecc(X, Y[:-1] + bytes([Y[-1] ^ 1])), "ECC x = p": ecc(P.to_bytes(32, "big"), Y),
    "ECC x = p + x": ecc(b"\xff" * 32, Y), "ECC short coordinate": resized(ecc(X[1:], Y)),
    "ECC long coordinate": resized(ecc(b"\0" + X, Y)), "ECC P-384": replaced(ECC, 52, b"\0\4"),
}.items():
    bad(f"T12 {what}", put("pump-1", tpm_body(ek=ek)))
for what, srk in {"trailing byte": SRK + b"\0", "modulus even": with_modulus(SRK, N[:-1] + bytes([N[-1] & 0xfe])),
                  "ECC not on the curve": ecc(X, Y[:-1] + bytes([Y[-1] ^ 1]))}.items():
    bad(f"T12 SRK: {what}", put("pump-1", tpm_body(srk=srk)))

# ---- T18: what ends up in the log ------------------------------------------------------------
for agent in ("evil\x1b[2Jagent", "%s%n%x", 'quote"brace}', "a" * 4000):
    put("nobody-2", tpm_body(registration_id="nobody-2"), headers={"User-Agent": agent})
case("T18 strange user agents")

# ---- T2 with a proof: the right token, another EK in the body --------------------------------
first = client.register("pump-1", EK, SRK)
pump.activate(first.blob)
proof = token(pump.sign, resource("pump-1"), in_an_hour())
bad("T2 another EK beside a good token", client.register("pump-1", valve.ek, SRK, token=proof))
answer = client.register("pump-1", EK, SRK, token=proof)
expect(answer.status == 202, f"the refusals before consumed nothing, not {answer}")
case("T5 refusals consume nothing")
still_good()
