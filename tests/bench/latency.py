"""Prints the latencies that runs of `load` measured, medians over the runs."""
import json
import statistics
import sys

runs = [json.load(open(path)) for path in sys.argv[1:]]
for step in ("connect", "challenge", "assigned", "whole"):
    p50, p99 = (statistics.median(r[f"{step}_{q}_us"] for r in runs) for q in ("p50", "p99"))
    print(f"{'latency, ' + step + ', us p50 / p99':<66} {p50:.0f} / {p99:.0f}")
