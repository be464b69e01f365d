import base64
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time

from eklist import *

LAB = os.environ["LAB"]
TOOL = os.path.join(os.environ["CRADLE_BUILD"], "bin", "ekpub-import")
SMALL = LAB + "/small"
ROWS = 5000  # more than two blocks of 2048
P = list(points(ROWS + 20, 12345))


def fail(what):
    sys.exit(f"FAILED: {what}")


def expect(truth, what):
    if not truth:
        fail(what)


def case(what):
    print("ok ", what, flush=True)


def write(name, data):
    path = f"{LAB}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
    return path


class Run:
    """One run. Whatever it came to, rows read are new, replaced, the same, skipped or refused."""

    def __init__(self, data, *args, status=0, stdin=None):
        self.done = subprocess.run([TOOL, "--data", data, *args], input=stdin, capture_output=True, timeout=150)
        self.said = self.done.stdout.decode() + self.done.stderr.decode()
        self.counts = {}
        summary = re.search(r"^rows (\d+), (.*)$", self.done.stdout.decode(), re.M)
        if summary:
            self.counts = {k: int(v) for k, v in (part.split() for part in summary[2].split(", "))}
            expect(int(summary[1]) == sum(self.counts.values()), f"the sum is not the rows read: {self.said}")
        expect(self.done.returncode == status, f"status {self.done.returncode}, not {status}: {args}: {self.said}")

    def says(self, *words):
        for word in words:
            expect(word in self.said, f"no \"{word}\" in {self.said}")
        return self


def fresh(name, rows=1):
    """A data directory with so many rows: with one, a run is made of batches."""
    data = f"{LAB}/{name}"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(LAB + "/data", data)
    if rows:
        first = write("first.csv", "registrationId,endorsementKey\n" + "".join(
            f"first-{i},{b64(ecc(P[ROWS + i]))}\n" for i in range(rows)))
        Run(data, first)
    return data


def state(data):
    with sqlite3.connect(f"{data}/db/enrollments.db") as db:
        return db.execute("SELECT id, device_id, hex(ek), enabled FROM enrollment ORDER BY id").fetchall()


# ---- the same list in every format ----
ALL = [(f"unit-{i:05}", ecc(P[i])) for i in range(ROWS)]


def csv_of(rows):
    return "registrationId,endorsementKey\n" + "".join(f"{name},{b64(key)}\n" for name, key in rows)


def objects_of(rows):
    return [{"registrationId": name, "endorsementKey": b64(key)} for name, key in rows]


def jsonl_of(rows):
    return "".join(json.dumps(o) + "\n" for o in objects_of(rows))


def tar_of(rows):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, key in rows:
            info = tarfile.TarInfo(f"{name[-1]}/{name}.pub")
            info.size = len(key)
            archive.addfile(info, io.BytesIO(key))
    return out.getvalue()


def folder_of(rows, name):
    shutil.rmtree(f"{LAB}/{name}", ignore_errors=True)
    for unit, key in rows:
        write(f"{name}/{unit[-1]}/{unit}.pub", key)
    return f"{LAB}/{name}"


def windows_of(rows):
    return "".join(f"\nPSComputerName : {name}\nIsPresent : True\nPublicKeyHash : 00\nPublicKey : {key.hex()}\n"
                   for name, key in rows)


def pem_of(rows):
    return "".join(f"{name}\n" + ecc_pem(P[i]) for i, (name, _) in enumerate(rows))


def zstd(data):
    return subprocess.run(["zstd", "-c"], input=data.encode(), capture_output=True, check=True).stdout


WINDOWS = ["--map", "PSComputerName=registrationId"]
FORMATS = {
    "csv": lambda rows: (write("list.csv", csv_of(rows)), []),
    "csv.gz": lambda rows: (write("list.csv.gz", gzip.compress(csv_of(rows).encode())), []),
    "csv.zst": lambda rows: (write("list.csv.zst", zstd(csv_of(rows))), []),
    "utf16": lambda rows: (write("list.utf16", csv_of(rows).encode("utf-16")), []),
    "jsonl": lambda rows: (write("list.jsonl", jsonl_of(rows)), []),
    "json": lambda rows: (write("list.json", json.dumps(objects_of(rows), indent=1)), []),
    "tar": lambda rows: (write("list.tar", tar_of(rows)), []),
    "tar.gz": lambda rows: (write("list.tgz", gzip.compress(tar_of(rows))), []),
    "dir": lambda rows: (folder_of(rows, "list"), []),
    "windows": lambda rows: (write("list.txt", windows_of(rows)), WINDOWS),
    "pem": lambda rows: (write("list.pem", pem_of(rows)), []),
}


