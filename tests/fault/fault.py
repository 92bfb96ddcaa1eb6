#!/usr/bin/env python3
"""Makes calls of proffs fail, one after the other, and looks at what becomes of it.

usage: fault.py start|live KIND [--seconds S] [--from N] [--to N] [--only once|forever] [--in MODULE]
                [--look NAME]

KIND is one of fault.h: memory, map, open, thread, timer, system, read.

start   the Nth call from the start of `proffs run` on fails (once; and then: it and all after it),
        for every N until there is no Nth. The program (host.cc) must do what it does without us, to
        the same end. Either there is a tree, whose files are right or say by an errno and in `status`
        why they are not; or there is none, and one line says so. Nothing hangs, and neither a mount,
        a link nor a process is left.
live    the same in a tree that is there: the Nth call of each thing that a reader can do fails. What
        is read is whole or refused by a clear errno. When nothing fails any more, all is right again.

With --seconds the N are spread over what fits; without, all of them are tried, or those from --from
to --to. With --in only calls that are made in this library count (libfuse3.so, proffs-reaper); with
--look a reader does only this (live; the names are in ACTIONS).
"""
import argparse
import errno
import functools
import gzip
import itertools
import mmap
import multiprocessing
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

KINDS = ["memory", "map", "open", "thread", "timer", "system", "read"]
HANG_SECONDS = 60
SLOW_SECONDS = 5  # said, no failure
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PROFFS_BUILD", os.path.join(SOURCE, "build"))
PROFFS = os.path.join(BUILD, "proffs")
HOST = os.path.join(BUILD, "tests/fault/host")
LIBFAULT = os.path.join(BUILD, "tests/fault/libfault.so")


class Failure(Exception):
    pass


class Page:
    """fault.h, seen from here."""

    def __init__(self, path, only):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(4096))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)
        self.map[216 : 216 + len(only)] = only.encode()
        self.disarm()

    def put(self, offset, form, value):
        struct.pack_into(form, self.map, offset, value)

    def get(self, offset, form):
        return struct.unpack_from(form, self.map, offset)[0]

    def arm(self, kind, at, forever):
        self.disarm()
        self.put(4, "<I", int(forever))
        self.put(8, "<Q", at)
        self.put(16, "<Q", 0)
        self.put(24, "<Q", 0)
        self.map[32:160] = bytes(128)
        self.put(0, "<i", KINDS.index(kind))

    def disarm(self):
        self.put(0, "<i", -1)

    def count(self):
        return self.get(16, "<Q")

    def fired(self):
        return self.get(24, "<Q")

    def total(self, kind):
        return self.get(160 + 8 * KINDS.index(kind), "<Q")

    def where(self):
        def text(at, size):
            return self.map[at : at + size].split(b"\0")[0].decode()

        return place_of(text(40, 40), text(80, 80), self.get(32, "<Q"))


@functools.lru_cache(maxsize=None)
def place_of(name, module, offset):
    """Of a call: what it calls, and where it is in the source."""
    found = [os.path.join(BUILD, d, module) for d in ("", "fs", "render")]
    if module == "the program":
        found = [PROFFS, os.path.join(BUILD, "fs/proffs-reaper"), os.path.join(BUILD, "render/proffs-lines")]
    lines = ""
    for path in found:
        if os.path.isfile(path):
            out = subprocess.run(["addr2line", "-ife", path, hex(offset)], capture_output=True, text=True)
            words = out.stdout.split("\n")
            lines += " < ".join(
                f"{words[i]} {os.path.relpath(words[i + 1].split(' ')[0], SOURCE)}"
                for i in range(0, min(len(words) - 1, 8), 2)
            )
            break
    return f"{name} in {module}+{offset:#x} {lines}"


# ---- what a reader does ----

