"""What mutex and block cost: locks that nobody fights for, a read that does not block, locks that are
fought for; and how much of the time waited is charged to who held the lock.

usage: locks.py [uncontended | contended | blame]...    none: all

mutrace, the peer, is not in Debian 12. With PROFFS_MUTRACE=/path/to/libmutrace.so it stands beside us in the
same run. Its mutrace.c (github.com/dbadapt/mutrace) builds by `gcc -O2 -shared -fPIC -DPACKAGE_VERSION='"0.2"'
-DSONAME='"libmutrace.so"' -o libmutrace.so mutrace.c` once what glibc has no more is taken out, the look at
__malloc_hook, and config.h is empty but for _GNU_SOURCE. (The numbers in doc/overhead.md are of one typed
anew from it, without libbfd's names, timed locks and most of its settings.)
"""
import os
import statistics
import subprocess
import sys

from bench import TARGET, Watched, added_to, bar_of, percent, row

PATTERNS = ('mutex', 'mutex_of_many', 'mutex_recursive', 'rwlock_read', 'read')
BARS = {'off': '0 +-0.2 ns', 'on': bar_of(1, 3.3), 'io': bar_of(15, 158)}


MUTRACE = os.environ.get('PROFFS_MUTRACE')
NO_MUTRACE = 'mutrace: not in Debian 12; PROFFS_MUTRACE, see bench/locks.py'


def output(program, *arguments, preload=None):
    """What it prints, a list of words for each line."""
    environment = dict(os.environ, LD_PRELOAD=preload) if preload else None
    done = subprocess.run([TARGET / program, *map(str, arguments)], capture_output=True, text=True, check=True,
                          env=environment)
    return [line.split() for line in done.stdout.splitlines()]


def pairs(program, *arguments, preload=None):
    """{pattern: {way: [nanoseconds, ...]}}"""
    result = {}
    for pattern, way, nanoseconds in output(program, *arguments, preload=preload):
        result.setdefault(pattern, {}).setdefault(way, []).append(float(nanoseconds))
    return result


def uncontended(processes=14):
    """In each process: plain, the agent starts, then off, on, off, ... Each "on" stands between two "off"."""
    added = {pattern: {'off': [], 'on': [], 'mutrace': []} for pattern in PATTERNS}
    plain_ns = {pattern: [] for pattern in PATTERNS}
    for process in range(processes):
        ways = pairs('lock_pairs', 5)
        peers = MUTRACE and process % 3 == 0 and (pairs('lock_pairs_plain', 2),
                                                  pairs('lock_pairs_plain', 1, preload=MUTRACE))
        for pattern in PATTERNS:
            plain = statistics.median(ways[pattern]['plain'])
            offs, ons = ways[pattern]['off'], ways[pattern]['on']
            plain_ns[pattern].append(plain)
            added[pattern]['off'].append(statistics.median(offs) - plain)
            added[pattern]['on'] += [on - (offs[i] + offs[i + 1]) / 2 for i, on in enumerate(ons)]
            if peers:
                beside, mutrace = (statistics.median(each[pattern]['plain']) for each in peers)
                added[pattern]['mutrace'].append(mutrace - beside)
    for pattern in PATTERNS:
        plain = statistics.median(plain_ns[pattern])
        beside = f'plain {plain:.2f} ns'
        call = 'a read() that does not block' if pattern == 'read' else f'one lock and unlock, {pattern}'
        row(f'agent there, mutex and block off: {call}', BARS['off'], added_to(plain, added[pattern]['off']), beside)
        on = 'block on with its kind io' if pattern == 'read' else 'mutex and block on'
        bar = BARS['io' if pattern == 'read' else 'on']
        peer = '; mutrace ' + added_to(plain, added[pattern]['mutrace']) if MUTRACE else f'; {NO_MUTRACE}'
        row(f'{on}: {call}', bar, added_to(plain, added[pattern]['on']),
            beside + (peer if pattern != 'read' else ''))


def rates(threads, rounds, pattern, *settings):
    """Of each round, which is off, on and null in an order by chance: on and null beside off."""
    stretches = output('lock_rate', threads, rounds, pattern, *settings)
    rounds = [{way: (float(rate), float(switches)) for way, rate, switches in stretches[i:i + 3]}
              for i in range(0, len(stretches), 3)]
    # In nine milliseconds in which nothing at all was done the machine stood still, not the lock.
    rounds = [each for each in rounds if all(rate > 0 for rate, _ in each.values())]
    ratios = {way: [each[way][0] / each['off'][0] for each in rounds] for way in ('on', 'null')}
    switches = {way: sum(each[way][1] for each in rounds) for way in ('on', 'off')}
    return {'on': percent(ratios['on']), 'null': 'null ' + percent(ratios['null']),
            'switches': f'switches x{switches["on"] / max(switches["off"], 1):.2f}',
            'rate': f'{statistics.median(each["off"][0] for each in rounds) / 1000:.0f} k/s'}


def mutrace_rates(threads, pattern, processes=3):
    """mutrace is there for a whole process or not at all: each stands between two without it."""
    def rate(preload=None):
        return statistics.median(
            float(rate) for _, rate, _ in output('lock_rate_plain', threads, 24, pattern, preload=preload))

    if not MUTRACE:
        return NO_MUTRACE
    ratios, before = [], rate()
    for _ in range(processes):
        mutrace, after = rate(MUTRACE), rate()
        ratios.append(mutrace / ((before + after) / 2))
        before = after
    return f'mutrace {percent(ratios)}'


def contended():
    for threads in (2, 8):
        what = f'mutex and block on: what {threads} threads get done that fight for one lock'
        random = rates(threads, 240, 'random')
        every = rates(threads, 120, 'random', 'mutex_fraction=1')
        row(what, 'within 3 %', random['on'],
            f'{random["null"]}; {random["switches"]}; mutex_fraction 1: {every["on"]}; {random["rate"]}; '
            f'{mutrace_rates(threads, "random")}')
        for pattern, name in (('tenth', 'and hold it a tenth of their time'), ('step', 'in step')):
            got = rates(threads, 144, pattern)
            row(f'{what} {name}', 'within 3 %', got['on'], f'{got["null"]}; {got["switches"]}; {got["rate"]}' +
                ('; on a knife\'s edge: doc/decisions/0011-lock-hooks.md' if pattern == 'step' else ''))


def blame():
    """Of the time that three threads wait for one that sleeps with the lock: how much is charged to that one. Then they
    wait for each other, and until they run."""
    with Watched(TARGET / 'lock_blame', sets=('enable=mutex',)) as watched:
        waited_ms, held_ms = map(float, watched.process.stdout.readline().split())
        held_ns = total_ns = 0
        for line in watched.read('mutex.folded').decode().splitlines():
            stack, value = line.rsplit(' ', 1)
            total_ns += int(value)
            held_ns += int(value) if 'hold' in stack.split(';')[-1] else 0
    row('of the time waited for a lock while it was held, charged to the one who held it', '>= 95 %, <= 105 %',
        f'{held_ns / 1e4 / held_ms:.1f} %',
        f'waited {held_ms:.0f} ms; with what came after it, until they had it, {waited_ms:.0f}, of which charged to '
        f'somebody {total_ns / 1e4 / waited_ms:.1f} %')


PARTS = {'uncontended': uncontended, 'contended': contended, 'blame': blame}


def main():
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == '__main__':
    main()
