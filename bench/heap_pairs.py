"""Nanoseconds that the heap profile adds to one malloc and free: loaded but off, and on at 512 KiB."""
import os
import statistics
import subprocess

from bench import TARGET, added_to, bar_of, row
from heap_programs import JUMP, PEERS

PATTERNS = ('lifo_64', 'lifo_mixed', 'batch_1000', 'replace_20000')


PROCESSES, ROUNDS = 13, 12


class Program:
    """One of several that take turns on one processor, a stretch of some milliseconds each."""

    def __init__(self, program, *arguments, env=None):
        self.process = subprocess.Popen(
            [TARGET / program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, **{name: str(value) for name, value in (env or {}).items()}},
            preexec_fn=lambda: os.sched_setaffinity(0, {1 % os.cpu_count()}))

    def nanoseconds(self, pattern, way='off'):
        self.process.stdin.write(f'{pattern} {way}\n')
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def side_by_side(peers, added, plain_ns):
    """A process of each. What one adds is that to the other's stretch just before or after."""
    programs = {}
    for name, (plain, changed) in peers.items():
        programs[name + ' plain'] = Program('heap_pairs_plain', 'beside', env=plain)
        programs[name] = Program('heap_pairs_plain', 'beside', env=changed)
    programs['jump'] = Program('heap_pairs_plain', 'beside', env={'LD_PRELOAD': JUMP})
    programs['alone'] = Program('heap_pairs_plain', 'alone')
    programs['beside'] = Program('heap_pairs_plain', 'beside')
    programs['proffs'] = Program('heap_pairs')
    for pattern in PATTERNS:
        ways = {way: [] for way in added[pattern]}
        for program in programs.values():
            program.nanoseconds(pattern)  # warm
        def warm(name, way='off'):
            """Behind a stretch of its own that nobody looks at: all find the caches as they left them."""
            programs[name].nanoseconds(pattern)
            return programs[name].nanoseconds(pattern, way)

        for _ in range(ROUNDS):
            took = {name: warm(name) for name in programs}
            on = programs['proffs'].nanoseconds(pattern, 'on')
            off = programs['proffs'].nanoseconds(pattern)
            beside = warm('beside')
            plain_ns[pattern].append(took['alone'])
            ways['thread'].append(took['beside'] - took['alone'])
            ways['jump'].append(took['jump'] - (took['beside'] + beside) / 2)
            ways['off'] += [took['proffs'] - took['beside'], off - beside]
            ways['on'].append(on - (took['proffs'] + off) / 2)
            for name in peers:
                ways[name].append(took[name] - took[name + ' plain'])
        for way, values in ways.items():
            added[pattern][way].append(statistics.median(values))
    for program in programs.values():
        program.end()


def main():
    peers = {name: ways for name, ways in PEERS.items() if ways[0]['LD_PRELOAD'].exists()}
    added = {pattern: {way: [] for way in ('off', 'on', 'thread', 'jump', *peers)} for pattern in PATTERNS}
    plain_ns = {pattern: [] for pattern in PATTERNS}
    for _ in range(PROCESSES):
        side_by_side(peers, added, plain_ns)
    for pattern in PATTERNS:
        ways = added[pattern]
        plain = statistics.median(plain_ns[pattern])
        said = {way: added_to(plain, values) for way, values in ways.items()}
        beside = f'plain {plain:.2f} ns; exported symbols that only jump on {said["jump"]}'
        row(f'agent there, heap off: one malloc and free, {pattern}', '0 +-0.2 ns', said['off'],
            f'{beside}; any second thread, even asleep: {said["thread"]}')
        row(f'heap on at 512 KiB: one malloc and free, {pattern}', bar_of(0.8, 5.2), said['on'],
            '; '.join([beside, *(f'{name} {said[name]}' for name in peers)]))


if __name__ == '__main__':
    main()
