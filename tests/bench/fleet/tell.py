"""What came of a storm, for people: tell.py STORM.JSON DEVICES SERVER_US [SINGLE_US…] [--hub HUB_US]

SERVER_US, HUB_US: CPU that service and broker took for all devices; SINGLE_US: what the service takes
for one device when they come one at a time, as measured before and after. Exit status 1: a device was
not provisioned.
"""
import json
import sys

AIM = 1.1


def line(what, value):
    print(f"{what:<66} {value}")


def latencies(storm):
    for step, what in (("challenge", "challenge: TCP, TLS, first request"), ("assigned", "assignment: second request, a durable row"),
                       ("hub", "hub: TCP, TLS, MQTT, publish"), ("boot", "whole boot, with waits for its turn")):
        if f"{step}_p50_us" in storm:
            p50, p99 = (storm[f"{step}_{p}_us"] / 1000 for p in ("p50", "p99"))
            line(f"  {what}, ms, p50 / p99", f"{p50:.1f} / {p99:.1f}")


def server(devices, server_us, single, hub_us):
    each = server_us / devices
    if single:
        alone = sum(single) / len(single)
        line(f"server CPU a device / one device at a time (aim: at most {AIM})",
             f"{each / alone:.2f}  ({each:.0f} us / {alone:.0f} us: {', '.join(f'{us:.0f}' for us in single)})")
    else:
        line("server CPU a device, us", f"{each:.0f}")
    if hub_us is not None:
        line("broker's CPU a device, us", f"{hub_us / devices:.0f}")


def main():
    words = sys.argv[1:]
    hub_us = None
    if "--hub" in words:
        at = words.index("--hub")
        hub_us = float(words[at + 1])
        del words[at:at + 2]
    storm = json.load(open(words[0]))
    devices, server_us, *single = (float(word) for word in words[1:])
    failed = storm["failed_attempts"]
    line("provisioned, of all", f"{storm['provisioned']} of {storm['devices']}")
    line("refused by the hub in the beginning", storm["refused_by_hub_first"])
    line("attempts that failed", ", ".join(f"{n} {why}" for why, n in failed.items()) or "none")
    line("devices a second", f"{storm['provisioned'] / storm['seconds']:.1f}  ({storm['seconds']:.0f} s)")
    latencies(storm)
    server(devices, server_us, single, hub_us)
    line("device's CPU, libtpms and all, ms", f"{storm['device_cpu_us'] / storm['devices'] / 1000:.1f}")
    for device, why in storm["not_provisioned"].items():
        line(f"NOT PROVISIONED: {device}", why)
    return 0 if storm["provisioned"] == storm["devices"] else 1


sys.exit(main())
