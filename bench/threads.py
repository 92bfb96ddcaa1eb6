"""Thread dumps, wall-clock sampling and memory with 1,000 sleeping threads."""
import statistics
import subprocess
import time

from bench import TARGET, Watched, row, self_cpu_seconds

THREADS = 1000


def timed(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def our_memory(program):
    for line in program.read('status').decode().splitlines():
        words = line.split()
        if words and words[0] == 'memory_bytes':
            return int(words[1])
    raise SystemExit('bench: status has no memory_bytes')


def main():
    with Watched(TARGET / 'sleepers', str(THREADS), stdin=subprocess.PIPE, sets=['enable=-heap']) as program:
        assert program.process.stdout.readline().strip() == 'ready'
        # `threads` draws text and looks up names; `threads.folded` is the least drawing there is.
        program.read('threads')
        ours = [timed(lambda: program.read('threads')) for _ in range(7)]
        pid = program.process.pid
        eu = [timed(lambda: subprocess.run(['eu-stack', '-p', str(pid)], capture_output=True)) for _ in range(3)]
        gdb = timed(lambda: subprocess.run(
            ['gdb', '-q', '-batch', '-p', str(pid), '-ex', 'thread apply all bt'], capture_output=True))
        each = statistics.median(ours) / THREADS * 1e6
        row(f'dump of {THREADS} blocked threads, whole `cat threads`', '<= 20 us a thread', f'{each:.1f} us a thread',
            f'eu-stack {statistics.median(eu) / statistics.median(ours):.0f}x, gdb {gdb / statistics.median(ours):.0f}x as long')

    # gdb and eu-stack stop the program, which is a switch too: so the sleepers are judged in a run of their own.
    with Watched(TARGET / 'sleepers', str(THREADS), stdin=subprocess.PIPE, sets=['enable=-heap']) as program:
        assert program.process.stdout.readline().strip() == 'ready'
        pid = program.process.pid
        for _ in range(20):
            program.read('threads')
        idle = self_cpu_seconds(pid)
        time.sleep(5)
        idle = self_cpu_seconds(pid) - idle
        wall = self_cpu_seconds(pid)
        program.read('debug/pprof/wall?seconds=10')
        wall = self_cpu_seconds(pid) - wall
        memory = our_memory(program)
        program.process.stdin.write('x')
        program.process.stdin.flush()
        said = program.process.communicate()[0].strip()
        row(f'wall at 20 Hz on {THREADS} idle threads', '<= 1 % of a core', f'{wall / 10 * 100:.2f} %',
            f'without: {idle / 5 * 100:.2f} %')
        row(f'the {THREADS} sleepers after 20 dumps and 10 s of wall sampling', 'EINTR 0 switches 0', said)

    with Watched(TARGET / 'sleepers', '1', stdin=subprocess.PIPE, sets=['enable=-heap']) as program:
        assert program.process.stdout.readline().strip() == 'ready'
        for _ in range(3):
            program.read('threads')
        program.read('debug/pprof/wall?seconds=1')
        alone = our_memory(program)
    row('memory, idle thread', '<= 1 KiB each', f'{(memory - alone) / (THREADS - 1):.0f} bytes each',
        f'{alone >> 10} KiB without them')


if __name__ == '__main__':
    main()
