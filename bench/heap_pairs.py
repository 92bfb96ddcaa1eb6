"""Nanoseconds that the heap profile adds to one malloc and free: loaded but off, and on at 512 KiB."""
import os
import statistics
import subprocess

from bench import TARGET, interval, row
from heap_programs import JUMP, PEERS

PATTERNS = ('lifo_64', 'lifo_mixed', 'batch_1000', 'replace_20000')


def run(program, *arguments, env=None):
    """{pattern: {way: [nanoseconds, ...]}}"""
    env = {**os.environ, **{name: str(value) for name, value in (env or {}).items()}}
    done = subprocess.run([TARGET / program, *arguments], capture_output=True, text=True, check=True, env=env)
    result = {}
    for line in done.stdout.splitlines():
        pattern, way, nanoseconds = line.split()
        result.setdefault(pattern, {}).setdefault(way, []).append(float(nanoseconds))
    return result


def nanoseconds(values):
    middle, low, high = interval(values)
    return f'{middle:+.2f} ns [{low:+.2f}, {high:+.2f}] (n={len(values)})'


def medians(way, env=None):
    """{pattern: nanoseconds} of a process in which nothing is switched."""
    done = run('heap_pairs_plain', '8', way, env=env)
    return {pattern: statistics.median(done[pattern][way]) for pattern in PATTERNS}


def main():
    peers = {name: ways for name, ways in PEERS.items() if ways[0]['LD_PRELOAD'].exists()}
    added = {pattern: {'off': [], 'on': [], 'thread': [], 'jump': [], **{name: [] for name in peers}}
             for pattern in PATTERNS}
    plain_ns = {pattern: [] for pattern in PATTERNS}
    for _ in range(13):
        alone = medians('alone')
        beside = medians('beside')
        proffs = run('heap_pairs', '18')
        jump = medians('beside', {'LD_PRELOAD': JUMP})
        beside_again = medians('beside')
        sampling = {name: (medians('beside', plain), medians('beside', changed))
                    for name, (plain, changed) in peers.items()}
        for pattern in PATTERNS:
            ways, offs, ons = added[pattern], proffs[pattern]['off'], proffs[pattern]['on']
            thread = (beside[pattern] + beside_again[pattern]) / 2
            plain_ns[pattern].append(alone[pattern])
            ways['thread'].append(thread - alone[pattern])
            ways['jump'].append(jump[pattern] - thread)
            ways['off'].append(statistics.median(offs) - thread)
            # Each "on" stands between two "off".
            ways['on'] += [on - (offs[i] + offs[i + 1]) / 2 for i, on in enumerate(ons[:-1])]
            for name, (plain, changed) in sampling.items():
                ways[name].append(changed[pattern] - plain[pattern])
    for pattern in PATTERNS:
        ways = added[pattern]
        plain = f'plain {statistics.median(plain_ns[pattern]):.2f} ns; exported symbols that only jump on '
        plain += nanoseconds(ways['jump'])
        row(f'agent there, heap off: one malloc and free, {pattern}', '0 +-0.2 ns', nanoseconds(ways['off']),
            f'{plain}; any second thread, even asleep: {nanoseconds(ways["thread"])}')
        row(f'heap on at 512 KiB: one malloc and free, {pattern}', '<= +0.8 ns', nanoseconds(ways['on']),
            '; '.join([plain, *(f'{name} {nanoseconds(ways[name])}' for name in peers)]))


if __name__ == '__main__':
    main()
