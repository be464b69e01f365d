#!/usr/bin/env python3
"""Where the time of a guest's boot goes: parts.py DIR ARCH:FIRST_AIM_MS:SECOND_AIM_MS…
reads DIR/ARCH.first.N and DIR/ARCH.second.N, the stories as the guests told them."""
import glob
import re
import statistics
import sys

# Each part ends with the line that says so; together they are the whole boot.
PARTS = {
    "kernel": "first program",
    "modules, network, state": "network and state",
    "cradle-device starts": "Storage:",
    "TPM: EK and SRK": "registration id",
    "service: challenge, with TLS": "received a challenge",
    "TPM: activation": "opened the challenge",
    "service: assignment": "proof accepted",
    "TPM: hub key; storage": "took the hub key",
    "hub: TLS, MQTT, publish": "telemetry published",
}


def parts_of(path):
    """Milliseconds a part, in order; what a boot has not done is not there."""
    stamps = {}
    with open(path, encoding="utf-8", errors="replace") as story:
        for line in story:
            stamp = re.match(r"\s*(\d+)\.(\d{3}) ", line)
            for part, end in PARTS.items():
                if stamp and end in line and part not in stamps:
                    stamps[part] = int(stamp[1]) * 1000 + int(stamp[2])
    last, parts = 0, {}
    for part in PARTS:
        if part in stamps:
            parts[part] = stamps[part] - last
            last = stamps[part]
    return parts


def show(arch, boot, paths, aim):
    boots = [parts_of(path) for path in paths]
    wholes = sorted(sum(parts.values()) for parts in boots)
    goal = f"; aim: at most {aim}" if aim else ""
    print(f"{arch}, {boot} boot, kernel start to hub publish, ms: median {statistics.median(wholes):.0f} "
          f"({wholes[0]} to {wholes[-1]}, {len(wholes)} boots{goal})")
    for part in PARTS:
        took = [parts[part] for parts in boots if part in parts]
        if took:
            print(f"    {part:32} {statistics.median(took):6.0f}")


def main():
    folder, *machines = sys.argv[1:]
    for machine in machines:
        arch, first_aim, second_aim = machine.split(":")
        for boot, aim in (("first", first_aim), ("second", second_aim)):
            show(arch, boot, sorted(glob.glob(f"{folder}/{arch}.{boot}.*")), aim)


main()
