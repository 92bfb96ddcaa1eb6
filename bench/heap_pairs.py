"""Nanoseconds that the heap profile adds to one malloc and free: loaded but off, and on at 512 KiB."""
import statistics
import subprocess

from bench import TARGET, interval, row

PATTERNS = ('lifo_64', 'lifo_mixed', 'batch_1000', 'replace_20000')
BARS = {'off': '0 +-0.2 ns', 'on': '<= +0.8 ns'}


def run(program, *arguments):
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


def main():
    added = {pattern: {'off': [], 'on': [], 'thread': []} for pattern in PATTERNS}
    plain_ns = {pattern: [] for pattern in PATTERNS}
    for _ in range(15):
        alone = run('heap_pairs_plain', '10', 'alone')
        beside = run('heap_pairs_plain', '10', 'beside')
        proffs = run('heap_pairs', '20')
        beside_again = run('heap_pairs_plain', '10', 'beside')
        for pattern in PATTERNS:
            offs, ons = proffs[pattern]['off'], proffs[pattern]['on']
            thread = statistics.median(beside[pattern]['beside'] + beside_again[pattern]['beside'])
            plain_ns[pattern] += alone[pattern]['alone']
            added[pattern]['thread'].append(thread - statistics.median(alone[pattern]['alone']))
            added[pattern]['off'].append(statistics.median(offs) - thread)
            # Each "on" stands between two "off".
            added[pattern]['on'] += [on - (offs[i] + offs[i + 1]) / 2 for i, on in enumerate(ons[:-1])]
    for way, what in (('off', 'agent there, heap off'), ('on', 'heap on at 512 KiB')):
        for pattern in PATTERNS:
            beside = f'plain {statistics.median(plain_ns[pattern]):.2f} ns'
            if way == 'off':
                beside += '; any second thread, even asleep: ' + nanoseconds(added[pattern]['thread'])
            row(f'{what}: one malloc and free, {pattern}', BARS[way], nanoseconds(added[pattern][way]), beside)


if __name__ == '__main__':
    main()
