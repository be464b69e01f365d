"""Runs a command, its standard input ours, and says how much memory it had at most."""
import os
import subprocess
import sys

process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(f"peak resident {usage.ru_maxrss // 1024} MiB", flush=True)
sys.exit(os.waitstatus_to_exitcode(status))
