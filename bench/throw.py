"""What exceptions and threadcreate add: nanoseconds to a throw and its catch, and to a thread's creation."""
import os
import statistics
import subprocess

from bench import TARGET, interval, row

ROUNDS = 6


def run(program):
    """{(what, way): [nanoseconds, ...]}"""
    # One processor: a thread that is woken on another one costs what it likes.
    done = subprocess.run([TARGET / program, str(ROUNDS)], capture_output=True, text=True, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {1 % os.cpu_count()}))
    result = {}
    for line in done.stdout.splitlines():
        what, way, nanoseconds = line.split()
        result.setdefault((what, way), []).append(float(nanoseconds))
    return result


def added(values):
    middle, low, high = interval(values)
    return f'{middle:+.0f} ns [{low:+.0f}, {high:+.0f}] (n={len(values)})'


def main():
    more = {}
    plains = {}
    for _ in range(8):
        before, watched, after = run('throw_plain'), run('throw'), run('throw_plain')
        plain = {what: statistics.median(values + after[what, way]) for (what, way), values in before.items()}
        for what, nanoseconds in plain.items():
            plains.setdefault(what, []).append(nanoseconds)
        for (what, way), values in watched.items():
            offs = watched.get((what, 'off'))
            if way in ('on', 'storm'):
                # Each stands between two "off".
                more.setdefault((what, way), []).extend(
                    value - (offs[i] + offs[i + 1]) / 2 for i, value in enumerate(values))
            else:
                more.setdefault((what, way), []).append(statistics.median(values) - plain[what])
    for depth in (2, 20):
        what = f'throw_{depth}'
        beside = f'plain {statistics.median(plains[what]):.0f} ns'
        for way, name, bar in (('off', 'agent there, exceptions off', '0'),
                               ('on', 'exceptions on, every stack taken', '<= 1000 ns'),
                               ('storm', 'exceptions on, more throws than stacks are taken of', '<= 1000 ns')):
            row(f'{name}: a throw and its catch, {depth} frames apart', bar, added(more[what, way]), beside)
    row('agent there: a pthread_create and its join, CPU time of both threads', '', added(more['create', 'watched']),
        f'plain {statistics.median(plains["create"]):.0f} ns')


if __name__ == '__main__':
    main()
