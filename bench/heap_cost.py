"""What the heap profile costs besides the hot path: switching, one sample, memory."""
import glob
import os
import pathlib
import re
import statistics
import subprocess

from bench import TARGET, interval, row
from heap_programs import PEERS


def run(*arguments, env=None):
    """{name: [value, ...]}"""
    env = {**os.environ, **{name: str(value) for name, value in (env or {}).items()}}
    done = subprocess.run([TARGET / 'heap_cost', *arguments], capture_output=True, text=True, check=True, env=env)
    result = {}
    for line in done.stdout.splitlines():
        name, value = line.split()
        result.setdefault(name, []).append(float(value))
    return result


def loadable():
    """Libraries that can be opened one beside the other, by trying."""
    test = ('import ctypes, sys\nfor name in sys.argv[1:]:\n  try: ctypes.CDLL(name); print(name, flush=True)\n'
            '  except OSError: pass')
    found = sorted(path for path in glob.glob('/usr/lib/x86_64-linux-gnu/lib[a-z]*.so.*')
                   if re.search(r'\.so\.\d+$', path) and not re.search('[atm]san|alloc|preload|proffs', path))
    done = subprocess.run(['python3', '-c', test, *found[:120]], capture_output=True, text=True, check=False)
    return done.stdout.split()


def spread(values, unit):
    middle, low, high = interval(values)
    return f'{middle:.2f} {unit} [{low:.2f}, {high:.2f}] (n={len(values)})'


def switching():
    libraries = loadable()
    for wanted, bar in ((20, '<= 1 ms'), (60, '<= 3 ms')):
        count = 0
        while count < len(libraries) and run('switch', '1', *libraries[:count])['modules'][0] < wanted:
            count += 1
        took = run('switch', '60', *libraries[:count])
        nothing = statistics.median(took['nothing'])
        row(f'heap on, then off, {took["modules"][0]:.0f} modules, by a write to `enable`', bar,
            'on ' + spread([us / 1000 for us in took['enable']], 'ms') + '; off '
            + spread([us / 1000 for us in took['disable']], 'ms'),
            f'a write that changes nothing {nothing / 1000:.2f} ms')


def beside(plain, changed, *arguments):
    """What it adds when a peer samples: the values with it less the median without."""
    name = arguments[0]
    middle = statistics.median(run(*arguments, env=plain)[name])
    return [value - middle for value in run(*arguments, env=changed)[name]]


EVERY_BLOCK = {'MALLOC_CONF': 'prof:true,lg_prof_sample:0', 'TCMALLOC_SAMPLE_PARAMETER': '1'}


def sampling():
    """The bar is of a machine on which jemalloc takes 4.9 us."""
    ours = run('sample', '40')['sample']
    said, cells = spread(ours, 'ns'), []
    for name, (plain, changed) in PEERS.items():
        if plain['LD_PRELOAD'].exists():
            every = {key: EVERY_BLOCK.get(key, value) for key, value in changed.items()}
            theirs = beside(plain, every, 'pairs', '10')
            cells.append(f'{name} ' + spread(theirs, 'ns'))
            said += f', {statistics.median(ours) / statistics.median(theirs):.2f} of {name.split()[0]}\'s'
    row('one sample under 30 frames, malloc and free', "<= 1 us, 0.20 of jemalloc's", said, '; '.join(cells))


def own_memory(mebibytes):
    """The line of the heap's text that says what is the agent's own."""
    program = subprocess.Popen([TARGET / 'heap_cost', 'memory', str(mebibytes)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    tree = program.stdout.readline().split()[1]
    text = (pathlib.Path(tree) / 'heap').read_text()
    program.communicate('\n')
    return next(int(line.split()[1]) for line in text.splitlines() if "the agent's own: " in line)


def memory():
    for mebibytes in (1, 256, 1024):
        bar = 2 * 1024 + mebibytes * 1024 * 0.0015
        cells = ['all of the agent, the file system at work, resident']
        for name, (plain, changed) in PEERS.items():
            if plain['LD_PRELOAD'].exists():
                cells.append(f'{name} {beside(plain, changed, "resident", str(mebibytes))[0]:+.0f} KiB')
        row(f'memory of the agent, heap of {mebibytes} MiB in small blocks', f'<= {bar:.0f} KiB (2 MiB + 0.15 %)',
            f'{own_memory(mebibytes) / 1024:.0f} KiB', '; '.join(cells))


def main():
    switching()
    sampling()
    memory()


if __name__ == '__main__':
    main()
