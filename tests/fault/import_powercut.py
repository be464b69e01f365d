"""Cuts the power under imports whose writes and syncs are recorded, resumes, and compares.

The batches are watched while they run: the recorder writes into a pipe, so the import waits whenever a
disk is built and resumed from. A first load is recorded whole; then cuts are drawn from it.
"""
import glob
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import time

import powercut

LAB, TOOL, BUILD = os.environ["LAB"], sys.argv[1], os.environ["CRADLE_BUILD"]
STEP = int(os.environ.get("CRADLE_POWERCUT_STEP", "25"))
LOOK = int(os.environ.get("CRADLE_POWERCUT_LOOK", "5"))
CUTS = int(os.environ.get("CUTS", "12"))
SEED = int(os.environ.get("SEED", str(time.time_ns() % 1000000)))
MODES = ["synced", "random", "random", "all"]
OUT = f"{LAB}/cut"
LIST, LOAD = f"{LAB}/list.csv", f"{LAB}/load.csv"
WHOLE = """
    SELECT e.id, e.device_id, e.ek_hash, e.pin_srk, e.enabled, e.ek_grade, e.ek, e.srk, c.der,
           p.tags, p.hubs, p.allocation, p.twin
    FROM enrollment e LEFT JOIN profile p ON p.number = e.profile
    LEFT JOIN certificate c ON c.enrollment = e.number ORDER BY e.id"""
OTHERS = ["SELECT what, id, reason FROM audit WHERE what <> 'begin' ORDER BY id, reason",
          "SELECT tags, hubs, allocation, twin FROM profile ORDER BY tags, hubs, allocation, twin",
          "SELECT count(*), 0 FROM certificate"]


def fail(what):
    sys.exit(f"FAILED: {what} (SEED={SEED})")


def open_db(folder):
    return sqlite3.connect(f"{folder}/db/enrollments.db")


def state(folder):
    """Everything but numbers and times; what of enrollments is long, as a sum."""
    db = open_db(folder)
    rows = list(db.execute(WHOLE))
    sums = (len(rows), hash(tuple(rows)))  # within one process, hash is a good sum
    return [sums] + [list(db.execute(q)) for q in OTHERS]


def run(data, *args, env=None):
    return subprocess.run([TOOL, "--data", data, *args], capture_output=True, text=True,
                          env={**os.environ, **(env or {})})


