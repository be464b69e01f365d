"""Draws power cuts from a recorded run of the service and holds what is left against what was
acknowledged: each acknowledgement of an id raised its generation by one, durably, before it was sent."""
import collections
import os
import random
import shutil
import sqlite3
import sys
import time

import powercut

LOG, DATA, BEFORE = sys.argv[1:4]
CUTS = int(os.environ.get("CUTS", "120"))
SEED = int(os.environ.get("SEED", str(time.time_ns() % 1000000)))
MODES = ["synced", "random", "random", "all"]


def generations(folder):
    with sqlite3.connect(f"{folder}/db/registrations.db") as db:
        if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise SystemExit("FAILED: the database is damaged")
        return dict(db.execute("SELECT id, generation FROM registration"))


rng, disk, out = random.Random(SEED), powercut.Disk(DATA, BEFORE), DATA + ".cut"
operations = list(powercut.records(LOG))
first = next(i for i, one in enumerate(operations) if one[0] == powercut.ACK)
moments = set(rng.sample(range(first, len(operations)), min(CUTS, len(operations) - first)))
cuts = 0
for moment, one in enumerate(operations):
    disk.apply(one)
    if moment not in moments:
        continue
    acknowledged = collections.Counter(disk.acks.decode().splitlines())
    acknowledged = {i: n for i, n in acknowledged.items() if i.startswith("load-")}
    mode = MODES[cuts % len(MODES)]
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    disk.after_cut(out, mode, rng)
    there = generations(out)
    lost = {i: (n, there.get(i, 0)) for i, n in acknowledged.items() if there.get(i, 0) < n}
    if lost:
        raise SystemExit(f"FAILED: cut {mode} after operation {moment}, SEED={SEED}: acknowledged but "
                         f"lost (id: acknowledged, stored): {lost}")
    cuts += 1
total = len([a for a in disk.acks.decode().splitlines() if a.startswith("load-")])
if total < 50:
    raise SystemExit(f"FAILED: only {total} acknowledgements, the test proves nothing")
print(f"ok  {cuts} power cuts in {len(operations)} operations, {total} acknowledged assignments, none lost")
