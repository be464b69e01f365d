"""From the start of a process to its first telemetry acknowledged by the hub, each time newly
registered: cradle-device, and the same TPM, service and hub with Microsoft's SDK for Node. Both are
timed from outside, taking turns. The TPM has its EK and its SRK already.

    start.py RUNS ID TCTI        with the lab's environment; tests/support/lab.sh: lab_python
"""
import os
import shutil
import statistics
import subprocess
import sys
import time

RUNS, ID, TCTI = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ENV, PAYLOAD = os.environ, '{"from":"bench"}'
STATE = ENV["LAB"] + "/state-start"
HERE = os.path.dirname(os.path.abspath(__file__))

DEVICE = [ENV["CRADLE_BUILD"] + "/bin/cradle-device", "--service", ENV["LAB_SERVICE"], "--id-scope", ENV["ID_SCOPE"],
          "--ca", ENV["CA"], "--tcti", TCTI, "--state", STATE, "--registration-id", ID, "--once",
          "--payload", PAYLOAD]
NODE = ["node", "--no-deprecation", HERE + "/../interop/node/device.js", "boot", ENV["LAB_SERVICE"], ENV["ID_SCOPE"],
        PAYLOAD]


def seconds_until(command, mark):
    """Until the line with `mark` is there; the process then ends by itself, and well."""
    env = dict(ENV, REGISTRATION_ID=ID, NODE_EXTRA_CA_CERTS=ENV["CA"])
    start = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen, lines = None, []
    for line in process.stdout:
        lines.append(line)
        if mark in line:
            seen = time.monotonic() - start
    if process.wait(60) != 0 or seen is None:
        sys.exit(f"{command[0]} failed:\n{''.join(lines)}{process.stderr.read()}")
    return seen


def cradle():
    shutil.rmtree(STATE, ignore_errors=True)
    os.mkdir(STATE, 0o700)
    return seconds_until(DEVICE, "telemetry published and acknowledged")


def sdk():
    return seconds_until(NODE, '"step":"sent"')


cradle(), sdk()     # the first boot makes the SRK; files are read from the disk
pairs = [(cradle(), sdk()) for _ in range(RUNS)]
for name, values in (("cradle-device", [p[0] for p in pairs]), ("SDK for Node", [p[1] for p in pairs])):
    print(f"{name + ', ms: median (fastest to slowest)':<66} {statistics.median(values) * 1000:.0f}"
          f"  ({min(values) * 1000:.0f} to {max(values) * 1000:.0f})")
print(f"{'cradle-device / SDK for Node, median of the pairs':<66} {statistics.median(a / b for a, b in pairs):.2f}")