def must(done):
    if done.returncode != 0:
        fail(f"{' '.join(done.args)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def recording(log):
    return {"LD_PRELOAD": f"{BUILD}/lib/powercut.so", "POWERCUT_DIR": f"{LAB}/data", "POWERCUT_LOG": log}


def fresh(source):
    shutil.rmtree(f"{LAB}/data")
    shutil.copytree(source, f"{LAB}/data")


def undisturbed(source, name, *args):
    folder = f"{LAB}/{name}"
    shutil.copytree(source, folder)
    must(run(folder, *args))
    return folder, state(folder)


def cut(disk, mode, rng):
    shutil.rmtree(OUT, ignore_errors=True)
    os.mkdir(OUT)
    disk.after_cut(OUT, mode, rng)


def resume(args, wanted, where):
    done = run(OUT, "--resume", *args)
    if done.returncode != 0:
        fail(f"{where}: --resume ends with {done.returncode}: {done.stdout}{done.stderr}")
    if state(OUT) != wanted:
        fail(f"{where}: after --resume the database is not that of an undisturbed run")
    if glob.glob(f"{OUT}/*.checkpoint*"):
        fail(f"{where}: a checkpoint is left")
    check = subprocess.run([f"{BUILD}/bin/cradled", "check", "--data", OUT], capture_output=True, text=True)
    if check.returncode != 0:
        fail(f"{where}: cradled check: {check.stdout}{check.stderr}")


# ---- batches ----

def positions(whole):
    """Which place in the list each enrollment has, for the question what a checkpoint claims."""
    db = sqlite3.connect(f"{LAB}/positions.db")
    db.execute("CREATE TABLE list (id TEXT PRIMARY KEY, place INTEGER, ek_hash BLOB) WITHOUT ROWID")
    hashes = dict(open_db(whole).execute("SELECT id, ek_hash FROM enrollment"))
    ids = [line.split(",", 1)[0] for line in open(LIST)][1:]
    db.executemany("INSERT INTO list VALUES (?, ?, ?)",
                   ((one, place, hashes[one]) for place, one in enumerate(ids, 1)))
    db.commit()


def claimed():
    """Rows that the checkpoint on the disk says are done."""
    found = glob.glob(f"{OUT}/*.checkpoint")
    return int(pathlib.Path(found[0]).read_text().split()[2]) if found else 0


def look(where):
    """All that the checkpoint claims is there, as it should be, and nothing that is not of the list."""
    claim, db = claimed(), open_db(OUT)
    db.execute("ATTACH ? AS p", (f"{LAB}/positions.db",))
    (there,) = db.execute("SELECT count(*) FROM p.list l JOIN enrollment e ON e.id = l.id "
                          "AND e.ek_hash = l.ek_hash WHERE l.place <= ?", (claim,)).fetchone()
    if there != claim:
        fail(f"{where}: the checkpoint claims {claim} rows, of which {there} are there")
    return claim


def is_checkpoint(record):
    return record[0] == powercut.RENAME and record[3].endswith(b".checkpoint")


class Batches:
    """Draws the cuts while the import runs."""

    def __init__(self, wanted, args):
        self.wanted, self.args, self.rng = wanted, args, random.Random(SEED)
        self.checkpoints = self.resumed = self.looked = 0
        self.last_claim = -1
        self.countdown = -1

    def cut(self, disk, where, whole):
        mode = MODES[(self.resumed + self.looked) % len(MODES)]
        where = f"cut {where}, {mode}"
        cut(disk, mode, self.rng)
        if not where.startswith("cut at the end"):
            self.last_claim = look(where)
        if whole:
            resume(self.args, self.wanted, where)
        self.resumed, self.looked = self.resumed + whole, self.looked + (not whole)

    def at(self, disk, record):
        if self.countdown == 0:
            self.cut(disk, f"between checkpoints {self.checkpoints} and {self.checkpoints + 1}",
                     self.rng.random() < 1 / STEP)
        self.countdown -= 1
        if not is_checkpoint(record):
            return
        self.checkpoints += 1
        at = self.checkpoints % STEP
        if at == 1 % STEP:
            self.cut(disk, f"at checkpoint {self.checkpoints}", True)
        elif self.checkpoints % LOOK == 0:
            self.cut(disk, f"at checkpoint {self.checkpoints}", False)
        if STEP == 1 or at == 3:
            self.countdown = self.rng.randrange(4000)


def batches():
    base = f"{LAB}/base"
    shutil.copytree(f"{LAB}/empty", base)
    must(run(base, f"{LAB}/before.csv"))
    args = ["--on-conflict", "replace", "--checkpoint", "0", LIST]
    whole, wanted = undisturbed(base, "whole", *args)
    positions(whole)
    shutil.rmtree(whole)
    fresh(base)
    pipe = f"{LAB}/operations.pipe"
    os.mkfifo(pipe)
    importing = subprocess.Popen([TOOL, "--data", f"{LAB}/data", *args], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, env={**os.environ, **recording(pipe)})
    disk, draw = powercut.Disk(f"{LAB}/data", base), Batches(wanted, args)
    for record in powercut.records(pipe):
        disk.apply(record)
        draw.at(disk, record)
    said = importing.communicate()[0]
    if importing.returncode != 0:
        fail(f"the recorded import: {said}")
    draw.cut(disk, "at the end", True)
    if draw.checkpoints < 5 or draw.last_claim <= 0:
        fail(f"{draw.checkpoints} checkpoints, the last claims {draw.last_claim}: the test proves nothing")
    replaced = len(wanted[1])
    print(f"ok  {wanted[0][0]} rows, {replaced} of them replaced: {draw.checkpoints} checkpoints, "
          f"{draw.resumed} cuts resumed from, {draw.looked} more looked at", flush=True)


# ---- a first load ----

def load_cut(disk, mode, rng, wanted, where):
    cut(disk, mode, rng)
    shutil.copytree(OUT, OUT + ".look")
    db = open_db(OUT + ".look")
    (there,) = db.execute("SELECT count(*) FROM enrollment").fetchone()
    shutil.rmtree(OUT + ".look")
    if there not in (0, wanted[0][0]):
        fail(f"{where}: {there} rows are in")
    resume([LOAD], wanted, where)
    return there != 0


def first_load():
    empty, log = f"{LAB}/empty", f"{LAB}/operations"
    whole, wanted = undisturbed(empty, "loaded", LOAD)
    fresh(empty)
    must(run(f"{LAB}/data", LOAD, env=recording(log)))
    records = list(powercut.records(log))
    renames = [i for i, r in enumerate(records) if r[0] == powercut.RENAME and r[3].endswith(b"/enrollments.db")]
    if len(renames) != 1 or state(f"{LAB}/data") != wanted:
        fail("the recorded first load is none")
    rng = random.Random(SEED)
    near = range(max(0, renames[0] - 4), min(len(records), renames[0] + 8))
    moments = {*near, *rng.sample(range(len(records)), min(len(records), CUTS))}
    disk, inside = powercut.Disk(f"{LAB}/data", empty), [0, 0]
    for moment, record in enumerate(records):
        disk.apply(record)
        if moment in moments:
            for mode in MODES if moment in near else [MODES[moment % len(MODES)]]:
                where = f"first load cut after operation {moment} of {len(records)}, rename {renames[0]}, {mode}"
                inside[load_cut(disk, mode, rng, wanted, where)] += 1
    if min(inside) == 0:
        fail(f"{inside} cuts before and after the rename: the test proves nothing")
    print(f"ok  a first load of {wanted[0][0]} rows: {inside[0]} cuts with nothing in, {inside[1]} with all",
          flush=True)


os.umask(0o077)
first_load()
batches()
