"""Who takes what of the minimal device: from the linker's map, the program and the libraries it loads.

    size.py BUILD [FIRST SECOND]    and the footprints of two boots, as footprint.c wrote them

BUILD is build/minimal or build/minimal-arm64. Ends with 1 where an aim is missed."""
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SIZE_AIM, HEAP_AIM, STACK_AIM = 1024, 96, 24    # KiB
MODULES = (("libwolfssl.a", "wolfSSL"), ("libpaho", "Paho MQTT"), ("libcjson.a", "cJSON"), ("libwire.a", "wire"),
           ("libhal_linux.a", "hal/linux"), ("libfirmware.a", "firmware"), ("cradle-device.dir", "firmware: the program"))
REST = "start-up code and the linker's tables"
missed = []


def tool(arch, name, *arguments):
    prefix = "aarch64-linux-gnu-" if arch == "arm64" else ""
    return subprocess.run([prefix + name, *arguments], check=True, capture_output=True, text=True).stdout


def modules(path):
    """Sizes of input sections, by output section and module. A section whose name is long stands on a
    line of its own. What goes nowhere has the address 0."""
    text = open(path).read().split("Linker script and memory map", 1)[1]
    text = re.sub(r"^( \.\S+)\n\s+0x", r"\1 0x", text, flags=re.M)
    sums, out = collections.defaultdict(collections.Counter), ""
    for line in text.splitlines():
        if head := re.match(r"(\.\S+)", line):
            out = head[1]
        part = re.match(r" [.\w]\S*\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)", line)
        if part and int(part[1], 16) and (kind := kind_of(out)):
            module = next((name for mark, name in MODULES if mark in part[3]), REST)
            sums[module][kind] += int(part[2], 16)
    return sums


def kind_of(section):
    """As size(1) counts them."""
    if section.startswith((".debug", ".comment", ".gnu.build.attributes", ".ARM.attributes")) or section == "":
        return None
    if section == ".bss":
        return "bss"
    writable = (".data", ".init_array", ".fini_array", ".dynamic", ".got", ".tdata", ".tm_clone_table")
    return "data" if section.startswith(writable) else "text"


def elf_size(arch, path):
    text, data, bss = map(int, tool(arch, "size", path).splitlines()[1].split()[:3])
    return {"text": text, "data": data, "bss": bss}


def libraries(arch, path):
    """What the loader will load, but libc and itself."""
    if arch == "arm64":
        folders = [os.path.join(ROOT, "build/deps/sysroot-arm64/usr/lib/aarch64-linux-gnu")]
    else:
        folders = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True, text=True).stdout.split()
        folders = [f"/{top}/{folders[0]}" for top in ("lib", "usr/lib")]
    found, todo = {}, [path]
    while todo:
        for name in re.findall(r"NEEDED.*\[(.*)\]", tool(arch, "readelf", "-d", todo.pop())):
            if name not in found and not re.match(r"libc\.so|ld-linux", name):
                found[name] = next(p for f in folders if os.path.exists(p := f"{f}/{name}"))
                todo.append(found[name])
    return found


def row(name, sizes, file=""):
    print(f"{name:<40}{sizes['text']:>9}{sizes['data']:>9}{sizes['bss']:>9}{file:>10}")


def judged(name, value, aim):
    print(f"{f'{name} (aim: at most {aim})':<66} {value:.1f}" + ("" if value <= aim else "  MISSED"))
    if value > aim:
        missed.append(name)


def main(build, *footprints):
    arch = "arm64" if build.rstrip("/").endswith("arm64") else os.uname().machine
    program = os.path.join(build, "bin/cradle-device")
    with tempfile.TemporaryDirectory() as scratch:
        bare = shutil.copy(program, scratch)
        tool(arch, "strip", bare)
        whole, bare_bytes = elf_size(arch, bare), os.path.getsize(bare)
        loaded = libraries(arch, bare)
    total = bare_bytes + sum(os.path.getsize(p) for p in loaded.values())
    print(f"== the minimal device, {arch}: bytes")
    row("", {"text": "text", "data": "data", "bss": "bss"}, "file")
    parts = modules(os.path.join(build, "cradle-device.map"))
    others = {k: sum(p[k] for name, p in parts.items() if name != REST) for k in whole}
    for name, sizes in sorted(parts.items(), key=lambda p: -p[1]["text"]):
        if name != REST:
            row(name, sizes)
    row(REST, {k: whole[k] - others[k] for k in whole})
    row("cradle-device, stripped", whole, bare_bytes)
    for name, path in loaded.items():
        row(name, elf_size(arch, path), os.path.getsize(path))
    judged(f"program and libraries but libc, {arch}, KiB", total / 1024, SIZE_AIM)
    for boot, log in zip(("first", "second"), footprints):
        f = dict(re.findall(r"(\w+) (\d+)", open(log).read()))
        judged(f"{boot} boot, peak heap, KiB", int(f["heap"]) / 1024, HEAP_AIM)
        judged(f"{boot} boot, peak stack, KiB", int(f["stack"]) / 1024, STACK_AIM)
    return 1 if missed else 0


sys.exit(main(*sys.argv[1:]))
