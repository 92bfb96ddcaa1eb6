"""What mutex and block cost: locks that nobody fights for, a read that does not block, locks that are
fought for; and how much of the time waited is charged to who held the lock.

mutrace, the peer, is not in Debian 12, and its source does not build with its C library any more (it
hooks malloc by a variable that is gone); reference measurements of a patched one: +177 to +680 ns a pair.
"""
import statistics
import subprocess

from bench import TARGET, Watched, interval, percent, row

PATTERNS = ('mutex', 'mutex_of_many', 'mutex_recursive', 'rwlock_read', 'read')
BARS = {'off': '0 +-0.2 ns', 'on': '<= +1 ns'}


def pairs(program, *arguments):
    """{pattern: {way: [nanoseconds, ...]}}"""
    done = subprocess.run([TARGET / program, *arguments], capture_output=True, text=True, check=True)
    result = {}
    for line in done.stdout.splitlines():
        pattern, way, nanoseconds = line.split()
        result.setdefault(pattern, {}).setdefault(way, []).append(float(nanoseconds))
    return result


def nanoseconds(values):
    middle, low, high = interval(values)
    return f'{middle:+.2f} ns [{low:+.2f}, {high:+.2f}] (n={len(values)})'


def uncontended(runs=7):
    added = {pattern: {'off': [], 'on': []} for pattern in PATTERNS}
    plain_ns = {pattern: [] for pattern in PATTERNS}
    for _ in range(runs):
        before = pairs('lock_pairs_plain', '6', 'beside')
        proffs = pairs('lock_pairs', '12')
        after = pairs('lock_pairs_plain', '6', 'beside')
        for pattern in PATTERNS:
            offs, ons = proffs[pattern]['off'], proffs[pattern]['on']
            plain = statistics.median(before[pattern]['beside'] + after[pattern]['beside'])
            plain_ns[pattern].append(plain)
            added[pattern]['off'].append(statistics.median(offs) - plain)
            # Each "on" stands between two "off".
            added[pattern]['on'] += [on - (offs[i] + offs[i + 1]) / 2 for i, on in enumerate(ons[:-1])]
    for pattern in PATTERNS:
        beside = f'plain {statistics.median(plain_ns[pattern]):.2f} ns'
        call = 'a read() that does not block' if pattern == 'read' else f'one lock and unlock, {pattern}'
        row(f'agent there, mutex and block off: {call}', BARS['off'], nanoseconds(added[pattern]['off']), beside)
        on = 'block on with its kind io' if pattern == 'read' else 'mutex and block on'
        bar = '<= +15 ns' if pattern == 'read' else BARS['on']
        peer = '; mutrace: not in Debian 12' if pattern == 'mutex' else ''
        row(f'{on}: {call}', bar, nanoseconds(added[pattern]['on']), beside + peer)


def rates(threads, rounds, *settings):
    done = subprocess.run([TARGET / 'lock_rate', str(threads), str(rounds), *settings],
                          capture_output=True, text=True, check=True)
    stretches = [(way, float(rate)) for way, rate in map(str.split, done.stdout.splitlines())]
    ratios = {'on': [], 'null': []}
    for i in range(1, len(stretches) - 1):
        way, rate = stretches[i]
        if way in ratios:
            ratios[way].append(rate / ((stretches[i - 1][1] + stretches[i + 1][1]) / 2))
    return ratios, statistics.median(rate for way, rate in stretches if way == 'off')


def contended():
    for threads in (2, 8):
        what = f'mutex and block on: what {threads} threads get done that fight for one lock'
        ratios, rate = rates(threads, 25, 'random')
        every, _ = rates(threads, 10, 'random', 'mutex_fraction=1')
        row(what, 'within 3 %', percent(ratios['on']),
            f'null {percent(ratios["null"])}; mutex_fraction 1: {percent(every["on"])}; {rate / 1000:.0f} k/s')
        step, _ = rates(threads, 10, 'step')
        row(f'{what} in step', 'within 3 %', percent(step['on']),
            f'null {percent(step["null"])}; on a knife\'s edge: doc/decisions/0011-lock-hooks.md')


def blame():
    """Of the time that three threads wait for one that sleeps with the lock: how much it is charged with."""
    with Watched(TARGET / 'lock_blame', sets=('enable=mutex',)) as watched:
        true_ms = float(watched.process.stdout.readline())
        held_ns = total_ns = 0
        for line in watched.read('mutex.folded').decode().splitlines():
            stack, value = line.rsplit(' ', 1)
            total_ns += int(value)
            held_ns += int(value) if 'hold' in stack.split(';')[-1] else 0
    row('of the time waited for a lock, charged to the one who held it', '>= 95 %',
        f'{held_ns / 1e4 / true_ms:.1f} %', f'waited {true_ms:.0f} ms, charged in all {total_ns / 1e6:.0f} ms')


def main():
    uncontended()
    contended()
    blame()


if __name__ == '__main__':
    main()
