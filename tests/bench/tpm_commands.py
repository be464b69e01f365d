#!/usr/bin/env python3
"""Which commands a boot sends its TPM: tpm_commands.py NAME=PCAPNG…
Reads what the TSS's pcap TCTI has recorded; one column a recording."""
import struct
import sys

NAMES = {0x120: "EvictControl", 0x131: "CreatePrimary", 0x143: "SelfTest", 0x144: "Startup",
         0x147: "ActivateCredential", 0x14e: "NV_Read", 0x151: "PolicySecret", 0x155: "HMAC",
         0x156: "Import", 0x157: "Load", 0x165: "FlushContext", 0x169: "NV_ReadPublic",
         0x173: "ReadPublic", 0x176: "StartAuthSession", 0x17a: "GetCapability"}
ENHANCED_PACKET = 6
HEADERS = 40   # IP and TCP, made up by the recorder
TO_TPM = b"\x09\x11"   # the port of what was sent


def packets(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if kind == ENHANCED_PACKET:
            captured, = struct.unpack_from("<I", data, at + 20)
            yield data[at + 28:at + 28 + captured]
        at += size


def commands(path):
    """Codes in the order sent."""
    codes = []
    for packet in packets(path):
        if packet[22:24] == TO_TPM:
            codes.append(struct.unpack_from(">HII", packet, HEADERS)[2])
    return codes


def main():
    boots = [(name, commands(path)) for name, _, path in (a.partition("=") for a in sys.argv[1:])]
    print(f"{'':20}" + "".join(f"{name:>18}" for name, _ in boots))
    for code in sorted({code for _, codes in boots for code in codes}):
        print(f"  {NAMES.get(code, hex(code)):18}" + "".join(f"{codes.count(code) or '':>18}" for _, codes in boots))
    print(f"  {'together':18}" + "".join(f"{len(codes):>18}" for _, codes in boots))


main()