def stopped_and_resumed():
    """A report that finds no space stops the run in the third block. With space, --resume goes on."""
    wanted = None
    for name in "csv.gz", "tar", "dir":
        listed, options = FORMATS[name](ALL)
        whole = fresh("whole")
        Run(whole, *options, listed)
        part = fresh("part")
        subprocess.run(["mount", "-o", "remount,size=300k", SMALL], check=True)
        options = [*options, "--report", SMALL + "/report.jsonl", "--rejects", LAB + "/rejects"]
        run = Run(part, *options, listed, status=1).says("the report cannot be written", "ended early", "--resume")
        expect(0 < run.counts["new"] < ROWS, f"{name}: {run.said}")
        checkpoints = [f for f in os.listdir(part) if f.endswith(".checkpoint")]
        expect(len(checkpoints) == 1, f"{name}: {checkpoints}")
        subprocess.run(["mount", "-o", "remount,size=20m", SMALL], check=True)
        run = Run(part, *options, "--resume", listed)
        expect(run.counts["new"] < ROWS and sum(run.counts.values()) == ROWS, f"{name}: {run.said}")
        with open(SMALL + "/report.jsonl") as f:
            lines = [json.loads(line)["line"] for line in f]
        expect(len(lines) == len(set(lines)) == ROWS, f"{name}: {len(lines)} lines in the report")
        expect(state(part) == state(whole), f"{name}: another database than that of an undisturbed run")
        expect(not [f for f in os.listdir(part) if f.endswith(".checkpoint")], f"{name}: a checkpoint is left")
        names = [row[0] for row in state(part)]
        expect(wanted in (None, names), f"{name}: other ids than in the other formats")
        wanted = names
        os.unlink(SMALL + "/report.jsonl")
    case("stopped by a full disk and resumed: packed, archives, directories; each row once")


def not_to_be_resumed():
    """Rows are passed over by their number, so it must be the same file."""
    listed, _ = FORMATS["dir"](ALL)
    data = fresh("changed")
    subprocess.run(["mount", "-o", "remount,size=300k", SMALL], check=True)
    report = ["--report", SMALL + "/report.jsonl"]
    Run(data, *report, listed, status=1)
    for what, change, back in (
            ("a file more", lambda: write("list/3/unit-00000.pub", b"x"), lambda: os.unlink(listed + "/3/unit-00000.pub")),
            ("a file rewritten", lambda: write("list/1/unit-00001.pub", ALL[1][1] + b"x"), lambda: None)):
        change()
        Run(data, "--resume", *report, listed, status=2).says("an input has changed", "import without --resume")
        back()
    os.unlink(SMALL + "/report.jsonl")
    subprocess.run(["mount", "-o", "remount,size=20m", SMALL], check=True)
    Run(data, "--resume", "-", stdin=csv_of(ALL[:5]).encode(), status=2).says("-: is no file")
    listed, _ = FORMATS["csv"](ALL[:5])
    Run(data, "--resume", listed).says("new 0, same 5")
    case("--resume refuses what has changed and what cannot be read again; without a checkpoint it begins anew")


def same_by_another_way(listed, options, back):
    """All rows are refused for their ids; what comes back goes in elsewhere and is the same."""
    taken = fresh("taken", 0)
    Run(taken, write("taken.csv", csv_of([(name, ecc(P[ROWS + i])) for i, (name, _) in enumerate(ALL[:6])])))
    Run(taken, *options, "--rejects", back, listed, status=2).says("refused 6")
    straight, bent = fresh("straight", 0), fresh("bent", 0)
    Run(straight, *options, listed)
    Run(bent, *options, back)
    expect(len(state(bent)) == 6 and state(straight) == state(bent), f"{listed}: {state(bent)}")
    again = back + ".again"
    Run(taken, *options, "--rejects", again, back, status=2).says("refused 6")
    with open(back, "rb") as one, open(again, "rb") as two:
        expect(one.read() == two.read(), f"{listed}: not the same the second time")


