"""Shared by the benches: find the build, run programs interleaved, and say a ratio honestly.

Machines are noisy and shared, so nothing here compares two absolute times: every figure is a ratio
of runs that stood next to each other, as a median with a 95 % bootstrap interval. Whole programs run at the same
time on the same processor: the scheduler has them take turns of some milliseconds, so what happens to the machine
happens to both. Two equal compilers so differ by 0.35 %, one after the other by 7 %, on a processor each by 18 %
(standard deviations of 16 pairs, on one noisy machine).
"""
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get('PROFFS_BUILD', ROOT / 'build'))
PROFFS = BUILD / 'proffs'
TARGET = BUILD / 'bench'
# On a machine whose noise hides what is measured: so many times as long, where that helps (programs, cc1).
TIMES = int(os.environ.get('PROFFS_BENCH_TIMES', 1))


def interval(values, rounds=2000, seed=1):
    """The median and its 95 % bootstrap interval."""
    dice = random.Random(seed)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(rounds))
    return statistics.median(values), medians[int(rounds * 0.025)], medians[int(rounds * 0.975)]


def percent(values):
    """Ratios to 1 as '+0.12 % [+0.05, +0.19] (n)'."""
    middle, low, high = interval(values)
    return f'{(middle - 1) * 100:+.2f} % [{(low - 1) * 100:+.2f}, {(high - 1) * 100:+.2f}] (n={len(values)})'


def bar_of(added, plain):
    """A bar in nanoseconds, with what the plain call took on the machine it was set on: on another the share counts."""
    return f'<= +{added} ns of {plain} ({100 * added / plain:.0f} %)'


def added_to(plain, values, digits=2):
    """Nanoseconds that are added to a call: the median, its interval, and the share of the plain call's."""
    middle, low, high = interval(values)
    return (f'{middle:+.{digits}f} ns [{low:+.{digits}f}, {high:+.{digits}f}] (n={len(values)}), '
            f'{100 * middle / plain:+.1f} %')


def row(what, bar, measured, peers=''):
    """One line of doc/overhead.md."""
    day = time.strftime('%Y-%m-%d', time.gmtime())
    print(f'| {what} | {bar} | {measured} | {peers} | {day} |', flush=True)


def together(*commands, processors=None):
    """CPU seconds, user and system and of children, of commands that run at once, all on the last processor or on
    these. A command is a list of words, or one and what is added to the environment."""
    where = processors or {max(os.sched_getaffinity(0))}
    processes = []
    for command in commands:
        words, env = command if isinstance(command, tuple) else (command, {})
        processes.append(subprocess.Popen(
            words, env={**os.environ, **{name: str(value) for name, value in env.items()}}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, where)))
    seconds = []
    for process in processes:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f'bench: {process.args}: ended with {process.returncode}')
        seconds.append(used.ru_utime + used.ru_stime)
    return seconds


def ratios_together(plain, changed, count, processors=None):
    """Of the CPU time of `changed` to that of `plain`; each begins first every other time."""
    ratios = []
    for i in range(count):
        if i % 2:
            second, first = together(changed, plain, processors=processors)
        else:
            first, second = together(plain, changed, processors=processors)
        ratios.append(second / first)
    return ratios


HEAD = '| what | bar | measured | beside it, in the same run | date |'
MARK = '<!-- made by bench/run.sh -->'


def machine():
    processor = next((line.split(':', 1)[1].strip() for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines()
                      if line.startswith('model name')), os.uname().machine)
    return f'{processor}, {os.cpu_count()} processors, Linux {os.uname().release}'


def merge(document, fresh):
    """Puts the fresh rows into the document's table: in place of those that measured the same, or at its end."""
    prose, _, old = document.read_text().partition(MARK)
    rows = {}
    for line in old.splitlines() + fresh:
        if line.startswith('| ') and line != HEAD:
            rows[line.split(' | ')[0]] = line
    table = '\n'.join([HEAD, '|---|---|---|---|---|', *rows.values()])
    document.write_text(f'{prose}{MARK}\n\n{machine()}\n\n{table}\n')


class Watched:
    """A program under `proffs run` with its tree in a directory of its own."""

    def __init__(self, *command, sets=(), stdin=None, wait=True):
        self.folder = tempfile.mkdtemp(prefix='proffs-bench-')
        self.tree = pathlib.Path(self.folder) / 'tree'
        options = [word for each in sets for word in ('--set', each)]
        self.process = subprocess.Popen(
            [PROFFS, 'run', '-m', self.tree, *options, '--', *command],
            stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while wait and not (self.tree / 'status').exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.close()
                sys.exit(f'bench: {command}: no tree: {self.process.stderr.read()}')
            time.sleep(0.02)

    def read(self, name):
        return (self.tree / name).read_bytes()

    def write(self, name, value):
        (self.tree / name).write_text(value)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        subprocess.run(['umount', '-l', self.tree], stderr=subprocess.DEVNULL)
        for path in (self.tree, self.folder):
            try:
                os.rmdir(path)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def top(profile, *options):
    """`go tool pprof -top` as {function: flat share in percent}."""
    done = subprocess.run(['go', 'tool', 'pprof', '-top', '-nodecount=1000', *options, profile],
                          capture_output=True, text=True, check=True)
    shares = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 6 and words[1].endswith('%'):
            shares[' '.join(words[5:])] = float(words[1].rstrip('%'))
    return shares


def self_cpu_seconds(pid):
    """CPU time of a process from outside, ended threads included: its own clock, for /proc/PID/stat counts in 10 ms."""
    process_clock = (~pid << 3) | 2  # clock_getcpuclockid(3)
    return time.clock_gettime(process_clock)


if __name__ == '__main__':
    merge(pathlib.Path(sys.argv[1]), sys.stdin.read().splitlines())
