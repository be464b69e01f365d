"""Manufacturing lists for tests: endorsement keys nobody has the private part of, and rows of them."""
import base64
import random
from math import gcd, isqrt

POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)
# Of two primes with the structure of CVE-2017-15361.
ROCA = int("""
98f8fef4e86bde381ca5ff22a6277f0dafa6d4e83eea32cb452f67d6a26941abf4a81bc27183bc6ddb1e0e0f62b62df3
70acbf7e68f8750d7b0d47d71353ba4b21780f5410b2932814b3c42d56af750d5129c523ae8d966fb2f09bb3466b9fe6
10086a0e24e8dceb6e4fcb824be8da12f5b40eb843d2247eae6c2686f49940fac66dda59f514fc449f04f69911ee025a
45423915950364ba0b9b3d69827c23fef00f51a472a1056b93f33c45e360aa8842475036096c71cd4d4cbf7d86e65b11
a61fba318cd3ea775c598eec784f3fd06d7984bcf995af1f4030903e52878424634a3405ed2d164e2469ebae8fbb78a4
94671288ccbc7694c5b2532a4cf0ad55""".replace("\n", ""), 16)
SMALL_PRIMES = [p for p in range(3, 2000) if all(p % q for q in range(2, isqrt(p) + 1))]


def b64(data):
    return base64.b64encode(data).decode()


def add(a, b):
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def points(count, first=1):
    """Successive points of the curve, from first times the generator."""
    point = None
    for bit in bin(first)[2:]:
        point = add(point, point) if point else None
        if bit == "1":
            point = add(point, G) if point else G
    for _ in range(count):
        yield point
        point = add(point, G)


def modulus(seed):
    """Looks like the product of two big primes: random, odd, without a small factor, not prime."""
    source = random.Random(seed)
    small = 1
    for p in SMALL_PRIMES:
        small *= p
    while True:
        n = source.getrandbits(2048) | 1 << 2047 | 1
        if gcd(n, small) == 1 and pow(2, n - 1, n) != 1:
            return n


def sized(data):
    return len(data).to_bytes(2, "big") + data


def public(kind, attributes, policy, parameters, unique):
    return sized(kind + b"\0\x0b" + attributes.to_bytes(4, "big") + sized(policy) +
                 bytes.fromhex("000600800043") + parameters + unique)


def of_role(role):
    return (0x000300B2, POLICY) if role == "ek" else (0x00030472, b"")


def ecc(point, role="ek"):
    x, y = (c.to_bytes(32, "big") for c in point)
    return public(b"\0\x23", *of_role(role), bytes.fromhex("001000030010"), sized(x) + sized(y))


def rsa(n, role="ek"):
    return public(b"\0\x01", *of_role(role), bytes.fromhex("0010080000000000"), sized(n.to_bytes(256, "big")))


def pem(der, label="PUBLIC KEY"):
    text = b64(der)
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def ecc_pem(point):
    return pem(bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") +
               point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big"))


def rsa_pem(n):
    return pem(bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100") +
               n.to_bytes(256, "big") + bytes.fromhex("0203010001"))
