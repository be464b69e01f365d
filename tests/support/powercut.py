"""What a disk may hold after the power was cut, from the log that powercut.c recorded.

A file is a cache (what the program sees) and what is durable; between syncs each page remembers the
writes it has had. A directory's changes are durable when it is synced, and otherwise in the order they
were made. How a cut is drawn:

  synced   only what was synced is there
  all      everything is there: no more than a kill
  random   each 512-byte sector holds one of the states it has had since it was last synced, sizes and
           names likewise; so writes are reordered, dropped and torn. A truncation is there or not,
           as a whole, and nothing written after it is there without it.

Index files of shared memory (-shm) hold noise afterwards: nothing may depend on them.

  powercut.py LOG DIR OUT [synced|all|random [SEED]]    the state at the end of the log
"""
import os
import random
import struct
import sys

OPEN, WRITE, TRUNCATE, SYNC, SYNC_FAILED, RENAME, UNLINK, MKDIR, ACK, INJECTED = range(1, 11)
HEAD = struct.Struct("=IIQQ")
PAGE, SECTOR = 4096, 512


def records(path):
    """(op, inode, number, payload) of each complete record."""
    with open(path, "rb") as log:
        while len(head := log.read(HEAD.size)) == HEAD.size:
            op, length, inode, number = HEAD.unpack(head)
            payload = log.read(length)
            if len(payload) == length:
                yield op, inode, number, payload


class Epoch:
    """What was written between two truncations, which a file system does in order and as a whole."""

    def __init__(self, size):
        self.sizes = [size]  # it began with the first one
        self.pages = {}      # page -> [(offset in page, bytes)]


class File:
    def __init__(self, content=b""):
        self.cache = bytearray(content)
        self.durable = bytearray(content)
        self.doubtful = {}  # pages whose sync failed: what they had may be there or not
        self.epochs = [Epoch(len(content))]  # since the last sync

    def write(self, offset, data):
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
            self.epochs[-1].sizes.append(end)
        self.cache[offset:end] = data
        while data:
            page, at = divmod(offset, PAGE)
            part, data = data[:PAGE - at], data[PAGE - at:]
            self.epochs[-1].pages.setdefault(page, []).append((at, part))
            offset += len(part)

    def truncate(self, size):
        if size != len(self.cache):
            resize(self.cache, size)
            self.epochs.append(Epoch(size))

    def sync(self):
        for epoch in self.epochs:
            resize(self.durable, epoch.sizes[0])
        resize(self.durable, len(self.cache))
        for page in {page for epoch in self.epochs for page in epoch.pages}:
            part = self.cache[page * PAGE:(page + 1) * PAGE]
            self.durable[page * PAGE:page * PAGE + len(part)] = part
            self.doubtful.pop(page, None)
        self.epochs = [Epoch(len(self.cache))]

    def sync_failed(self):
        """The kernel takes the pages for clean: no later sync will write them."""
        for epoch in self.epochs:
            for page, writes in epoch.pages.items():
                self.doubtful.setdefault(page, []).extend(writes)
        self.epochs = [Epoch(len(self.durable))]
        self.epochs[0].sizes.append(len(self.cache))

    def after_cut(self, mode, rng):
        if mode == "all":
            return bytes(self.cache)
        content = bytearray(self.durable)
        if mode == "random":
            chance = rng.choice([0.1, 0.5, 0.9])
            scatter(content, self.doubtful, chance, rng)
            reached = rng.randrange(len(self.epochs))
            for epoch in self.epochs[:reached + 1]:
                resize(content, epoch.sizes[0])
                scatter(content, epoch.pages, chance, rng)
            resize(content, rng.choice(self.epochs[reached].sizes))
        return bytes(content)


