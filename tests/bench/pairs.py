"""Prints one line over pairs of measurements: the median of their ratios, and of each side.

    pairs.py NAME FILE      FILE: "ours theirs exchanges" a line, microseconds of CPU
"""
import statistics
import sys

rows = [tuple(map(float, line.split())) for line in open(sys.argv[2])]
ratios = [ours / theirs for ours, theirs, _ in rows]
ours, theirs = (statistics.median(row[i] / row[2] for row in rows) for i in (0, 1))
print(f"{sys.argv[1]:<66} {statistics.median(ratios):.2f}  ({ours:.0f} us / {theirs:.0f} us; "
      f"{min(ratios):.2f} to {max(ratios):.2f})")