def rejects_come_back():
    few = ALL[:6]
    for name, make in FORMATS.items():
        if name == "pem":
            continue  # has no ids to be taken
        listed, options = make(few)
        same_by_another_way(listed, options, f"{LAB}/back-{name}")
    folder = folder_of(few, "pairs")
    key = os.path.join(folder, "0/unit-00000.pub")
    os.rename(key, os.path.join(folder, "0", "sub." * 20 + "unit-00000" + "-" * 30 + "x.pub"))
    data = fresh("paired", 0)
    # refused by the same key: names longer than a header's come back, too
    Run(data, write("taken.csv", csv_of([(f"other-{i}", key) for i, (_, key) in enumerate(few)])))
    Run(data, "--rejects", f"{LAB}/back-long", folder, status=2).says("refused 6")
    bent = fresh("bent", 0)
    Run(bent, f"{LAB}/back-long")
    expect(sorted(row[0] for row in state(bent)) == sorted(
        ["sub." * 20 + "unit-00000" + "-" * 30 + "x"] + [name for name, _ in few[1:]]), f"{state(bent)}")
    with tarfile.open(f"{LAB}/back-long") as archive:
        expect(sorted(archive.getnames()) == sorted(
            ["0/" + "sub." * 20 + "unit-00000" + "-" * 30 + "x.pub"] + [f"{n[-1]}/{n}.pub" for n, _ in few[1:]]),
            f"{archive.getnames()}")
    case("refused rows come back in the format they had, and are the same rows")


def rejects_of_broken_rows():
    data = fresh("broken", 0)
    back = f"{LAB}/back"
    text = "registrationId,endorsementKey\n" + "a,b,c\n" + "\"x\"y,z\n" + "w" * 20000 + ",v\n" + "bad,key\n"
    Run(data, "--rejects", back, write("torn.csv", text), status=2).says(
        "refused 4", "rejects: nothing could be written of 1 refused rows")
    expect(open(back).read() == text.replace("w" * 20000 + ",v\n", ""), open(back).read())
    lines = '{"registrationId":"a"\n[]\n{"endorsementKey":"x","colour":1}\n'
    Run(data, "--rejects", back, write("torn.jsonl", lines), status=2).says("refused 3")
    expect(open(back).read() == lines, open(back).read())
    array = '[1, {"endorsementKey":"x"}\n, "y"]'
    Run(data, "--format", "json", "--rejects", back, write("torn.json", array), status=2).says("refused 3")
    expect(open(back).read() == '[\n1,\n{"endorsementKey":"x"},\n"y"\n]\n', open(back).read())
    pems = "-----BEGIN PUBLIC KEY-----\nAAAA\n" + ecc_pem(P[0]) + "-----BEGIN PUBLIC KEY-----\nBBBB"
    Run(data, "--rejects", back, write("torn.pem", pems), status=1).says("refused 2", "new 1")
    expect(open(back).read() == "-----BEGIN PUBLIC KEY-----\nAAAA\n-----BEGIN PUBLIC KEY-----\nBBBB\n", open(back).read())
    folder = f"{LAB}/odd"
    shutil.rmtree(folder, ignore_errors=True)
    write("odd/a.pub", b"what?")
    write("odd/b.pub", bytes(20000))
    write("odd/c.pub", b"")
    os.symlink("/etc/passwd", folder + "/d.pub")
    Run(data, "--rejects", back, folder, status=2).says("refused 4", "nothing could be written of 2 refused rows")
    with tarfile.open(back) as archive:
        expect(archive.getnames() == ["a.pub", "c.pub"] and archive.extractfile("a.pub").read() == b"what?", "the files")
    one = write("one.pub", ecc(P[0])[:-1])
    Run(data, "--rejects", back, one, status=2).says("refused 1")
    expect(json.load(open(back)) == {"endorsementKey": b64(ecc(P[0])[:-1])}, open(back).read())
    good = write("good.csv", csv_of(ALL[2:4]))
    turned = write("turned.csv", "endorsementKey,registrationId\n" + "x,y\n")
    for other in turned, one, folder:
        Run(data, "--rejects", back, good, other, status=2).says("differ in format or header")
    Run(data, "--rejects", back, good, write("same.csv", csv_of(ALL[4:6])))
    expect(open(back).read() == "", "nothing refused, nothing written")
    case("what is broken comes back as it stands there; lists of several formats are not mixed")


