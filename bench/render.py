#!/usr/bin/env python3
"""Drawing: 10,000 and 100,000 distinct stacks of 30 frames in every form, and how long names take.

CPU time and what the drawing adds to the process's peak of memory; names known, but where it says
cold. Beside it the writers of jemalloc and gperftools (the same number of distinct stacks, of their
own making) and `go tool pprof` reading what we wrote.
"""
import os
import pathlib
import resource
import subprocess
import tempfile

import bench

RENDER = bench.TARGET / 'render'
PEERS = bench.TARGET / 'dump_peers'
LIBRARY = pathlib.Path('/usr/lib/x86_64-linux-gnu')
COLD_FUNCTIONS = 450_000  # 100 MB of file


def run(*command, env=None):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          env={**os.environ, **(env or {})}).stdout


def draw(stacks, view, repeats):
    first, again, kib, length = run(RENDER, str(stacks), view, str(repeats)).split()
    return float(first), float(again), int(kib) / 1024, int(length)


def peer(name, stacks, folder):
    """CPU ms, MiB that `name` takes for its profile, and how many stacks stand in it; or None."""
    preload, env = {
        'jemalloc': ('libjemalloc.so.2', {'MALLOC_CONF': 'prof:true,lg_prof_sample:0,prof_active:false'}),
        'gperftools': ('libtcmalloc.so.4', {'HEAPPROFILE': f'{folder}/heap',
                                            'HEAP_PROFILE_ALLOCATION_INTERVAL': '0',
                                            'HEAP_PROFILE_INUSE_INTERVAL': '0'}),
    }[name]
    if not (LIBRARY / preload).exists():
        return None
    try:
        words = run(PEERS, str(stacks), f'{folder}/{name}', env={'LD_PRELOAD': preload, **env}).split()
    except subprocess.CalledProcessError:
        return None
    written = max(pathlib.Path(folder).iterdir(), key=lambda path: path.stat().st_size)
    records = sum(line.count(b'@') for line in written.open('rb')) - 1
    return float(words[-2]), int(words[-1]) / 1024, records


def go_reads(stacks, folder):
    profile = pathlib.Path(folder) / 'ours.pprof'
    profile.write_bytes(subprocess.run([RENDER, 'write', str(stacks)], check=True, capture_output=True).stdout)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(['go', 'tool', 'pprof', '-symbolize=none', '-top', profile], check=True, capture_output=True,
                   env={**os.environ, 'PPROF_TMPDIR': folder})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_large(folder):
    """A library of some 100 MB, mostly symbols and names, as large C++ programs are."""
    source, library = pathlib.Path(folder) / 'large.s', pathlib.Path(folder) / 'liblarge.so'
    with source.open('w') as out:
        for i in range(COLD_FUNCTIONS):
            name = f'_ZN4shop4cart4CartIiSaIiEE4Item9quantity_of_the_item_in_the_cart_{i:06d}EiiRKSsPKc' + 'x' * 60
            out.write(f'.globl {name}\n.type {name},@function\n{name}: nop\nret\n.size {name},.-{name}\n')
    subprocess.run(['gcc', '-shared', '-nostdlib', '-Wl,--build-id', '-o', library, source], check=True)
    source.unlink()
    return library


def main():
    for stacks, repeats in ((10_000, 9), (100_000, 3)):
        for view in run(RENDER, 'views').split():
            first, again, mib, length = draw(stacks, view, repeats)
            bar = '<= 50 ms, <= 32 MiB' if (stacks, view) == (10_000, 'pprof') else '-'
            bench.row(f'{stacks:,} stacks of 30 frames to .{view}, names known', bar,
                      f'first {first:.0f} ms, again {again:.0f} ms CPU ({stacks / again * 1000:,.0f} stacks/s), '
                      f'{mib:.0f} MiB, {length / 2**20:.1f} MiB of file')
        with tempfile.TemporaryDirectory() as folder:
            beside = []
            for name in ('jemalloc', 'gperftools'):
                got = peer(name, stacks, folder)
                if got:
                    beside.append(f'{name} writes {got[2]:,} in {got[0]:.0f} ms, {got[1]:.0f} MiB')
            bench.row(f'{stacks:,} stacks: go tool pprof -top reads ours', '-',
                      f'{go_reads(stacks, folder):.1f} s CPU', '; '.join(beside))
    with tempfile.TemporaryDirectory() as folder:
        library = make_large(folder)
        ms, kib, named = run(RENDER, 'cold', str(library)).split()
        bench.row(f'cold names: 1,000 functions of a file of {library.stat().st_size / 1e6:.0f} MB', '<= 1 s',
                  f'{float(ms):.0f} ms CPU, {int(kib) / 1024:.0f} MiB, {named} named')


if __name__ == '__main__':
    main()
