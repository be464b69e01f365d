"""Formats of the importer: what each must accept, and what it must say of damage."""
import base64
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile

from eklist import *

LAB = os.environ["LAB"]
TOOL = os.path.join(os.environ["CRADLE_BUILD"], "bin", "ekpub-import")
SHARED = os.environ["CRADLE_SHARED"] + "/data/ek"
P = list(points(40, 77))
N = [modulus(f"formats-{i}") for i in range(3)]


def case(what):
    print("ok ", what, flush=True)


def fail(what):
    sys.exit(f"FAILED: {what}")


def write(name, data):
    path = f"{LAB}/{name}"
    with open(path, "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
    return path


def run(*args, stdin=None):
    """A dry run: outcome rows as (id, outcome, reason), and the whole."""
    report = f"{LAB}/report.jsonl"
    if os.path.exists(report):
        os.unlink(report)
    done = subprocess.run([TOOL, "--data", LAB + "/data", "--dry-run", "--report", report, *args],
                          input=stdin, capture_output=True, timeout=120)
    rows = []
    if os.path.exists(report):
        with open(report) as f:
            rows = [json.loads(line) for line in f]
    return done.returncode, rows, done.stdout.decode() + done.stderr.decode()


def expect(what, got, status, wanted, *words):
    """wanted: for each row the id (None: any) and "new", or the beginning or a part of the reason."""
    code, rows, said = got
    if code != status or len(rows) != len(wanted):
        fail(f"{what}: status {code}, {len(rows)} rows; wanted {status}, {len(wanted)}\n{said}")
    for row, (want_id, want) in zip(rows, wanted):
        good = row["outcome"] == "new" if want == "new" else want in row["reason"]
        if not good or want_id not in (None, row["registrationId"]):
            fail(f"{what}: {row}, not {want_id}: {want}\n{said}")
    for word in words:
        if word not in said:
            fail(f"{what}: no \"{word}\" in\n{said}")


def sdk_id(tpm2b):
    return base64.b32encode(hashlib.sha256(tpm2b).digest()).decode().lower().rstrip("=")


# ---- DER, just enough of it ----
def der(tag, *parts):
    content = b"".join(parts)
    n = len(content)
    if n < 128:
        return bytes([tag, n]) + content
    size = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def der_int(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def pkcs1(n, e=65537):
    return der(0x30, der_int(n), der_int(e))


RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
CURVES = {"P-256": "06082a8648ce3d030107", "P-384": "06052b81040022", "P-521": "06052b81040023"}


def spki_rsa(n, e=65537):
    return der(0x30, RSA_ALGORITHM, der(3, b"\0", pkcs1(n, e)))


def spki_ecc(curve, point):
    algorithm = der(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex(CURVES[curve]))
    return der(0x30, algorithm, der(3, b"\0\x04", point))


def spki_p256(p):
    return spki_ecc("P-256", p[0].to_bytes(32, "big") + p[1].to_bytes(32, "big"))


# ---- certificates, by openssl ----
def make_ca():
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{LAB}/ca.key", "-out", f"{LAB}/ca.pem",
            "-subj", "/CN=A TPM vendor", "-days", "3650", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *args], input=stdin, capture_output=True)
    if done.returncode != 0:
        fail(f"openssl {args}: {done.stderr.decode()}")
    return done.stdout


def certificate(key_der, usage):
    """An EK certificate of the vendor above, DER."""
    write("ek.pem", pem(key_der))
    write("ext.cnf", f"""basicConstraints=critical,CA:FALSE
keyUsage=critical,{usage}
extendedKeyUsage=2.23.133.8.1
subjectAltName=critical,dirName:tpm
[tpm]
1.2.23.133.2.1=id:49465800
2.2.23.133.2.2=TestModel
3.2.23.133.2.3=id:00010002
""")
    if not os.path.exists(f"{LAB}/any.csr"):
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{LAB}/any.key", "-subj", "/CN=any",
                "-out", f"{LAB}/any.csr")
    return openssl("x509", "-req", "-in", f"{LAB}/any.csr", "-CA", f"{LAB}/ca.pem", "-CAkey", f"{LAB}/ca.key",
                   "-force_pubkey", f"{LAB}/ek.pem", "-extfile", f"{LAB}/ext.cnf", "-outform", "DER",
                   "-set_serial", "77", "-days", "30")