def encodings():
    data = fresh("encodings", 0)
    rows = csv_of(ALL[:3])
    for what, text in (("with a byte order mark", b"\xef\xbb\xbf" + rows.encode()), ("UTF-16", rows.encode("utf-16")),
                       ("UTF-16, big end first", b"\xfe\xff" + rows.encode("utf-16-be"))):
        run = Run(data, "--dry-run", write("mark.csv", text))
        expect(run.counts == {"new": 3, "same": 0, "refused": 0}, f"{what}: {run.said}")
    Run(data, write("nomark.csv", rows.encode("utf-16-le")), status=2).says("nomark.csv", "NUL")
    latin = rows.replace("unit-00001", "Gerät-1").encode("latin-1")
    run = Run(data, "--dry-run", write("latin.csv", latin), status=1).says("latin.csv:3: registrationId: not 1 to")
    expect(run.counts == {"new": 2, "same": 0, "refused": 1}, run.said)
    Run(data, write("latin.csv", rows.replace("registrationId", "Gerät").encode("latin-1")), status=2).says(
        'unknown column "Ger\\xe4t"')
    run = Run(data, "--dry-run", write("latin.jsonl", jsonl_of(ALL[:3]).encode().replace(b"unit-00001", b"Ger\xe4t")),
              status=1).says("latin.jsonl:2: ")
    expect(run.counts == {"new": 2, "same": 0, "refused": 1}, run.said)
    expect(not state(data), "none of this wrote anything")
    case("encodings: marks are understood, other alphabets refused, by row where there is one")


def cut_off():
    """What is there is in; the count says how much; the whole file is another file."""
    for name in "csv", "csv.zst", "tar.gz", "json":
        listed, _ = FORMATS[name](ALL)
        data = fresh("cut")
        with open(listed, "rb") as f:
            whole = f.read()
        with open(listed, "wb") as f:
            f.write(whole[:len(whole) * 9 // 10])
        run = Run(data, listed, status=1)
        expect(ROWS // 2 < run.counts["new"] < ROWS, f"{name}: {run.said}")
        expect(len(state(data)) == 1 + run.counts["new"], f"{name}: {len(state(data))} rows, {run.said}")
        if name != "csv":  # which does not say where it ends
            run.says("ended early")
        with open(listed, "wb") as f:
            f.write(whole)
        if name != "csv":
            Run(data, "--resume", listed, status=2).says("an input has changed")
        new = run.counts["new"]
        run = Run(data, listed)
        expect(run.counts == {"new": ROWS - new, "same": new, "refused": 0}, f"{name}: {run.said}")
    case("files that are cut off: told where it can be known, counted, and whole in the next run")


def begin_locked():
    """A database that somebody else holds for longer than an import waits, half a minute."""
    data = fresh("locked")
    holder = sqlite3.connect(f"{data}/db/enrollments.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    listed = write("locked.csv", csv_of(ALL))
    tool = subprocess.Popen([TOOL, "--data", data, "--report", LAB + "/locked.jsonl", listed],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return data, holder, tool, listed


def end_locked(data, holder, tool, listed):
    out, err = tool.communicate(timeout=120)
    expect(tool.returncode == 2 and b"rows 0, new 0" in out and b"nothing changed" in out and b"busy" in err,
           f"{tool.returncode} {out} {err}")
    expect(os.path.getsize(LAB + "/locked.jsonl") == 0, "a row was reported")
    waiting = subprocess.Popen([TOOL, "--data", data, "--resume", listed], stdout=subprocess.PIPE)
    time.sleep(0.5)
    expect(waiting.poll() is None, "it did not wait")
    holder.execute("ROLLBACK")
    out, _ = waiting.communicate(timeout=60)
    expect(waiting.returncode == 0 and b"new 5000" in out, f"{out}")
    holder.close()
    case("a locked database is waited for, half a minute; then the import says so, and goes on later")


locked = begin_locked()
for story in (stopped_and_resumed, not_to_be_resumed, rejects_come_back, rejects_of_broken_rows, encodings, cut_off):
    if not sys.argv[1:] or story.__name__ in sys.argv[1:]:
        story()
end_locked(*locked)