def read_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while True:
            part = os.read(fd, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(fd)


def write_file(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)
    return b"written"


def walk(path):
    names = []
    for place, directories, files in os.walk(path, onerror=lambda e: (_ for _ in ()).throw(e)):
        directories[:] = [d for d in directories if d not in ("thread", "captures")]
        names += [os.path.relpath(os.path.join(place, n), path) for n in directories + files]
    return "\n".join(sorted(names)).encode()


def threads_of(path):
    """name and stack of each thread that does not go away meanwhile"""
    out = []
    for tid in os.listdir(os.path.join(path, "thread")):
        try:
            out.append(read_file(os.path.join(path, "thread", tid, "name")))
            out.append(read_file(os.path.join(path, "thread", tid, "stack")))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended meanwhile
    return b"".join(out)


def capture(path):
    write_file(os.path.join(path, "cpu/seconds"), b"0.05\n")
    return read_file(os.path.join(path, "cpu.folded"))


def snapshot(path):
    snapshot.number = getattr(snapshot, "number", 0) + 1
    name = f"s{snapshot.number}"
    write_file(os.path.join(path, "snapshot"), name.encode())
    place = os.path.join(path, "captures", name)
    out = read_file(os.path.join(place, "heap.txt"))
    shutil.rmtree(place)
    return out


# What must be in the whole answer; re.S.
WHOLE = {
    "README": rb"^proffs: .*enable .*unshare\(CLONE_NEWUSER\) or setns\(\) fails in this process: .*\.\n$",
    "status": rb"^# proffs .*\n# collectors\n.*\n# what works here\n.*\nsource_lines .*\n# counters .*threads_seen .*\n$",
    "stats": rb"^pid .*\nthreads \d+\n.*rss_bytes \d+\n.*private_dirty_bytes.*fds \d.*io_read_bytes.*agent_memory_bytes \d+\n$",
    "metrics": rb"^# .*proffs_.*\n$",
    "heap": rb"^# .*total.*\n$",
    "heap.svg": rb"^.*<svg.*</svg>\s*$",
    "heap.html": rb"^(?i:<!doctype html).*</html>\s*$",
    "allocs.folded": rb"^(.* \d+\n)$",
    "threads": rb"^# .*host.*\n$",
    "block.txt": rb"^# .*\n$",
    "mutex": rb"^# .*\n$",
    "exceptions": rb"^# .*runtime_error.*\n$",
    "threadcreate": rb"^# .*\n$",
    "cpu.txt": rb"^# .*\n$",
    "index.html": rb"^(?i:<!doctype html).*</html>\s*$",
    "history": rb"^.*\n$",
    "buildinfo": rb"^.*\n$",
    "debug/pprof/heap?debug=1": rb"^heap profile: .*MAPPED_LIBRARIES:.*\n$",
}


# Counters that explain why an answer is less than it should be.
LOSSES = {"heap": "heap_lost|stack_store_full", "exceptions": "exception_types_full", "cpu": "cpu_lost"}

# What has the names of functions in it, where they could be looked up; `status` counts those that
# could not.
NAMED = ["heap", "heap.svg", "heap.html", "allocs.folded", "heap.pprof", "cpu.pprof"]
UNNAMED = "an answer without names, and no symbol_unknown in status"


ACTIONS = {name: (lambda tree, name=name: read_file(os.path.join(tree, name))) for name in WHOLE}
ACTIONS["heap.pprof"] = lambda tree: gzip.decompress(read_file(os.path.join(tree, "heap.pprof")))
ACTIONS["cpu.pprof"] = lambda tree: gzip.decompress(read_file(os.path.join(tree, "cpu.pprof")))
ACTIONS["heap,focus=allocate"] = lambda tree: read_file(os.path.join(tree, "heap,focus=allocate"))
ACTIONS["a walk"] = walk
ACTIONS["thread/"] = threads_of
ACTIONS["a capture"] = capture
ACTIONS["a snapshot"] = snapshot
ACTIONS["enable"] = lambda tree: write_file(os.path.join(tree, "enable"), b"-heap -mutex -cpu -exceptions\n") and write_file(
    os.path.join(tree, "enable"), b"1\n"
)
ACTIONS["cpu/hz"] = lambda tree: write_file(os.path.join(tree, "cpu/hz"), b"500\n") and write_file(
    os.path.join(tree, "cpu/hz"), b"97\n"
)
ACTIONS["gc"] = lambda tree: write_file(os.path.join(tree, "gc"), b"1\n")
ACTIONS["symbol"] = lambda tree: write_file(os.path.join(tree, "debug/pprof/symbol"), b"0x1234+0x5678")
ACTIONS["heap,lines=1"] = lambda tree: read_file(os.path.join(tree, "heap,lines=1"))

# What a shell's user understands of each kind.
CLEAR = {
    "memory": {errno.ENOMEM},
    "map": {errno.ENOMEM, errno.EAGAIN},
    "open": {errno.EMFILE, errno.EOPNOTSUPP},
    "thread": {errno.EAGAIN},
    "timer": {errno.EAGAIN, errno.EINVAL, errno.EOPNOTSUPP},
    "system": {errno.EPERM, errno.EOPNOTSUPP, errno.EAGAIN, errno.ENOMEM},
    "read": {errno.EIO, errno.EOPNOTSUPP},
}


def look(name, tree):
    """What came of it: ("ok", bytes) or (errno, "")."""
    try:
        return ("ok", ACTIONS[name](tree))
    except OSError as e:
        if isinstance(e, gzip.BadGzipFile):
            return ("bad", b"not a whole gzip file")
        return (e.errno, b"")
    except (Failure, EOFError, Exception) as e:
        return ("bad", repr(e).encode())


def reader_main(pipe):
    while True:
        name, tree = pipe.recv()
        pipe.send(look(name, tree))


class Reader:
    """Reads in a process of its own, so that it can be told that something hangs."""

    def __init__(self):
        self.start()  # before there is any program: else it would hold its standard input open

    def start(self):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=reader_main, args=(theirs,), daemon=True)
        self.process.start()

    def look(self, name, tree):
        self.pipe.send((name, tree))
        if not self.pipe.poll(HANG_SECONDS):
            os.kill(self.process.pid, signal.SIGKILL)
            self.start()
            raise Failure(f"{name}: no answer within {HANG_SECONDS} s")
        return self.pipe.recv()


