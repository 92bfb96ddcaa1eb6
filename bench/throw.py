"""What exceptions and threadcreate add: nanoseconds to a throw and its catch, and to a thread's creation."""
import os
import statistics
import subprocess

from bench import TARGET, added_to, bar_of, row

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
    for depth, plain_there in ((2, 1245), (20, 4435)):
        what = f'throw_{depth}'
        plain = statistics.median(plains[what])
        bar_here = bar_of(1000, plain_there)
        for way, name, bar in (('off', 'agent there, exceptions off', '0'),
                               ('on', 'exceptions on, every stack taken', bar_here),
                               ('storm', 'exceptions on, more throws than stacks are taken of', bar_here)):
            row(f'{name}: a throw and its catch, {depth} frames apart', bar, added_to(plain, more[what, way], 0),
                f'plain {plain:.0f} ns')
    plain = statistics.median(plains['create'])
    row('agent there: a pthread_create and its join, CPU time of both threads', '',
        added_to(plain, more['create', 'watched'], 0), f'plain {plain:.0f} ns')


if __name__ == '__main__':
    main()
