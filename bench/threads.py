"""Thread dumps, wall-clock sampling and memory with 1,000 sleeping threads."""
import pathlib
import statistics
import subprocess
import time

from bench import TARGET, Watched, interval, row, self_cpu_seconds

THREADS = 1000


def timed(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def resident_kib(pid):
    """What the process holds in memory that is its own: no file's pages."""
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Anonymous:'):
            return int(line.split()[1])
    raise SystemExit('bench: no smaps_rollup')


def sleepers(count, watched):
    """Anonymous memory of `count` sleepers , watched after dumps and wall sampling."""
    if not watched:
        with subprocess.Popen([TARGET / 'sleepers', str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as plain:
            plain.stdout.readline()
            held = resident_kib(plain.pid)
            plain.communicate(b'x')
        return held
    with Watched(TARGET / 'sleepers', str(count), stdin=subprocess.PIPE) as program:
        program.process.stdout.readline()
        for _ in range(3):
            program.read('threads')
        program.read('debug/pprof/wall?seconds=1')
        return resident_kib(program.process.pid)


def dumps():
    with Watched(TARGET / 'sleepers', str(THREADS), stdin=subprocess.PIPE) as program:
        assert program.process.stdout.readline().strip() == 'ready'
        pid = program.process.pid
        files = ('threads', 'threads.folded')
        first = timed(lambda: program.read('threads'))
        took = {name: [] for name in files}
        eu = []
        for _ in range(3):
            for _ in range(5):
                for name in files:
                    took[name].append(timed(lambda: program.read(name)))
            eu.append(timed(lambda: subprocess.run(['eu-stack', '-p', str(pid)], capture_output=True)))
        gdb = timed(lambda: subprocess.run(
            ['gdb', '-q', '-batch', '-p', str(pid), '-ex', 'thread apply all bt'], capture_output=True))
        ours = statistics.median(took['threads'])
        each = {name: interval(times) for name, times in took.items()}
        cells = '; '.join(f'{name} {" ".join(f"{t / THREADS * 1e6:.1f}" for t in each[name][:1])} '
                          f'[{each[name][1] / THREADS * 1e6:.1f}, {each[name][2] / THREADS * 1e6:.1f}]' for name in files)
        row(f'dump of {THREADS} blocked threads, the whole `cat`: us a thread', '<= 20',
            f'{cells}; the very first {first / THREADS * 1e6:.1f}',
            f'eu-stack {statistics.median(eu) / ours:.0f}x, gdb {gdb / ours:.0f}x as long')


def wakes():
    # gdb and eu-stack stop the program, which is a switch too: so the sleepers are judged in a run of their own.
    with Watched(TARGET / 'sleepers', str(THREADS), stdin=subprocess.PIPE) as program:
        assert program.process.stdout.readline().strip() == 'ready'
        pid = program.process.pid
        for _ in range(20):
            program.read('threads')
        idle, wall = [], []
        for _ in range(3):
            before = self_cpu_seconds(pid)
            time.sleep(10)
            between = self_cpu_seconds(pid)
            program.read('debug/pprof/wall?seconds=10')
            idle.append((between - before) * 10)
            wall.append((self_cpu_seconds(pid) - between) * 10)
        said = program.process.communicate('x')[0].strip()
    middle, low, high = interval(wall)
    row(f'wall at 20 Hz on {THREADS} idle threads', '<= 1 % of a core', f'{middle:.2f} % [{low:.2f}, {high:.2f}]',
        f'the same 10 s without: {statistics.median(idle):.2f} %')
    row(f'the {THREADS} sleepers after 20 dumps and 30 s of wall sampling', 'EINTR 0 switches 0', said)


def memory():
    each = []
    alone = []
    for _ in range(3):
        one, many = (sleepers(n, True) - sleepers(n, False) for n in (1, THREADS))
        each.append((many - one) * 1024 / (THREADS - 1))
        alone.append(one)
    middle, low, high = interval(each)
    row('memory (resident, anonymous) an idle thread adds, after dumps and wall sampling', '<= 1024 bytes',
        f'{middle:.0f} bytes [{low:.0f}, {high:.0f}]', f'{statistics.median(alone)} KiB with one thread')


def main():
    dumps()
    wakes()
    memory()


if __name__ == '__main__':
    main()
