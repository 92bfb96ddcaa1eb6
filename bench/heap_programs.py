"""Heap sampling at 512 KiB in whole programs, beside the peers.

The agent is in both of a pair, off in one; what it costs to be there is in bench/programs.py.

usage: heap_programs.py [NAME...]     sqlite python redis redis_jemalloc cc1 larson; none: all, some minutes
"""
import concurrent.futures
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from bench import PROFFS, TARGET, TIMES, Watched, percent, ratios_together, row, self_cpu_seconds

CC1_FUNCTIONS = 700
JUMP = TARGET / 'libbench_jump.so'
LIBRARIES = pathlib.Path('/usr/lib/x86_64-linux-gnu')
PEERS = {
    'jemalloc prof over jemalloc': (
        {'LD_PRELOAD': LIBRARIES / 'libjemalloc.so.2'},
        {'LD_PRELOAD': LIBRARIES / 'libjemalloc.so.2', 'MALLOC_CONF': 'prof:true,lg_prof_sample:19'}),
    'tcmalloc sampling over tcmalloc': (
        {'LD_PRELOAD': LIBRARIES / 'libtcmalloc.so.4', 'TCMALLOC_SAMPLE_PARAMETER': '0'},
        {'LD_PRELOAD': LIBRARIES / 'libtcmalloc.so.4', 'TCMALLOC_SAMPLE_PARAMETER': '524288'}),
}


def watched(enable, command, env=None):
    return [PROFFS, 'run', '--set', f'enable={enable}', '--', *command], env or {}


def peers_of(command, count=9, with_heaptrack=False, env=None, processors=None):
    cells = []
    for name, (plain, changed) in PEERS.items():
        if plain['LD_PRELOAD'].exists():
            cells.append(f'{name} ' + percent(ratios_together(
                (command, {**(env or {}), **plain}), (command, {**(env or {}), **changed}), count, processors)))
    if with_heaptrack and shutil.which('heaptrack'):
        with tempfile.TemporaryDirectory() as folder:
            cells.append('heaptrack ' + percent(ratios_together(
                (command, env or {}), (['heaptrack', '-o', folder + '/h', *command], env or {}), 3)))
    return cells


