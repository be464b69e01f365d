"""Keys that share primes: found over files and formats, by every way into the database."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys

from eklist import *

LAB = os.environ["LAB"]
TOOL = os.path.join(os.environ["CRADLE_BUILD"], "bin", "ekpub-import")
P = list(points(3, 41))


def fail(what):
    sys.exit(f"FAILED: {what}")


def case(what):
    print("ok ", what, flush=True)


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=True).stdout


def prime():
    """A real one of 1024 bits, the two highest set."""
    return int(openssl("prime", "-generate", "-bits", "1024", "-hex").decode().strip(), 16)


Q = [prime() for _ in range(9)]
GOOD, ONE, TWO, THREE = Q[0] * Q[1], Q[2] * Q[3], Q[3] * Q[4], Q[5] * Q[6]


def write(name, rows, header="registrationId,endorsementKey"):
    path = f"{LAB}/{name}"
    with open(path, "w") as f:
        f.write("\n".join([header, *rows]) + "\n")
    return path


def row(name, n, role="ek"):
    return f"{name},{b64(rsa(n, role))}"


def fresh():
    """A data directory without a row."""
    data = f"{LAB}/fresh"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(f"{LAB}/data", data)
    return data


def enrolled(data):
    with sqlite3.connect(f"{data}/db/enrollments.db") as db:
        return sorted(r[0] for r in db.execute("SELECT id FROM enrollment"))


def run(data, *args, stdin=None, status=0):
    report = f"{LAB}/report.jsonl"
    if os.path.exists(report):
        os.unlink(report)
    done = subprocess.run([TOOL, "--data", data, "--report", report, *args], input=stdin, capture_output=True,
                          timeout=120)
    said = done.stdout.decode() + done.stderr.decode()
    if done.returncode != status:
        fail(f"status {done.returncode}, not {status}, of {args}: {said}")
    if not os.path.exists(report):
        return {}, said
    with open(report) as f:
        return {r["registrationId"]: r["reason"] if r["outcome"] == "refused" else r["outcome"]
                for r in map(json.loads, f)}, said


def expect(got, **wanted):
    rows, said = got
    if set(rows) != set(wanted):
        fail(f"rows {set(rows)}: {said}")
    for name, want in wanted.items():
        if not rows[name].startswith(want):
            fail(f"{name}: \"{rows[name]}\", not \"{want}\"")


def why(column, file, line, other):
    return f"{column}: shares a prime with another key ({file}:{line}, {other})"


def found():
    """In a first load, beside enrollments, in a dry run and all or nothing; not without the option."""
    first = write("first.csv", [row("good", GOOD), row("one", ONE), f"ecc,{b64(ecc(P[0]))}"])
    second = write("second.csv", [row("three", THREE), row("two", TWO), row("bad", THREE - 1)])
    wanted = {"good": "new", "ecc": "new", "three": "new", "bad": "endorsementKey: ",
              "one": why("endorsementKey", second, 3, "endorsementKey of two"),
              "two": why("endorsementKey", first, 3, "endorsementKey of one")}
    data = fresh()
    got = run(data, "--dry-run", "--shared-factors", first, second, status=1)
    expect(got, **wanted)
    if enrolled(data) or "refused: endorsementKey: shares a prime with another key: 2\n" not in got[1]:
        fail(f"a dry run: {got[1]}")
    only = write("only.csv", [row("two", TWO)])
    _, said = run(data, "--shared-factors", "--all-or-nothing", first, only, status=2)
    if enrolled(data) or "nothing was enrolled" not in said:
        fail(f"all or nothing: {said}")
    expect(run(data, "--shared-factors", first, second, status=1), **wanted)
    if enrolled(data) != ["ecc", "good", "three"]:
        fail(f"a load: {enrolled(data)}")
    same = {k: "same" if v == "new" else v for k, v in wanted.items()}
    expect(run(data, "--shared-factors", first, second, status=1), **same)
    expect(run(data, first, second, status=1), **{**same, "one": "new", "two": "new"})
    expect(run(data, "--shared-factors", first, second, status=1), **same)
    left = [name for name in os.listdir(data) if name.startswith("import-")]
    if left:
        fail(f"left behind: {left}")
    case("two keys that share a prime are refused by each other's name, by every way in")


def columns_and_formats():
    """Storage root keys count too; so do rows that are refused; so do other formats."""
    keys = write("srk.csv", [f"a,{b64(rsa(GOOD))},{b64(rsa(ONE, 'srk'))}", f"b,{b64(ecc(P[0]))},",
                             f"c d,{b64(rsa(TWO))},"], "registrationId,endorsementKey,storageRootKey")
    rows, said = run(fresh(), "--shared-factors", keys, status=1)
    if rows["a"] != why("storageRootKey", keys, 4, "endorsementKey of c d") or rows["b"] != "new" or \
            not rows["c d"].startswith("registrationId: not 1 to"):
        fail(f"{rows} {said}")
    folder = f"{LAB}/keys"
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for name, data in ("a.pub", rsa(ONE)), ("b.pem", rsa_pem(TWO).encode()), ("c.pub", rsa(GOOD)):
        with open(f"{folder}/{name}", "wb") as f:
            f.write(data)
    lines = f"{LAB}/more.jsonl"
    with open(lines, "w") as f:
        f.write(json.dumps({"registrationId": "d", "endorsementKey": b64(rsa(Q[1] * Q[7]))}) + "\n")
    expect(run(fresh(), "--shared-factors", folder, lines, status=2),
           a=why("endorsementKey", folder, 2, "endorsementKey of b"),
           b=why("endorsementKey", folder, 1, "endorsementKey of a"),
           c=why("endorsementKey", lines, 1, "endorsementKey of d"),
           d=why("endorsementKey", folder, 3, "endorsementKey of c"))
    case("storage root keys, refused rows, directories and JSON are looked at likewise")


def duplicates():
    """The same key again is the same key, not one that shares."""
    twice = write("twice.csv", [row("good", GOOD), row("good", GOOD), row("again", GOOD)])
    rows, said = run(fresh(), "--shared-factors", twice, status=1)
    if rows != {"good": "same", "again": f"endorsementKey: enrolled already for another row ({twice}:2)"} or \
            "rows 3, new 1, same 1, refused 1" not in said:
        fail(f"{rows} {said}")
    weak = write("weak.csv", [row("one", ONE), row("two", TWO), row("one", ONE)])
    expect(run(fresh(), "--shared-factors", weak, status=2), one=why("endorsementKey", weak, 3, "endorsementKey of two"),
           two=why("endorsementKey", weak, 2, "endorsementKey of one"))
    case("a key that comes twice is no shared factor; one that shares is refused each time it comes")


def refused():
    rows = write("rows.csv", [row("good", GOOD)])
    data = fresh()
    for args in ["--shared-factors", "-"], ["--shared-factors", rows, "-"], ["--all-or-nothing", "-"]:
        _, said = run(data, *args, stdin=open(rows, "rb").read(), status=2)
        if "-: is no file" not in said or enrolled(data):
            fail(f"standard input: {said}")
    pipe = f"{LAB}/pipe"
    os.mkfifo(pipe)
    if "pipe: is no file" not in run(data, "--shared-factors", pipe, status=2)[1]:
        fail("a pipe")
    if "No such file" not in run(f"{LAB}/nowhere", "--shared-factors", rows, status=2)[1]:
        fail("no data directory")
    cut = write("cut.jsonl", [json.dumps({"registrationId": "one", "endorsementKey": b64(rsa(ONE))})], "")
    torn = f"{LAB}/torn.csv.gz"
    packed = subprocess.run(["gzip", "-c", write("torn.csv", [row(f"t-{i}", q * Q[8]) for i, q in enumerate(Q[:8])] +
                                                       [f"no-{i},key" for i in range(20000)])],
                            capture_output=True, check=True).stdout
    with open(torn, "wb") as f:
        f.write(packed[:-20])
    rows, said = run(data, "--shared-factors", torn, cut, status=2)
    if "ends too early" not in said or "shares a prime" not in said:
        fail(f"a file that is cut off: {said}")
    case("what can be read only once is refused; a file that is cut off is judged as far as it goes")


for story in (found, columns_and_formats, duplicates, refused):
    story()
