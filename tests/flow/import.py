"""What an operator sees of ekpub-import: outcomes, reasons, exit status, and that nothing is lost."""
import csv
import glob
import io
import json
import os
import signal
import subprocess
import sys
import time

from eklist import *

LAB = os.environ["LAB"]
TOOL = os.path.join(os.environ["CRADLE_BUILD"], "bin", "ekpub-import")
DATA = LAB + "/data"


def expect(truth, what):
    if not truth:
        sys.exit(f"FAILED: {what}")


def case(what):
    print("ok ", what, flush=True)


def path(name):
    return f"{LAB}/{name}"


def write(name, text):
    with open(path(name), "wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
    return path(name)


def table(name, header, rows, newline="\n"):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=newline)
    writer.writerow(header)
    writer.writerows(rows)
    return write(name, out.getvalue())


def lines(name, rows):
    return write(name, "".join(json.dumps(row) + "\n" for row in rows))


class Run:
    """One run, with its report."""
    def __init__(self, *args, data=DATA, stdin=None, report=True):
        self.report_path = path("report.jsonl")
        if os.path.exists(self.report_path):
            os.unlink(self.report_path)
        wanted = ["--report", self.report_path] if report else []
        done = subprocess.run([TOOL, "--data", data, *wanted, *args], input=stdin, capture_output=True,
                              timeout=120)
        self.status, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        self.rows = []
        if os.path.exists(self.report_path):
            with open(self.report_path) as f:
                self.rows = [json.loads(line) for line in f]

    def __str__(self):
        return f"status {self.status}\n{self.out}{self.err}"

    def expect(self, status, counts, *sentences):
        """counts: rows, new, same, refused; None: the run must not even have begun."""
        expect(self.status == status, f"status {status}, not {self}")
        if counts is None:
            expect(self.out == "", f"no summary in {self}")
        else:
            expect(self.out.startswith("rows %d, new %d, same %d, refused %d\n" % counts),
                   f"{counts}, not {self}")
        for sentence in sentences:
            expect(sentence in self.out + self.err, f"\"{sentence}\" in {self}")
        return self

    def outcome(self, line, outcome, reason=""):
        row = next((r for r in self.rows if r["line"] == line), None)
        expect(row and row["outcome"] == outcome and reason in row["reason"],
               f"line {line}: {outcome} {reason}, not {row}")
        return row


def kinds_of_lists():
    p, n = list(points(8, 1000)), modulus("kinds")
    header = ["deviceId", "pinSrk", "endorsementKey", "registrationId", "storageRootKey"]
    rows = [["", "", b64(ecc(p[0])), "k-1", ""],
            ["meter-2", "true", b64(rsa(n)), "K-2", b64(ecc(p[1], "srk"))],
            ["", "FALSE", ecc_pem(p[2]), "", ecc_pem(p[3])],
            ["", "", rsa_pem(modulus("kinds 2")), "", ""]]
    first = Run(table("kinds.csv", header, rows, "\r\n")).expect(0, (4, 4, 0, 0))
    expect([r["registrationId"] for r in first.rows[:2]] == ["k-1", "k-2"], "ids are folded")
    expect(all(len(r["registrationId"]) == 52 for r in first.rows[2:]), "ids are derived")
    expect(all(r["file"] == path("kinds.csv") and r["reason"] == "" for r in first.rows), "the report")
    expect([r["line"] for r in first.rows] == [2, 3, 4, 9 + 4], f"lines of quoted rows: {first.rows}")
    case("CSV: any column order, CRLF, PEM in quotes, ids derived and folded")

    names = header
    objects = [{k: (v.lower() == "true" if k == "pinSrk" else v) for k, v in zip(names, row) if v} for row in rows]
    Run(lines("kinds.jsonl", objects)).expect(0, (4, 0, 4, 0), "nothing changed")
    case("the same rows as JSON Lines are the same enrollments")
    bom = write("bom.csv", b"\xef\xbb\xbfendorsementKey\n" + b64(ecc(p[4])).encode() + b"\n")
    Run(bom).expect(0, (1, 1, 0, 0))
    Run("-", stdin=("endorsementKey\n" + b64(ecc(p[5]))).encode()).expect(0, (1, 1, 0, 0))
    Run("--format", "jsonl", "-", stdin=json.dumps({"endorsementKey": b64(ecc(p[5]))}).encode()).expect(
        0, (1, 0, 1, 0))
    Run(write("header.csv", "endorsementKey\n")).expect(0, (0, 0, 0, 0))
    case("byte order mark, standard input, given format, no rows at all")