def program(what, bar, command, env=None, count=24, processors=None, with_heaptrack=True, more=()):
    """A program with the agent in it and every collector off, beside the same with the heap's on."""
    off, heap = watched('0', command, env), watched('0 +heap', command, env)
    row(what, bar, percent(ratios_together(off, heap, count * TIMES, processors)),
        '; '.join(['null ' + percent(ratios_together(off, off, count // 2, processors)), *more,
                   *peers_of(command, 7, with_heaptrack, env, processors)]))


def sqlite():
    program('sqlite3, 1 M rows in batches', '<= 1.0 %', [TARGET / 'sqlite', '16', '60000'])


def python():
    program('python3, PYTHONMALLOC=malloc', '<= 2.5 %',
            ['/usr/bin/python3', pathlib.Path(__file__).parent / 'target/objects.py', '4'], {'PYTHONMALLOC': 'malloc'})


class Redis:
    """redis-server, spoken to over a socket, timed by its CPU clock; under proffs with `watched` in enable, or with only an environment."""

    def __init__(self, env, watched=None):
        self.folder = tempfile.mkdtemp(prefix='proffs-bench-')
        self.socket_path = self.folder + '/s'
        # The package redis-tools has the server's code under another name; its own name makes it a server.
        server = pathlib.Path(self.folder) / 'redis-server'
        server.symlink_to(shutil.which('redis-server') or shutil.which('redis-check-rdb'))
        command = [server, '--port', '0', '--unixsocket', self.socket_path, '--save', '', '--enable-debug-command', 'yes']
        env = {name: str(value) for name, value in env.items()}
        self.program = None
        if watched:
            os.environ.update(env)
            try:
                self.program = Watched(*command, sets=[f'enable={watched}'])
            finally:
                for name in env:
                    del os.environ[name]
            self.process = self.program.process
        else:
            self.process = subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        self.connection = socket.socket(socket.AF_UNIX)
        while self.connection.connect_ex(self.socket_path) != 0:
            if time.monotonic() > deadline:
                raise SystemExit('bench: redis-server does not answer')
            time.sleep(0.05)

    def say(self, text):
        self.connection.sendall(text.encode() + b'\r\n')
        answer = b''
        while not answer.endswith(b'\r\n'):
            answer += self.connection.recv(65536)
        assert not answer.startswith(b'-'), answer

    def work(self, mixed):
        self.say('DEBUG POPULATE 50000')
        if mixed:
            script = ("for i=1,20000 do redis.call('set','k'..i,string.rep('x',i%200)) "
                      "redis.call('rpush','l'..(i%100),i) end")
            self.connection.sendall(f'*3\r\n$4\r\nEVAL\r\n${len(script)}\r\n{script}\r\n$1\r\n0\r\n'.encode())
            assert self.connection.recv(64).startswith(b'$-1')
        self.say('FLUSHALL SYNC')

    def timed(self, mixed):
        start = self_cpu_seconds(self.process.pid)
        self.work(mixed)
        return self_cpu_seconds(self.process.pid) - start

    def close(self):
        self.connection.close()
        if self.program:
            self.program.close()
        else:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def ratios_of_servers(plain, changed, mixed, count):
    """Of two servers on one processor that are asked the same at the same time."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(everywhere)})
    servers = []
    try:
        servers += [Redis(**plain), Redis(**changed)]
        os.sched_setaffinity(0, everywhere)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            def both():
                return list(pool.map(lambda server: server.timed(mixed), servers))
            both()
            took = [both() for _ in range(count)]
        return [second / first for first, second in took]
    finally:
        os.sched_setaffinity(0, everywhere)
        for server in servers:
            server.close()


def redis(what, bar, preload, mixed):
    """Pairs of servers, each asked some times: where their memory happens to lie is theirs for ever."""
    def servers(plain, changed, pairs):
        return [statistics.median(ratios_of_servers(plain, changed, mixed, 10)) for _ in range(pairs)]

    env = {'LD_PRELOAD': preload}
    off, heap = {'env': env, 'watched': '0'}, {'env': env, 'watched': '0 +heap'}
    cells = ['null ' + percent(servers(off, off, 8))]
    for name, (plain, changed) in PEERS.items():
        if plain['LD_PRELOAD'].exists():
            cells.append(f'{name} ' + percent(servers({'env': plain}, {'env': changed}, 4)))
    row(what, bar, percent(servers(off, heap, 16 * TIMES)), '; '.join(cells))


def cc1():
    compiler = subprocess.run(['gcc', '-print-prog-name=cc1'], capture_output=True, text=True).stdout.strip()
    with tempfile.NamedTemporaryFile('w', suffix='.c') as source:
        for i in range(CC1_FUNCTIONS):
            source.write(f'struct s{i} {{ int a; char *b; struct s{i} *c; }};\n'
                         f'int f{i}(struct s{i} *s, int n) {{ int t = 0; for (int i = 0; i < n; i++) '
                         f'{{ switch (i % 5) {{ case 0: t += s->a; break; case 1: t ^= n; break; default: t -= i; }} '
                         f's = s->c ? s->c : s; }} return t + {i}; }}\n')
        source.flush()
        plain = [compiler, '-quiet', '-O0', source.name, '-o', '/dev/null']
        program('cc1 -O0, heap on to heap off', '<= 1 %', plain, count=40,
                more=['the agent as a whole, with its start and its end '
                      + percent(ratios_together(plain, watched('0 +heap', plain), 12))])


def larson():
    for threads in (2, 8):
        command = [TARGET / 'larson', str(threads), '60', str(600000 // threads)]
        everywhere = os.sched_getaffinity(0)
        program(f'larson, {threads} threads', '<= +8 %', command, processors=everywhere, with_heaptrack=False,
                more=['exported symbols that only jump on '
                      + percent(ratios_together(command, (command, {'LD_PRELOAD': JUMP}), 12, everywhere))])


def redis_glibc():
    # Debian's is linked with jemalloc: libc in front of it in the search order makes it glibc's.
    redis('redis on glibc, mixed', '<= 1.5 %', LIBRARIES / 'libc.so.6', True)


def redis_jemalloc():
    redis('redis on jemalloc, FLUSHALL loop', '<= 4 %', LIBRARIES / 'libjemalloc.so.2', False)


PARTS = {'sqlite': sqlite, 'python': python, 'redis': redis_glibc, 'redis_jemalloc': redis_jemalloc, 'cc1': cc1,
         'larson': larson}


def main():
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == '__main__':
    main()
