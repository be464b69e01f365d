"""Prints the latencies that `load` measured beside an import against those without one: beside.py DIR."""
import glob
import json
import statistics
import sys


def runs(pattern):
    return [json.load(open(path)) for path in sorted(glob.glob(f"{sys.argv[1]}/{pattern}"))]


alone, beside = runs("alone-*.json"), runs("beside-*.json")
errors = sum(r["errors"] for r in alone + beside)
for step in ("connect", "challenge", "assigned", "whole"):
    for q in ("p50", "p99"):
        a, b = (statistics.median(r[f"{step}_{q}_us"] for r in some) for some in (alone, beside))
        aim = " (aim: at most 2)" if (step, q) == ("whole", "p99") else ""
        print(f"{f'{step}, {q}, beside an import / without{aim}':<66} {b / a:.2f}  ({b:.0f} us / {a:.0f} us)")
print(f"{'provisioned beside the imports, and errors':<66} {sum(r['exchanges'] for r in beside)}, {errors}")