def reasons():
    p = list(points(12, 2000))
    ek = [b64(ecc(x)) for x in p]
    taken = "registrationId,endorsementKey,deviceId\none,%s,device-one\n" % ek[0]
    Run(write("taken.csv", taken)).expect(0, (1, 1, 0, 0))
    header = ["registrationId", "endorsementKey", "storageRootKey", "deviceId", "pinSrk"]
    prime = 2**2048 - 1942289  # the largest prime of 2048 bits
    rows = [
        (["good", ek[1], "", "", ""], "new", ""),
        (["one", ek[0], "", "device-one", ""], "same", "enrolled already"),
        (["one", ek[2], "", "device-one", ""], "refused", "registrationId: enrolled already with another endorsementKey"),
        (["one", ek[0], "", "other", ""], "refused", "registrationId: enrolled already with another deviceId"),
        (["one", ek[0], b64(ecc(p[9], "srk")), "device-one", ""], "refused", "with another storageRootKey"),
        (["two", ek[0], "", "", ""], "refused", "endorsementKey: enrolled already for one"),
        (["two", ek[2], "", "device-one", ""], "refused", "deviceId: enrolled already for one"),
        (["good", ek[1], "", "", ""], "same", "reasons.csv:2"),
        (["good", ek[3], "", "", ""], "refused", "reasons.csv:2"),
        (["three", ek[1], "", "", ""], "refused", "enrolled already for "),
        (["", "", "", "", ""], "refused", "endorsementKey: there is none"),
        (["roca", b64(rsa(ROCA)), "", "", ""], "refused", "CVE-2017-15361"),
        (["prime", b64(rsa(prime)), "", "", ""], "refused", "prime"),
        (["square", b64(rsa(isqrt(2**2048 - 1)**2 | 1)), "", "", ""], "refused", "endorsementKey: "),
        (["factor", b64(rsa(modulus("factor") // 9 * 9)), "", "", ""], "refused", "endorsementKey: "),
        (["srk", ek[4], b64(rsa(ROCA, "srk")), "", ""], "refused", "storageRootKey: the modulus"),
        (["p384", pem(bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004") + bytes(96)), "", "", ""],
         "refused", "the challenge serves RSA-2048"),
        (["url", ek[4].replace("+", "-").replace("/", "_"), "", "", ""], "refused", "canonical base64"),
        (["space", " " + ek[4], "", "", ""], "refused", "canonical base64"),
        (["bits", ek[4][:-3] + chr(ord(ek[4][-3]) + 1) + "==" if ek[4].endswith("==") else ek[4] + "=", "", "", ""],
         "refused", "canonical base64"),
        (["trailing", b64(ecc(p[4]) + b"\0"), "", "", ""], "refused", "endorsementKey: "),
        (["curve", b64(ecc((p[4][0], p[5][1]))), "", "", ""], "refused", "endorsementKey: "),
        (["../../etc/passwd", ek[4], "", "", ""], "refused", "registrationId: not 1 to"),
        (["%2e%2e%2fx", ek[4], "", "", ""], "refused", "registrationId: not 1 to"),
        (["x'); DROP TABLE enrollment;--", ek[4], "", "", ""], "refused", "registrationId: not 1 to"),
        (["=1+1", ek[4], "", "", ""], "refused", "registrationId: not 1 to"),
        (["line\nbreak\x1b[31m", ek[4], "", "", ""], "refused", "registrationId: not 1 to"),
        (["device", ek[4], "", "a b", ""], "refused", "deviceId: not 1 to"),
        (["pin", ek[4], "", "", "true"], "refused", "pinSrk: there is no storageRootKey"),
        (["pin", ek[4], "", "", "1"], "refused", "pinSrk: neither"),
        (["self", ek[4], b64(ecc(p[4], "srk")), "", ""], "refused", "is the endorsement key"),
        (["short", ek[4]], "refused", "the row has 2 fields, the header has 5"),
        (["last", ek[4], "", "", ""], "new", ""),
    ]
    listed = table("reasons.csv", header, [row for row, _, _ in rows])
    for options, what in ((["--dry-run"], "would be"), ([], "is")):
        run = Run(*options, listed)
        at = 2
        for row, outcome, reason in rows:
            said = run.outcome(at, outcome, reason)
            expect("\x1b" not in said["registrationId"] and "\n" not in said["registrationId"], "escaped ids")
            at += 1 + sum(cell.count("\n") for cell in row)
        refused = sum(outcome == "refused" for _, outcome, _ in rows)
        run.expect(1, (len(rows), 2, 2, refused))
        expect("\x1b" not in run.err, "escaped messages")
        case(f"every reason {what} told, with its line" + (" (dry run)" if options else ""))
    shown = Run(listed, report=False)
    expect(shown.err.count("reasons.csv:") >= refused, "every refusal is on standard error")
    expect(not glob.glob(LAB + "/**/passwd", recursive=True), "ids never become paths")
    case("refusals without a report are all on standard error")


def damaged_files():
    good = b64(ecc(next(points(1, 3000))))
    before = Run("--dry-run", write("probe.csv", f"endorsementKey\n{good}\n")).out
    bad = write("unknown.csv", f"endorsementKey,colour\n{good},red\n")
    Run(path("probe.csv"), bad).expect(2, None, "unknown.csv: the header has an unknown column \"colour\"")
    Run(write("lacks.csv", "registrationId\none\n")).expect(2, None, "lacks the column endorsementKey")
    Run(write("empty.csv", "")).expect(2, None, "there is no header row")
    Run(write("utf16.csv", "endorsementKey\n".encode("utf-16")[:-1])).expect(2, None, "UTF-16")
    Run(path("probe.csv"), path("absent.csv")).expect(2, None, "absent.csv: No such file")
    Run("-", "-", stdin=b"").expect(2, None)
    Run(path("probe.csv"), data=path("nowhere")).expect(2, None, "nowhere")
    Run().expect(2, None, "FILE")
    Run("--format", "xml", path("probe.csv")).expect(2, None, "there is no such format")
    expect(Run("--dry-run", path("probe.csv")).out == before, "nothing was done by all of these")
    Run(write("all-bad.csv", "endorsementKey\nx\ny\n")).expect(2, (2, 0, 0, 2), "all-bad.csv:2: ")
    case("nothing is done when a file, a header or the database is not right: status 2")

    torn = write("torn.csv", "registrationId,endorsementKey\n"
                 f"torn-1,\"{good}\nx,y,z\n" + "\"" + "z" * 200000 + f"\nnul,\0\ntorn-2,{good}\n")
    run = Run(torn).expect(1, (5, 1, 0, 4))
    run.outcome(2, "refused", "the row is not CSV: text follows a closing quote")
    run.outcome(3, "refused", "the row has 3 fields")
    run.outcome(4, "refused", "longer than 16384 bytes")
    run.outcome(5, "refused", "NUL")
    run.outcome(6, "new")
    objects = write("torn.jsonl", b'{"endorsementKey":"a","endorsementKey":"b"}\n{"serial":1}\n[\n{"pinSrk":"true"}\n'
                    + b"[" * 10000 + b'\n{"endorsementKey":"' + b"x" * 200000 + b'"}\n{"endorsementKey":1e309}\n'
                    + json.dumps({"registrationId": "torn-2", "endorsementKey": good}).encode())
    run = Run(objects).expect(1, (8, 0, 1, 7))
    run.outcome(1, "refused", "duplicate object key")
    run.outcome(2, "refused", "unknown member \"serial\"")
    run.outcome(5, "refused", "depth")
    run.outcome(6, "refused", "longer than 16384 bytes")
    run.outcome(8, "same")
    case("a torn row costs only itself, however long")


def reports():
    listed = write("source.csv", "endorsementKey\n%s\n" % b64(ecc(next(points(1, 3100)))))
    os.link(listed, path("alias.csv"))
    for target in ("source.csv", "alias.csv"):
        Run("--report", path(target), listed, report=False).expect(2, None, "is one of the inputs")
    precious = write("precious.db", "SQLite format 3")
    Run("--report", precious, listed, report=False).expect(2, None, "exists and is not a report")
    expect(open(listed).read().startswith("endorsementKey") and open(precious).read() == "SQLite format 3",
           "neither was touched")
    Run("--report", path("no/such/folder"), listed, report=False).expect(2, None, "No such file")
    Run(listed, report=False, data=DATA).expect(0, (1, 1, 0, 0))
    for _ in range(2):
        Run("--report", path("again.jsonl"), listed, report=False).expect(0, (1, 0, 1, 0))
    expect(open(path("again.jsonl")).read().count("\n") == 1, "a report is replaced, not added to")
    Run("--report", "/dev/full", listed, report=False).expect(2, (1, 0, 1, 0), "the report cannot be written")
    case("a report replaces a report, never a list or another file")


def bulk(name, prefix, count, first):
    return table(name, ["registrationId", "endorsementKey"],
                 [[f"{prefix}-{i}", b64(ecc(p))] for i, p in enumerate(points(count, first))])


def twice_and_dry():
    listed = bulk("bulk.csv", "bulk", 1700, 10000)
    Run("--dry-run", listed).expect(0, (1700, 1700, 0, 0), "dry run: nothing was written")
    Run("--dry-run", listed, listed).expect(0, (3400, 1700, 1700, 0))
    Run(listed).expect(0, (1700, 1700, 0, 0))
    Run(listed).expect(0, (1700, 0, 1700, 0), "nothing changed")
    late = bulk("late.csv", "late", 1200, 50000)
    clash = table("clash.csv", ["registrationId", "endorsementKey"],
                  [["late-3", b64(ecc(next(points(1, 49999))))], ["clash", b64(ecc(next(points(1, 50003))))]])
    run = Run("--dry-run", late, clash).expect(1, (1202, 1200, 0, 2))
    expect([r["reason"] for r in run.rows[-2:]] == [
        f"registrationId: enrolled already with other values ({late}:5)",
        f"endorsementKey: enrolled already for another row ({late}:5)"], f"{run.rows[-2:]}")
    case("same file twice changes nothing; a dry run foretells that and collisions across blocks")


def two_at_once():
    ours, theirs = bulk("two-a.csv", "two", 6000, 100000), path("two-b.csv")
    rows = open(ours).read().splitlines()
    with open(theirs, "w") as f:
        f.write("\n".join([rows[0]] + rows[:0:-1]))
    runs = [subprocess.Popen([TOOL, "--data", DATA, f], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for f in (ours, theirs)]
    outs = [r.communicate(timeout=120) for r in runs]
    expect(all(r.returncode == 0 for r in runs), f"both succeed: {outs}")
    new = sum(int(out.decode().split("new ")[1].split(",")[0]) for out, _ in outs)
    expect(new == 6000, f"each row is new once: {outs}")
    case("two importers at once: each row is enrolled once, by one of them")


def killed():
    listed = open(bulk("killed.csv", "killed", 4000, 200000)).read().splitlines(keepends=True)
    report = path("killed.jsonl")
    tool = subprocess.Popen([TOOL, "--data", DATA, "--report", report, "-"], stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tool.stdin.write("".join(listed[:3000]).encode())
    tool.stdin.flush()
    until = time.time() + 60
    while time.time() < until and os.path.getsize(report) < 100000:
        time.sleep(0.01)
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    said = [json.loads(line) for line in open(report) if line.endswith("\n")]
    expect(500 <= len(said) < 3000 and all(r["outcome"] == "new" for r in said), f"{len(said)} rows were reported")
    run = Run(path("killed.csv"))
    expect(run.status == 0 and len(run.rows) == 4000, f"the second run completes: {run}")
    same = {r["registrationId"] for r in run.rows if r["outcome"] == "same"}
    expect({r["registrationId"] for r in said} <= same, "all that was reported is enrolled")
    expect(len(same) < 3000, f"what was not given is not: {len(same)}")
    case("killed in the middle: what was reported is enrolled, the rest follows in a second run")


def catches_sigterm(pid):
    with open(f"/proc/{pid}/status") as f:
        caught = next(line for line in f if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1


def interrupted():
    listed = open(path("killed.csv")).read().replace("killed-", "stopped-").splitlines(keepends=True)
    tool = subprocess.Popen([TOOL, "--data", DATA, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    until = time.time() + 20
    while not catches_sigterm(tool.pid) and time.time() < until:
        time.sleep(0.01)
    tool.send_signal(signal.SIGTERM)
    out, err = tool.communicate("".join(listed).encode(), timeout=60)
    expect(tool.returncode == 2 and b"interrupted" in err and b"rows 500, new 0, same 0, refused 500" in out,
           f"{tool.returncode} {out} {err[-300:]}")
    case("a signal ends the import between two transactions")


def full_disk():
    listed = bulk("full.csv", "full", 4000, 300000)
    run = Run(listed, data=path("small"))
    expect(run.status == 2 and "no space left" in run.err and not run.rows and "nothing changed" in run.out,
           f"a first load that finds no space leaves nothing: {run}")
    Run(bulk("first.csv", "first", 1, 299000), data=path("small")).expect(0, (1, 1, 0, 0))
    run = Run(listed, data=path("small"))
    new = sum(r["outcome"] == "new" for r in run.rows)
    expect(run.status == (1 if new else 2) and "no space left" in run.err and "ended early" in run.out,
           f"a full disk is told: {run}")
    expect(0 < new < 4000 and f"after {new} rows" in run.err, f"and how far it got: {new} {run}")
    write("full.count", str(new))
    case(f"a full disk stops the import after {new} durable rows")


def after_full():
    new = int(open(path("full.count")).read())
    Run(path("full.csv"), data=path("small")).expect(0, (4000, 4000 - new, new, 0))
    case("with space again, the rest follows and nothing was lost")


def progress():
    listed = bulk("progress.csv", "progress", 1500, 400000)
    on_terminal = subprocess.run(["script", "-qec", f"{TOOL} --data {DATA} {listed}", "/dev/null"],
                                 capture_output=True, timeout=60)
    text = on_terminal.stdout.decode()
    expect(on_terminal.returncode == 0 and "\r\033[K" in text and "%" in text and "#" in text,
           f"a bar on a terminal: {text!r}")
    expect(text.endswith("rows 1500, new 1500, same 0, refused 0\r\n"), f"which is gone at the end: {text!r}")
    expect(Run(listed).err == "", "silence elsewhere")
    case("progress bar on a terminal, silence elsewhere")


def real_keys():
    folder = os.path.join(os.environ.get("CRADLE_SHARED", ""), "data", "ek", "ekpub")
    keys = sorted(glob.glob(folder + "/*.b64"))
    if not keys:
        print(f"SKIPPED: no real endorsement keys at {folder} (set CRADLE_SHARED)", flush=True)
        return
    names = [os.path.basename(k) for k in keys]
    rows = [[open(k).read().strip()] for k in keys]
    run = Run("--dry-run", table("real.csv", ["endorsementKey"], rows))
    expect(len(run.rows) == len(keys), f"a row each: {run}")
    for name, row in zip(names, run.rows):
        wanted = "refused" if "ecc384" in name else "new"
        expect(row["outcome"] == wanted or "enrolled already" in row["reason"], f"{name}: {row}")
        if wanted == "refused":
            expect("endorsementKey: " in row["reason"], f"{name}: {row}")
    case(f"{len(keys)} endorsement keys of real TPMs: " +
         ", ".join(f"{sum(r['outcome'] == o for r in run.rows)} {o}" for o in ("new", "same", "refused")))


def certificate_keys():
    folder = os.path.join(os.environ.get("CRADLE_SHARED", ""), "data", "ek", "leaf")
    rows, kinds = [], []
    for leaf in sorted(glob.glob(folder + "/*.pem")):
        key = subprocess.run(["openssl", "x509", "-in", leaf, "-noout", "-pubkey"], capture_output=True)
        if key.returncode == 0:
            rows.append([key.stdout.decode()])
            kinds.append(os.path.basename(leaf))
    if not rows:
        print(f"SKIPPED: no real EK certificates at {folder} (set CRADLE_SHARED)", flush=True)
        return
    run = Run("--dry-run", table("leaves.csv", ["endorsementKey"], rows))
    for name, row in zip(kinds, run.rows):
        good = "rsa2048" in name or "ecc256" in name
        expect((row["outcome"] != "refused") == good, f"{name}: {row}")
    case(f"the keys of {len(rows)} real EK certificates, as PEM")


if sys.argv[1:] == ["after-full"]:
    after_full()
else:
    for story in (kinds_of_lists, reasons, damaged_files, reports, twice_and_dry, two_at_once, killed,
                  interrupted, full_disk, progress, real_keys, certificate_keys):
        story()
