"""Each acknowledgement of an id raised its generation by one, durably, before it was sent."""
import collections
import sqlite3
import sys

acks = collections.Counter(line.strip() for line in open(sys.argv[1]) if line.endswith("\n"))
rows = dict(sqlite3.connect(sys.argv[2]).execute("SELECT id, generation FROM registration"))
lost = {i: (n, rows.get(i, 0)) for i, n in acks.items() if rows.get(i, 0) < n}
if sum(acks.values()) < 20:
    raise SystemExit(f"FAILED: only {sum(acks.values())} acknowledgements, the test proves nothing")
if lost:
    raise SystemExit(f"FAILED: acknowledged but lost (id: acknowledged, stored): {lost}")
print(f"ok  {sum(acks.values())} acknowledged assignments of {len(acks)} devices are all there")