def right(name, result):
    """None, or what is wrong with an answer of success."""
    said, data = result
    if said != "ok":
        return f"{name}: {errno.errorcode.get(said, said)} {data[:200]}"
    if not data:
        return f"{name}: silently empty"
    if name in WHOLE and not re.match(WHOLE[name], data, re.S):
        shown = data if len(data) < 1500 else data[:700] + b"\n[...]\n" + data[-700:]
        return f"{name}: not whole:\n{shown.decode(errors='replace')}"
    return None


def has_names(name, data):
    return name not in NAMED or b"allocate" in data or b"contend" in data


# ---- the program ----

class Program:
    def __init__(self, directory, page):
        self.directory, self.page = directory, page
        self.tree = os.path.join(directory, "tree")
        self.out, self.err = os.path.join(directory, "out"), os.path.join(directory, "err")

    def start(self):
        environment = dict(os.environ, LD_PRELOAD=LIBFAULT, FAULT_PAGE=self.page.path, PROFFS_ENABLE="1",
                           PROFFS_HEAP_SAMPLE_BYTES="4096")
        self.process = subprocess.Popen(
            [PROFFS, "run", "-m", self.tree, "--", HOST], stdin=subprocess.PIPE, cwd=self.directory,
            stdout=open(self.out, "w"), stderr=open(self.err, "w"), env=environment, start_new_session=True)
        return self

    def said(self):
        with open(self.err, errors="replace") as f:
            return f.read()

    def has_tree(self):
        return any(line.split()[4] == self.tree for line in open("/proc/self/mountinfo"))

    def answers(self):
        """By an errno, too: each file is looked at later."""
        try:
            os.stat(os.path.join(self.tree, "README"))
        except OSError as e:
            # Refused to all: about to be taken away, or nobody has seen that it is a corpse.
            return e.errno not in (errno.ENOENT, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNABORTED)
        return True

    def wait_for_tree(self):
        """True; False: it was said that there is none."""
        end = time.monotonic() + HANG_SECONDS
        while time.monotonic() < end:
            if self.has_tree() and self.answers():
                return True
            if re.search("no tree|unwatched|^proffs: .*: ", self.said(), re.M):
                return False
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        raise Failure("neither a tree nor a word about it")

    def children(self):
        """What has our directory in its arguments: the reaper."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read()
            except OSError:
                continue
            if self.tree.encode() in words and b"fault.py" not in words and b"bats" not in words:
                found.append(int(pid))
        return found

    def stacks(self):
        return subprocess.run(["timeout", "20", "eu-stack", "-p", str(self.process.pid)], capture_output=True,
                              text=True).stdout[:8000]

    def finish(self):
        """Tells it to end, and looks whether it did as it always does."""
        self.process.stdin.close()
        try:
            code = self.process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            stacks = self.stacks()
            raise Failure(f"the program does not end:\n{stacks}")
        with open(self.out) as f:
            out = f.read()
        if (out, code) != ("all well\n", 7):
            raise Failure(f"the program ended with {code}, and said:\n{out}{self.said()}")
        if re.search("^host:", self.said(), re.M):
            raise Failure(f"the program complained:\n{self.said()}")
        end = time.monotonic() + HANG_SECONDS
        while self.has_tree() or self.children():
            if time.monotonic() > end:
                raise Failure(f"left behind: mount {self.has_tree()}, processes {self.children()}")
            time.sleep(0.01)

    def kill(self):
        for pid in [self.process.pid] + self.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        time.sleep(0.1)
        while self.has_tree():
            if subprocess.run(["umount", "-l", self.tree], stderr=subprocess.DEVNULL).returncode:
                subprocess.run(["fusermount3", "-u", "-z", self.tree])


# ---- what is tried ----

class Trial:
    def __init__(self, kind, seconds, first, last, only, module, looks):
        self.kind, self.seconds, self.first, self.last = kind, seconds, first, last
        self.looks = looks
        self.modes = [m for m in (False, True) if only is None or only == ("forever" if m else "once")]
        self.directory = tempfile.mkdtemp(prefix="proffs-fault.")
        os.chmod(self.directory, 0o711)
        self.page = Page(os.path.join(self.directory, "page"), module)
        self.reader = Reader()
        self.failures, self.tried, self.places = [], 0, set()
        self.errnos = {}

    def note(self, what, trouble):
        text = f"{what}: {trouble}\n  at {self.page.where()}"
        self.failures.append(text)
        print("not well: " + text.replace("\n", "\n  "), flush=True)

    def took(self, what, began):
        passed = time.monotonic() - began
        if passed > SLOW_SECONDS:
            print(f"slow: {what}: {passed:.0f} s\n    at {self.page.where()}", flush=True)

    def numbers(self, count):
        """All of 1..count; or without an end some of them, far from each other."""
        if self.seconds is None:
            return range(self.first, min(count, self.last) + 1)
        return (1 + int((self.first + i) * 0.618034 % 1 * count) for i in itertools.count())

    def enough(self, began):
        """A number may lie beyond the last call of a run that made fewer than the one that was counted."""
        passed = time.monotonic() - began
        return self.seconds is not None and passed > self.seconds and (len(self.places) > 0 or passed > 2 * HANG_SECONDS)

    def conclude(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        print(f"{self.kind}: {self.tried} faults at {len(self.places)} places; refused with "
              f"{ {errno.errorcode.get(k, k): v for k, v in self.errnos.items()} }; {len(self.failures)} not well")
        return 1 if self.failures else 0

    # -- from the start --

    FIRST_LOOKS = ["README", "status", "heap", "threads", "exceptions", "cpu.txt", "a walk", "enable", "heap.pprof"]

    def one_start(self, at, forever):
        what = f"start, {self.kind} {at}{' and all after it' if forever else ''}"
        shutil.rmtree(os.path.join(self.directory, "tree"), ignore_errors=True)
        self.page.arm(self.kind, at, forever)
        began = time.monotonic()
        program = Program(self.directory, self.page).start()
        reached = True
        try:
            if program.wait_for_tree():
                results = {name: self.first_look(name, program, forever) for name in self.FIRST_LOOKS}
                self.page.put(0, "<i", -1)  # the rest of the page stays
                # What was refused at the start stands in the first one: then "enable" tries it again.
                status = b"\n".join((results["status"][1], self.reader.look("status", program.tree)[1]))
                status = status.decode(errors="replace")
                self.page.put(0, "<i", KINDS.index(self.kind))  # the end is still to come
                for name, result in results.items():
                    self.judge_first(what, name, result, status, program)
            program.finish()
            reached = self.page.fired() > 0
            if reached:
                self.places.add(self.page.where())
        except Failure as e:
            self.note(what, str(e) + "\n" + program.said())
            program.kill()
        self.page.disarm()
        self.tried += 1
        self.took(what, began)
        return reached

    def first_look(self, name, program, forever):
        said, data = result = self.reader.look(name, program.tree)
        if not forever and said in CLEAR[self.kind]:  # that was its one time
            self.errnos[said] = self.errnos.get(said, 0) + 1
            result = self.reader.look(name, program.tree)
        return result

    def judge_first(self, what, name, result, status, program):
        """What is not there, `status` must have a word about."""
        said, trouble = result[0], right(name, result)
        if said != "ok":
            self.errnos[said] = self.errnos.get(said, 0) + 1
        if said in CLEAR[self.kind]:
            return
        stem = re.split("[.,]", name)[0]
        word = rf"^{stem} +(degraded|unavailable): ." + (f"|^{LOSSES[stem]}" if stem in LOSSES else "")
        if trouble and not re.search(word, status, re.M):
            self.note(what, f"{trouble}\n{status}\n{program.said()}")

    def start(self):
        self.page.arm(self.kind, 1 << 40, False)
        program = Program(self.directory, self.page).start()
        if not program.wait_for_tree():
            raise Failure("no tree at all: " + program.said())
        for name in self.FIRST_LOOKS:
            result = self.reader.look(name, program.tree)
            if right(name, result):
                raise Failure("without any fault: " + right(name, result))
        program.finish()
        count = self.page.count()
        if count == 0:
            raise Failure(f"no call of {self.kind} was seen")
        print(f"{self.kind}: {count} calls from the start to the end", flush=True)
        began = time.monotonic()
        for at in self.numbers(count):
            for forever in self.modes:
                self.one_start(at, forever)
            if self.enough(began):
                return
        while count < self.last and any([self.one_start(count + 1, forever) for forever in self.modes]):
            count += 1

    # -- while it lives --

    def live_look(self, program, name, at, forever):
        """False when there was no such call."""
        what = f"{name}, {self.kind} {at}{' and all after it' if forever else ''}"
        self.page.arm(self.kind, at, forever)
        began = time.monotonic()
        said, data = result = self.reader.look(name, program.tree)
        fired = self.page.fired()
        self.page.disarm()
        if not fired:
            return False
        self.tried += 1
        self.places.add(self.page.where())
        if said == "ok":
            trouble = right(name, result)
            if not trouble and not has_names(name, data):
                if b"symbol_unknown" not in self.reader.look("status", program.tree)[1]:
                    trouble = UNNAMED
            if trouble:
                self.note(what, trouble)
        else:
            self.errnos[said] = self.errnos.get(said, 0) + 1
            if said not in CLEAR[self.kind]:
                self.note(what, right(name, result))
        trouble = self.recovers(program, name)
        if trouble:
            self.note(what, "not right again afterwards: " + trouble)
        self.settle(program, name)
        self.took(what, began)
        return True

    def settle(self, program, name):
        """What was switched off and on begins anew, and has nothing until the program does something."""
        if name == "enable":
            for each in NAMED:
                self.recovers(program, each)

    def recovers(self, program, name):
        """None once the same look is right again, which is soon."""
        end = time.monotonic() + HANG_SECONDS
        while True:
            result = self.reader.look(name, program.tree)
            trouble = right(name, result) or (None if has_names(name, result[1]) else f"{name}: without names")
            if not trouble or time.monotonic() > end:
                return trouble
            time.sleep(0.05)

    def live_all(self, program, name, count):
        for forever in self.modes:
            for at in self.numbers(count):
                self.live_look(program, name, at, forever)
            at = count + 1
            while at < min(count + 50, self.last + 1) and self.live_look(program, name, at, forever):
                at += 1

    def live_some(self, program, counts):
        began, turn = time.monotonic(), self.first
        while True:
            for name, count in counts.items():
                if count:
                    turn += 1
                    self.live_look(program, name, 1 + int(turn * 0.618034 % 1 * count), self.modes[turn % len(self.modes)])
            if self.enough(began):
                return

    def live(self):
        program = Program(self.directory, self.page).start()
        try:
            if not program.wait_for_tree():
                raise Failure("no tree at all: " + program.said())
            time.sleep(0.5)
            counts = {}
            troubles = [t for t in (self.recovers(program, name) for name in self.looks) if t]
            if troubles:
                raise Failure("without any fault: " + "\n".join(troubles))
            for name in self.looks:
                self.page.arm(self.kind, 1 << 40, False)
                self.reader.look(name, program.tree)
                counts[name] = self.page.count()
                self.settle(program, name)
            print(f"{self.kind}: {sum(counts.values())} calls in {counts}", flush=True)
            if self.seconds is None:
                for name, count in counts.items():
                    self.live_all(program, name, count)
            else:
                self.live_some(program, counts)
            program.finish()
        except Failure as e:
            self.note("live", str(e) + "\n" + program.said())
            program.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("when", choices=["start", "live"])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--to", type=int, default=1 << 40, dest="last")
    parser.add_argument("--only", choices=["once", "forever"])
    parser.add_argument("--in", default="", dest="module")
    parser.add_argument("--look", choices=list(ACTIONS))
    arguments = parser.parse_args()
    looks = [arguments.look] if arguments.look else list(ACTIONS)
    trial = Trial(arguments.kind, arguments.seconds, arguments.first, arguments.last, arguments.only, arguments.module, looks)
    try:
        getattr(trial, arguments.when)()
    except Failure as e:
        trial.note(arguments.when, str(e))
    return trial.conclude()


if __name__ == "__main__":
    sys.exit(main())