make_ca()
CERT_RSA = certificate(spki_rsa(N[0]), "keyEncipherment")
CERT_ECC = certificate(spki_p256(P[0]), "keyAgreement")

RSA_3072 = (1 << 3071) + 12345678901
FORMS = {  # one key each, as bytes
    "tpm2b-rsa": (rsa(N[0]), sdk_id(rsa(N[0]))),
    "tpm2b-ecc": (ecc(P[0]), sdk_id(ecc(P[0]))),
    "tpmt-rsa": (rsa(N[0])[2:], sdk_id(rsa(N[0]))),
    "tpmt-ecc": (ecc(P[0])[2:], sdk_id(ecc(P[0]))),
    "spki-rsa": (spki_rsa(N[0]), None),
    "spki-ecc": (spki_p256(P[0]), sdk_id(ecc(P[0]))),
    "pkcs1": (pkcs1(N[0]), None),
    "cert-rsa": (CERT_RSA, None),
    "cert-ecc": (CERT_ECC, sdk_id(ecc(P[0]))),
    "cert-padded": (CERT_RSA + b"\xff" * 300, None),
    "cert-stored": (b"\x10\x01\x00" + (2 + len(CERT_RSA)).to_bytes(2, "big") + b"\x10\x02" + CERT_RSA, None),
}
REFUSED = {
    "spki-3072": (spki_rsa(RSA_3072), "RSA-3072"),
    "spki-4096": (spki_rsa((1 << 4095) + 7), "RSA-4096"),
    "pkcs1-3072": (pkcs1(RSA_3072), "RSA-3072"),
    "pkcs1-e3": (pkcs1(N[0], 3), "exponent"),
    "spki-384": (spki_ecc("P-384", b"\1" * 96), "P-384"),
    "spki-521": (spki_ecc("P-521", b"\1" * 132), "P-521"),
    "cert-384": (None, "P-384"),
    "tpm2b-3072": (public(b"\0\x01", 0x300b2, POLICY, bytes.fromhex("00100c0000000000"), sized(bytes(383) + b"\1")),
                   "RSA-3072"),
    "tpmt-384": (public(b"\0\x23", 0x300b2, POLICY, bytes.fromhex("001000040010"), sized(b"\1" * 48) * 2)[2:],
                 "P-384"),
    "tpm2b-short": (rsa(N[0])[:-1], ""),
    "tpm2b-long": (ecc(P[0]) + b"\0", ""),
    "spki-short": (spki_rsa(N[0])[:-1], "malformed"),
    "cert-short": (CERT_RSA[:-1], "certificate"),
    "not-fixed": (rsa(N[0]).replace(bytes.fromhex("000300b2"), bytes.fromhex("000300a0")), "role"),
    "noise": (b"\0\0\0\1\2\3" * 30, "neither"),
    "empty": (b"", "empty"),
    "long": (b"\x30\x82" + bytes(20000), "too long"),
}


def one_key_files():
    for name, (data, want_id) in FORMS.items():
        path = write(name, data)
        expect(name, run(path), 0, [(want_id, "new")])
        expect(name + " named", run("--format", "key", path), 0, [(want_id, "new")])
        expect(name + " by pipe", run("-", stdin=data), 0, [(want_id, "new")])
        expect(name + " packed", run("-", stdin=gzip.compress(data)), 0, [(want_id, "new")])
        expect(name + " in base64", run("-", stdin=base64.b64encode(data) + b"\n"), 0, [(want_id, "new")])
        listed = json.dumps({"registrationId": "one", "endorsementKey": b64(data)})
        expect(name + " in a list", run("-", stdin=listed.encode()), 0, [("one", "new")])
    key = openssl("ecparam", "-name", "secp384r1", "-genkey")
    public_key = openssl("ec", "-pubout", "-outform", "DER", stdin=key)
    REFUSED["cert-384"] = (certificate(public_key, "keyAgreement"), "P-384")
    for name, (data, why) in REFUSED.items():
        path = write(name, data)
        if data:
            expect(name, run("--format", "key", path), 2, [(None, why)])
        else:
            expect(name, run("--format", "key", path), 0, [])
    case("keys and certificates as bytes: of every form accepted, of others refused by name")