def resize(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


def scatter(content, pages, chance, rng):
    """Gives each sector of the pages one of the states that it has had."""
    if pages:
        resize(content, max(len(content), (max(pages) + 1) * PAGE))
    for page, writes in pages.items():
        for sector in range(0, PAGE, SECTOR):
            seen = rng.randint(0, len(writes)) if rng.random() < chance else 0
            apply_to_sector(content, page * PAGE, sector, writes[:seen])


def apply_to_sector(content, base, start, writes):
    for at, data in writes:
        low, high = max(at, start), min(at + len(data), start + SECTOR)
        if low < high:
            content[base + low:base + high] = data[low - at:high - at]


class Directory:
    def __init__(self):
        self.entries = {}
        self.durable = {}
        self.pending = []  # (name, object or None); a rename is one element of two

    def change(self, *changes):
        for name, what in changes:
            set_entry(self.entries, name, what)
        self.pending.append(changes)

    def sync(self):
        self.durable = dict(self.entries)
        self.pending = []

    def sync_failed(self):
        pass

    def after_cut(self, mode, rng):
        if mode == "all":
            return self.entries
        entries = dict(self.durable)
        kept = 0 if mode == "synced" else rng.randint(0, len(self.pending))
        for changes in self.pending[:kept]:
            for name, what in changes:
                set_entry(entries, name, what)
        return entries


def set_entry(entries, name, what):
    if what is None:
        entries.pop(name, None)
    else:
        entries[name] = what


class Disk:
    """The watched directory. `base`: what was in it, durably, before the log begins."""

    def __init__(self, root, base=None):
        self.root = os.path.realpath(root)
        self.top = load(base) if base else Directory()
        self.inodes = {}
        self.acks = b""

    def parts(self, path):
        inside = os.path.relpath(path, self.root)
        return [] if inside == "." else inside.split("/")

    def find(self, parts):
        what = self.top
        for name in parts:
            what = what.entries[name]
        return what

    def parent(self, path):
        parts = self.parts(path)
        return self.find(parts[:-1]), parts[-1]

    def apply(self, record):
        op, inode, number, payload = record
        if op == OPEN:
            self.open(inode, number, os.fsdecode(payload))
        elif op == WRITE:
            self.inodes[inode].write(number, payload)
        elif op == TRUNCATE:
            self.inodes[inode].truncate(number)
        elif op == SYNC:
            self.inodes[inode].sync()
        elif op == SYNC_FAILED:
            self.inodes[inode].sync_failed()
        elif op == ACK:
            self.acks += payload
        elif op != INJECTED:
            self.name(op, os.fsdecode(payload))

    def open(self, inode, created, path):
        if created:
            directory, name = self.parent(path)
            directory.change((name, File()))
        self.inodes[inode] = self.find(self.parts(path))

    def name(self, op, payload):
        if op == RENAME:
            (old, old_name), (new, new_name) = map(self.parent, payload.split("\0"))
            if old is not new:
                raise NotImplementedError("renaming from one directory to another")
            old.change((old_name, None), (new_name, old.entries[old_name]))
            return
        directory, name = self.parent(payload)
        directory.change((name, Directory() if op == MKDIR else None))

    def after_cut(self, out, mode="synced", rng=random):
        """Writes the state into out, which must not be there or be empty."""
        save(self.top, out, mode, rng)


def load(path):
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            return File(file.read())
    directory = Directory()
    directory.entries = {name: load(os.path.join(path, name)) for name in os.listdir(path)}
    directory.sync()
    return directory


def save(what, path, mode, rng):
    if isinstance(what, Directory):
        os.makedirs(path, exist_ok=True)
        for name, entry in what.after_cut(mode, rng).items():
            save(entry, os.path.join(path, name), mode, rng)
        return
    content = what.after_cut(mode, rng)
    if path.endswith("-shm") and mode != "all":
        content = rng.randbytes(rng.choice([0, 32768]))
    with open(path, "wb") as file:
        file.write(content)


def main():
    log, root, out = sys.argv[1:4]
    mode = sys.argv[4] if len(sys.argv) > 4 else "synced"
    disk = Disk(root)
    for record in records(log):
        disk.apply(record)
    disk.after_cut(out, mode, random.Random(int(sys.argv[5]) if len(sys.argv) > 5 else 0))


if __name__ == "__main__":
    main()
