#!/usr/bin/env python3
"""Where the time of a guest's boot goes: parts.py DIR ARCH:FIRST_AIM_MS:SECOND_AIM_MS…
reads DIR/ARCH.first.N and DIR/ARCH.second.N, the stories as the guests told them."""
import glob
import re
import statistics
import sys

# Each step ends with the line that says so, and belongs to one of five parts; together they are the
# whole boot.
STEPS = {
    "the kernel itself": ("kernel", "first program"),
    "modules, network, state": ("kernel", "network and state"),
    "cradle-device starts": ("kernel", "Storage:"),
    "EK and SRK": ("TPM", "registration id"),
    "to the service": ("TLS", "Network: TLS to provisioning"),
    "challenge": ("service", "received a challenge"),
    "activation": ("TPM", "opened the challenge"),
    "assignment": ("service", "proof accepted"),
    "hub key; storage": ("TPM", "took the hub key"),
    "to the hub, and a signed token": ("TLS", "Network: TLS to hub"),
    "MQTT, publish": ("hub", "telemetry published"),
}
PARTS = ("kernel", "TPM", "TLS", "service", "hub")


def steps_of(path):
    """Milliseconds a step, in order; what a boot has not done is not there."""
    stamps = {}
    with open(path, encoding="utf-8", errors="replace") as story:
        for line in story:
            stamp = re.match(r"\s*(\d+)\.(\d{3}) ", line)
            for step, (_, end) in STEPS.items():
                if stamp and end in line and step not in stamps:
                    stamps[step] = int(stamp[1]) * 1000 + int(stamp[2])
    last, steps = 0, {}
    for step in STEPS:
        if step in stamps:
            steps[step] = stamps[step] - last
            last = stamps[step]
    return steps


def median_of(boots, steps):
    """Over all boots, of what these steps took together."""
    return statistics.median(sum(boot.get(step, 0) for step in steps) for boot in boots)


def show(arch, boot, paths, aim):
    boots = [steps_of(path) for path in paths]
    wholes = sorted(sum(steps.values()) for steps in boots)
    goal = f"; aim: at most {aim}" if aim else ""
    print(f"{arch}, {boot} boot, kernel start to hub publish, ms: median {statistics.median(wholes):.0f} "
          f"({wholes[0]} to {wholes[-1]}, {len(wholes)} boots{goal})")
    for part in PARTS:
        steps = [step for step, (of, _) in STEPS.items() if of == part]
        print(f"    {part:34} {median_of(boots, steps):6.0f}")
        for step in steps:
            if any(step in boot for boot in boots):
                print(f"      {step:34}   {median_of(boots, [step]):6.0f}")


def main():
    folder, *machines = sys.argv[1:]
    for machine in machines:
        arch, first_aim, second_aim = machine.split(":")
        for boot, aim in (("first", first_aim), ("second", second_aim)):
            show(arch, boot, sorted(glob.glob(f"{folder}/{arch}.{boot}.*")), aim)


main()