def pem_bundles():
    blocks = [pem(spki_p256(P[1])), pem(pkcs1(N[1]), "RSA PUBLIC KEY"), pem(CERT_ECC, "CERTIFICATE"),
              pem(spki_rsa(N[2]))]
    new = [(None, "new")] * 4
    bundle = "".join(blocks)
    expect("bundle", run(write("bundle.pem", bundle)), 0, new)
    expect("bundle, text between", run(write("bundle.pem", "Subject: x\n" + "\nmore, text\n".join(blocks))), 0, new)
    expect("bundle, CRLF", run(write("bundle.pem", bundle.replace("\n", "\r\n"))), 0, new)
    expect("bundle, no last line break", run(write("bundle.pem", bundle.rstrip("\n"))), 0, new)
    pair = pem(spki_p256(P[0])) + pem(CERT_ECC, "CERTIFICATE")
    expect("key and certificate", run("-", stdin=(pair + blocks[0]).encode()), 0, [(None, "new")] * 2)
    turned = pem(CERT_RSA, "CERTIFICATE") + pem(spki_rsa(N[0]))
    expect("certificate and key", run("-", stdin=turned.encode()), 0, [(None, "new")])
    torn = blocks[0] + blocks[1][:200] + "\n" + blocks[3]
    expect("torn", run(write("torn.pem", torn)), 1, [(None, "new"), (None, "does not end"), (None, "new")])
    expect("cut", run(write("cut.pem", bundle[:-60])), 1, new[:3] + [(None, "does not end")])
    private = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout").decode()
    expect("private key", run("-", stdin=(blocks[0] + private).encode()), 1,
           [(None, "new"), (None, "not a PUBLIC KEY")])
    bad = blocks[0].replace("MFkw", "MF!w")
    expect("bad base64", run("-", stdin=(bad + blocks[1]).encode()), 1, [(None, "base64"), (None, "new")])
    case("PEM bundles: keys and certificates, several a file, joined where they are one device's")


def add(archive, name, data, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


def tar_of(files, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files:
            add(archive, name, data)
    return out.getvalue()


def archives():
    files = [("line 7/eks/unit-1.pub", rsa(N[0])), ("line 7/eks/UNIT-2.ek.pem", pem(spki_p256(P[1])).encode()),
             ("unit-3.v2", ecc(P[2])), ("unit-4.der", spki_p256(P[3])), ("unit-5.b64", base64.b64encode(ecc(P[4]))),
             ("x/" * 80 + "unit-6.pub", ecc(P[5]))]
    new = [("unit-1", "new"), ("unit-2", "new"), ("unit-3.v2", "new"), ("unit-4", "new"), ("unit-5", "new"),
           ("unit-6", "new")]
    for form in tarfile.PAX_FORMAT, tarfile.GNU_FORMAT:
        whole = tar_of(files, form)
        expect("tar", run(write("line.tar", whole)), 0, new)
        expect("tar.gz", run(write("line.tgz", gzip.compress(whole))), 0, new)
        zstd = subprocess.run(["zstd", "-c"], input=whole, capture_output=True, check=True).stdout
        expect("tar.zst by pipe", run("-", stdin=zstd), 0, new)
    for cut in 100, 512, 700, 1024, 1536, 2048, 4096:
        code, rows, said = run("-", stdin=whole[:cut])
        if code == 0 or "tar archive" not in said and "NUL" not in said:
            fail(f"a tar cut at {cut} goes unseen: {said}")
    broken = bytearray(whole)
    broken[1024 + 150] ^= 1     # of the second header
    expect("damaged header", run("-", stdin=bytes(broken)), 1, [("unit-1", "new")], "damaged")
    odd = io.BytesIO()
    with tarfile.open(fileobj=odd, mode="w") as archive:
        add(archive, "../../../../tmp/evil.pub", ecc(P[6]))
        add(archive, "/etc/passwd.pub", ecc(P[7]))
        add(archive, "link.pub", b"", type=tarfile.SYMTYPE, linkname="/etc/shadow")
        add(archive, "dir", b"", type=tarfile.DIRTYPE)
        add(archive, "._unit-1.pub", b"Mac")
        add(archive, "large.pub", bytes(100000))
        add(archive, "empty.pub", b"")
        add(archive, "a b;$(id).pub", ecc(P[8]))
        add(archive, "two.pem", (pem(spki_p256(P[9])) + pem(spki_p256(P[10]))).encode())
        add(archive, "fine.pub", ecc(P[11]))
    expect("hostile tar", run(write("odd.tar", odd.getvalue())), 1,
           [("evil", "new"), ("passwd", "new"), ("link", "not a regular file"), ("large", "too long"),
            ("empty", "empty"), (None, "registrationId: not 1 to"), ("two", "several keys"), ("fine", "new")])
    if os.path.exists("/tmp/evil.pub"):
        fail("a name became a path")
    mates = tar_of([("m-1.crt", CERT_RSA), ("m-1.pub", rsa(N[0])), ("m-2.crt", CERT_ECC), ("m-2.pub", ecc(P[9]))])
    expect("key and certificate apart", run("-", stdin=mates), 1,
           [("m-1", "new"), ("m-2", "new"), ("m-2", "enrolled already")])
    case("tar archives: ids from names, packed, cut, damaged, hostile names; nothing leaves them")


def directories():
    folder = f"{LAB}/line"
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for name, data in ("b.pub", ecc(P[1])), ("a.pem", pem(spki_p256(P[2])).encode()), ("a-1.pub", rsa(N[1])), \
                      ("c.crt", CERT_RSA), ("c.pub", rsa(N[0])), (".hidden", b"x"), ("d.key", b"what?"):
        write("line/" + name, data)
    os.makedirs(folder + "/sub/deep/.hidden")
    os.mkdir(folder + "/empty")
    for name, data in ("sub/a-2.pub", ecc(P[3])), ("sub/deep/e.crt", CERT_ECC), ("sub/e.pub", ecc(P[0])), \
                      ("sub/deep/.hidden/x.pub", ecc(P[4])), ("sub/deep/b.pub", ecc(P[5])):
        write("line/" + name, data)
    os.makedirs(folder + "/1/2/3/4/5/6/7/8")
    write("line/1/2/3/4/5/6/7/f.pub", ecc(P[6]))
    write("line/1/2/3/4/5/6/7/8/g.pub", ecc(P[7]))
    os.symlink(folder, folder + "/sub/loop")
    os.mkfifo(folder + "/pipe.pub")
    os.symlink("/etc/passwd", folder + "/link.pub")
    expect("directory", run(folder), 1,
           [("8", "nested deeper than 8"), ("a", "new"), ("a-1", "new"), ("a-2", "new"), ("b", "new"),
            ("b", "registrationId: enrolled already"), ("c", "new"), ("d", "endorsementKey: "), ("e", "new"),
            ("f", "new"), ("link", "not a regular file"), ("loop", "not a regular file"),
            ("pipe", "not a regular file")])
    shutil.rmtree(folder)
    os.mkdir(folder)
    expect("empty directory", run(folder), 0, [])
    case("directories: ids from names, nested ones too, no link followed, no pipe waited for")


def json_arrays():
    rows = [{"registrationId": f"j-{i}", "endorsementKey": b64(ecc(P[i]))} for i in range(6)]
    new = [(f"j-{i}", "new") for i in range(6)]
    for indent in None, 1:
        text = json.dumps(rows, indent=indent)
        expect("array", run(write("list.json", text)), 0, new)
        expect("array by pipe", run("-", stdin=b"\n \n" + text.encode() + b"\n"), 0, new)
    expect("empty array", run("-", stdin=b" [ ] "), 0, [])
    mixed = json.dumps(rows[:1])[:-1] + ', 7, "x", {"registrationId": oops}, {"colour": "}]\\""}, ' + \
        json.dumps({"registrationId": "big", "deviceId": "x" * 40000}) + ", " + json.dumps(rows[1:])[1:]
    expect("mixed array", run("--format", "json", write("mixed.json", mixed)), 1,
           new[:1] + [(None, "not a JSON object")] * 3 + [(None, "unknown member"), (None, "longer than")] + new[1:])
    text = json.dumps(rows)
    for cut in 1, 50, len(text) - 1, len(text) // 2:
        code, _, said = run("--format", "json", write("cut.json", text[:cut]))
        if code == 0 or "does not end" not in said:
            fail(f"cut at {cut} of {len(text)}: {said}")
    expect("no comma", run("-", stdin=text.replace("}, {", "} {", 1).encode()), 1, new[:1], "neither comma")
    expect("trailing", run("-", stdin=(text + "{}").encode()), 1, new, "something follows")
    expect("missing", run("-", stdin=text.replace(", {", ",, {", 1).encode()), 1, new[:1], "is missing")
    case("JSON arrays: element by element, whatever stands between, cut or mixed")


def windows():
    def record(key, name="PC-1", present="True", certificates="{}"):
        return (f"\r\n\r\nIsPresent                : {present}\r\nPublicKey                : {key}\r\n"
                f"PublicKeyHash            : {'ab' * 32}\r\nManufacturerCertificates : {certificates}\r\n"
                f"AdditionalCertificates   : {{}}\r\nPSComputerName           : {name}\r\n\r\n")

    def spaced(data, width=20):
        digits = data.hex(" ").split(" ")
        return "\r\n                           ".join(" ".join(digits[i:i + width])
                                                      for i in range(0, len(digits), width))
    subject = "{[Subject]\r\n                             CN=PC : 1\r\n\r\n                           [Issuer]}"
    text = (record(spaced(pkcs1(N[0])), "PC-1", certificates=subject) + record(spki_p256(P[1]).hex(), "PC-2") +
            record(b64(spki_rsa(N[1])), "pc-3") +
            record(spaced(spki_rsa(N[2])), "pc-4"))
    new = [("pc-1", "new"), ("pc-2", "new"), ("pc-3", "new"), ("pc-4", "new")]
    mapped = "--map", "PSComputerName=registrationId"
    expect("windows", run(*mapped, write("ek.txt", text)), 0, new)
    expect("windows, ids of keys", run(write("ek.txt", text)), 0, [(None, "new")] * 4)
    expect("windows, UTF-16", run(*mapped, write("ek16.txt", text.encode("utf-16"))), 0, new)
    expect("windows, by pipe", run(*mapped, "-", stdin=text.encode("utf-16-be").join([b"\xfe\xff", b""])), 0, new)
    name = "System.Security.Cryptography.AsnEncodedData"
    bad = record(name) + record(spaced(pkcs1(N[0])[:-3])) + record("", present="False") + record(spaced(pkcs1(N[1])))
    expect("windows, mixed", run(write("bad.txt", bad)), 1,
           [(None, "Format($false)"), (None, "malformed"), (None, "no endorsement key"), (None, "new")])
    expect("certified", run(*mapped, "-", stdin=record(spaced(pkcs1(N[0])), certificates=spaced(CERT_RSA)).encode()), 0,
           [("pc-1", "new")])
    case("Get-TpmEndorsementKeyInfo: as it is printed, redirected, and where it shows no key")


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Signer:
    def __init__(self, name, curve="prime256v1"):
        self.key = f"{LAB}/{name}.key"
        openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", self.key)
        self.cert = f"{LAB}/{name}.pem"
        openssl("req", "-x509", "-new", "-key", self.key, "-out", self.cert, "-subj", f"/CN={name}", "-days", "1")
        self.public = write(name + ".pub.der", openssl("ec", "-in", self.key, "-pubout", "-outform", "DER"))

    def sign(self, payload, header=None):
        """protected, payload, signature"""
        protected = b64url(json.dumps(header or {"alg": "ES256", "kid": "line"}).encode())
        body = b64url(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        signature = openssl("dgst", "-sha256", "-sign", self.key, stdin=f"{protected}.{body}".encode())
        at, raw = 4, b""
        for _ in range(2):
            n = signature[at - 1]
            raw += int.from_bytes(signature[at:at + n], "big").to_bytes(32, "big")
            at += n + 2
        return protected, body, b64url(raw)


def manifests():
    good, other = Signer("signer"), Signer("stranger")

    def compact(parts):
        return ".".join(parts)

    def flat(parts):
        return {"payload": parts[1], "protected": parts[0], "header": {"uniqueId": "x"}, "signature": parts[2]}

    def general(*all_parts):
        return {"payload": all_parts[0][1],
                "signatures": [{"protected": p[0], "signature": p[2]} for p in all_parts]}

    def number(n, size):
        return b64url(n.to_bytes(size, "big"))
    row = {"registrationId": "w-1", "endorsementKey": b64(ecc(P[1])), "pinSrk": False}
    ec_jwk = {"kty": "EC", "crv": "P-256", "x": number(P[0][0], 32), "y": number(P[0][1], 32),
              "x5c": [b64(CERT_ECC)]}
    rsa_jwk = {"kty": "RSA", "n": number(N[1], 256), "e": "AQAB"}
    microchip = {"version": 1, "model": "TPM", "uniqueId": "W-2", "publicKeySet": {"keys": [ec_jwk]}}
    two_keys = {"uniqueId": "w-3", "publicKeySet": {"keys": [dict(ec_jwk, use="sig"), dict(rsa_jwk, use="enc")]}}
    signed = [compact(good.sign(row)), flat(good.sign(microchip)), general(other.sign(two_keys), good.sign(two_keys))]
    manifest = json.dumps(signed)
    new = [("w-1", "new"), ("w-2", "new"), ("w-3", "new")]
    for signer in good.cert, good.public:
        expect("manifest", run("--signer", signer, write("manifest.json", manifest)), 0, new)
    expect("manifest, objects", run("--signer", good.cert, "-", stdin=gzip.compress(json.dumps(signed[1:]).encode())),
           0, new[1:])
    expect("two signers", run("--signer", other.cert, "--signer", good.cert, write("m.json", manifest)), 0, new)
    expect("no signer", run(write("m.json", manifest)), 2, [], "--signer")
    protected, body, signature = good.sign(row)
    none = b64url(b'{"alg":"none"}')
    hs256 = good.sign(row, {"alg": "HS256"})
    crit = good.sign(row, {"alg": "ES256", "crit": ["b64"], "b64": False})
    twisted = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    twisted["registrationId"] = "evil"
    forged = b64url(json.dumps(twisted).encode())
    flipped = bytearray(base64.urlsafe_b64decode(signature + "=="))
    flipped[40] ^= 1
    wrong = [compact((protected, forged, signature)), compact((none, body, "")), f"{protected}.{body}",
             compact((protected, body, b64url(bytes(flipped)))), compact((protected, body, b64url(bytes(64)))),
             compact((protected, body, signature + "AA")), compact(hs256), compact(crit), compact(other.sign(row)),
             row, {"payload": body}, {"payload": body, "signatures": []}, f"{protected}.{body}.{signature}.x"]
    refused = "no good ES256 signature"
    expect("forged", run("--signer", good.cert, "--format", "jws", write("f.json", json.dumps(wrong + [signed[1]]))), 1,
           [(None, refused)] * len(wrong) + [("w-2", "new")])
    odd = [good.sign(b"no json"), good.sign([1]), good.sign({"uniqueId": "k"}), good.sign({"registrationId": 1}),
           good.sign({"uniqueId": "k", "publicKeySet": {"keys": []}}),
           good.sign({"publicKeySet": {"keys": [dict(rsa_jwk, e="Aw")]}}),
           good.sign({"publicKeySet": {"keys": [dict(ec_jwk, crv="P-384")]}}),
           good.sign({"publicKeySet": {"keys": [dict(ec_jwk, y=ec_jwk["x"])]}})]
    expect("signed nonsense", run("--signer", good.cert, write("o.json", json.dumps([compact(p) for p in odd]))), 2,
           [(None, "not a JSON object")] * 2 + [("k", "there is none"), (None, "neither text"), ("k", "no key"),
            (None, "RSA-2048"), (None, "P-256"), (None, "malformed")])
    expect("not a signer", run("--signer", Signer("p384", "secp384r1").cert, write("m.json", manifest)), 2, [],
           "P-256 signer")
    case("signed manifests: compact, flattened and general; forged ones are refused row by row")


def columns():
    table = f"Serial,EK Public,Colour\nq-1,{b64(ecc(P[1]))},red\n"
    maps = ["--map", "Serial=registrationId", "--map", "EK Public=endorsementKey", "--map", "Colour=-"]
    expect("mapped", run(*maps, write("m.csv", table)), 0, [("q-1", "new")])
    expect("one missing", run(*maps[:4], write("m.csv", table)), 2, [], "unknown column \"Colour\"")
    line = json.dumps({"Serial": "q-1", "EK Public": b64(ecc(P[1])), "Colour": 7})
    expect("mapped members", run(*maps, "-", stdin=line.encode()), 0, [("q-1", "new")])
    twice = run("--map", "A=registrationId", "--map", "B=registrationId", "-", stdin=b"A,B,endorsementKey\n1,2,x\n")
    expect("twice", twice, 2, [], "twice the column")
    for bad in "Serial", "=registrationId", "Serial=colour", "A=":
        expect(bad, run("--map", bad, "-", stdin=b""), 2, [], "--map")
    wide = "endorsementKey," + ",".join(f"c{i}" for i in range(70)) + "\n"
    expect("too wide", run("-", stdin=wide.encode()), 2, [], "column")
    case("columns by the list's own names")


def packed():
    rows = "registrationId,endorsementKey\n" + "".join(f"z-{i},{b64(ecc(P[i]))}\n" for i in range(20))
    new = [(f"z-{i}", "new") for i in range(20)]
    raw = rows.encode()
    zstd = subprocess.run(["zstd", "-c", "--check"], input=raw, capture_output=True, check=True).stdout
    gz = gzip.compress(raw)
    half = rows.index("z-10")
    for what, data in ("gzip", gz), ("zstd", zstd), ("gzip in members", gzip.compress(raw[:half]) +
                      gzip.compress(raw[half:])), ("utf-16", rows.encode("utf-16")):
        expect(what, run(write("list.bin", data)), 0, new)
        expect(what + " by pipe", run("-", stdin=data), 0, new)
    for what, data in ("gzip", gz), ("zstd", zstd):
        for cut in 20, len(data) // 2, len(data) - 1:
            code, _, said = run("-", stdin=data[:cut])
            if code == 0 or "ends too early" not in said:
                fail(f"{what} cut at {cut} of {len(data)}: {said}")
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 4
        code, _, said = run("-", stdin=bytes(flipped))
        if code == 0 or "ended early" not in said and "damaged" not in said:
            fail(f"{what} damaged: {said}")
    for what, data in ("trailing", gz + b"registrationId"), ("checksum", gz[:-8] + bytes(4) + gz[-4:]):
        code, _, said = run("-", stdin=data)
        if code == 0 or "damaged" not in said:
            fail(f"gzip, {what}: {said}")
    case("gzip, zstd and UTF-16 on the way; damage and cuts are seen")


def bombs():
    """400 MB of nothing, packed into a few."""
    subprocess.run(f"head -c 400000000 /dev/zero | tr '\\0' '\\n' | gzip -1 > {LAB}/bomb.gz", shell=True, check=True)
    done = subprocess.run([TOOL, "--data", LAB + "/data", "--dry-run", LAB + "/bomb.gz"], capture_output=True,
                          timeout=120)
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if done.returncode != 2 or b"no header" not in done.stderr:
        fail(f"bomb: {done.stderr.decode()}")
    if peak_kib > 300 << 10:
        fail(f"a bomb takes {peak_kib} KiB")
    case(f"a packed bomb costs time, not memory ({peak_kib >> 10} MiB)")


def make_crl(revoked):
    base = f"{LAB}/crl"
    write("crl.index", f"R\t400101000000Z\t260101000000Z\t{revoked}\tunknown\t/CN=x\n" if revoked else "")
    write("crl.number", "01\n")
    write("crl.cnf", f"[ca]\ndefault_ca=a\n[a]\ndatabase={base}.index\ncrlnumber={base}.number\ndefault_md=sha256\n"
          "default_crl_days=30\n")
    openssl("ca", "-config", f"{base}.cnf", "-gencrl", "-cert", f"{LAB}/ca.pem", "-keyfile", f"{LAB}/ca.key",
            "-out", f"{base}-{revoked or 'none'}.pem")
    return f"{base}-{revoked or 'none'}.pem"


def certificates():
    """What becomes of a row by its certificate; the rules themselves have tests of their own."""
    trust = ["--trust", f"{LAB}/ca.pem"]
    require = ["--ek-cert", "require"]
    key, certified = b64(rsa(N[0])), b64(CERT_RSA)
    header = "registrationId,endorsementKey,ekCertificate\n"
    rows = write("cert.csv", header + f"plain,{b64(ecc(P[1]))},\nboth,{key},{certified}\n")
    other = write("other.csv", header + f"other,{b64(ecc(P[1]))},{certified}\n")
    alone = write("alone.csv", header + f"alone,,{certified}\n")
    inside = write("inside.csv", header + f"inside,{certified},\n")
    broken = write("broken.csv", header + f"broken,{key},{b64(CERT_RSA[:-9])}\nflipped,{b64(ecc(P[0]))},"
                   f"{b64(CERT_ECC[:-9] + bytes([CERT_ECC[-9] ^ 1]) + CERT_ECC[-8:])}\n")
    both = [("plain", "new"), ("both", "new")]
    expect("no trust", run(rows), 0, both)
    expect("trust", run(*trust, rows), 0, both)
    expect("required", run(*trust, *require, rows), 1, [("plain", "ekCertificate: there is none"), ("both", "new")])
    expect("required, nobody trusted", run(*require, rows), 1, [("plain", "there is none"), ("both", "new")])
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{LAB}/o.key", "-out", f"{LAB}/o.pem",
            "-subj", "/CN=Another vendor")
    stranger = ["--trust", f"{LAB}/o.pem"]
    expect("required, another trusted", run(*stranger, *require, rows), 2, [("plain", "none"), ("both", "no chain")])
    expect("present, another trusted", run(*stranger, rows), 0, both)
    expect("ignored", run("--ek-cert", "ignore", *stranger, rows), 0, both)
    for path, name in (alone, "alone"), (inside, "inside"):
        expect(name, run(*trust, *require, path), 0, [(name, "new")])
    for policy in [], trust, trust + require:
        expect("another key's", run(*policy, other), 2, [("other", "for another key")])
    expect("another key's, ignored", run("--ek-cert", "ignore", other), 0, [("other", "new")])
    expect("broken", run(*trust, broken), 2, [("broken", "malformed"), ("flipped", "ekCertificate: ")])
    expect("revoked", run(*trust, "--crl", make_crl("4D"), alone), 2, [("alone", "revoked")])
    expect("not revoked", run(*trust, "--crl", make_crl(""), alone), 0, [("alone", "new")])
    padded = run(*trust, *require, write("padded.csv", header + f"pad,{key},{b64(CERT_RSA + bytes(200))}\n"))
    expect("padded", padded, 0, [("pad", "new")])
    if "ekCertificate: " not in padded[1][0]["reason"]:
        fail(f"padding goes unmentioned: {padded[1]}")
    for bad in "nothing.pem", "cert.csv":
        expect("trust in " + bad, run("--trust", f"{LAB}/{bad}", rows), 2, [], bad)
    expect("a policy nobody knows", run("--sha1", "maybe", rows), 2, [], "refuse, warn or accept")
    case("EK certificates: required, if present, ignored; trusted, unknown, revoked, another key's")


NOT_TRUSTED = {"microsoft-pluton-rsa2048-1", "vmware-vtpm2-rsa2048-1", "swtpm-rsa2048-1", "swtpm-rsa2048-3"}


def vendors():
    if not os.path.isdir(SHARED):
        print("SKIPPED: no vendors' certificates here: they were not looked at", flush=True)
        return
    lenient = ["--ek-cert-expired", "warn", "--ca-expired", "warn", "--sha1", "warn", "--ek-purpose", "if-present"]
    for name in "roots", "intermediates", "extra-roots", "extra-intermediates":
        lenient += ["--trust", f"{SHARED}/trust/{name}.pem"]
    names = sorted(os.listdir(f"{SHARED}/leaf"))
    for use in "if-present", "require":
        _, rows, said = run(*lenient, "--ek-cert", use, f"{SHARED}/leaf")
        if len(rows) != len(names):
            fail(f"{len(names)} certificates, {len(rows)} rows: {said}")
        for row in rows:
            name = row["registrationId"]
            wanted = "new"
            if "384" in name:
                wanted = "P-384"
            elif name.endswith(".padded"):
                wanted = "enrolled already for"
            elif name in NOT_TRUSTED and use == "require":
                wanted = "no chain"
            if row["outcome"] != "new" if wanted == "new" else wanted not in row["reason"]:
                fail(f"{use}: {row}, not {wanted}")
    for name in os.listdir(f"{SHARED}/ekpub"):
        code, rows, said = run(f"{SHARED}/ekpub/{name}")
        if "384" in name and "P-384" not in said or "384" not in name and rows[0]["outcome"] != "new":
            fail(f"{name}: {said}")
    for name in os.listdir(f"{SHARED}/negative"):
        code, rows, said = run(*lenient, f"{SHARED}/negative/{name}")
        if code != 2 or "ekCertificate: " not in said:
            fail(f"{name} is no endorsement key: {said}")
    case(f"{len(names)} certificates of vendors are judged, and their public keys and attestation keys")


for test in (one_key_files, pem_bundles, archives, directories, json_arrays, windows, manifests, columns, packed,
             bombs, certificates, vendors):
    if not sys.argv[1:] or test.__name__ in sys.argv[1:]:
        test()
