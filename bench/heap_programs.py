"""Heap sampling at 512 KiB in whole programs, beside the peers.

proffs by switching it on and off inside one process (target/toggle.h); the peers, which start with
the process, by pairs of processes.

usage: heap_programs.py [NAME...]     sqlite python redis redis_jemalloc cc1 larson; none: all, some minutes
"""
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from bench import PROFFS, TARGET, TIMES, Watched, percent, row

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


def by_way(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=True, **options)
    ratios = {}
    for line in done.stdout.splitlines():
        name, ratio = line.split()
        ratios.setdefault(name, []).append(float(ratio))
    return ratios


def cpu_seconds(command, env=None):
    """User and system time of one run, children and all."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **{k: str(v) for k, v in (env or {}).items()}},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pairs(plain, changed, count):
    """Ratios of changed() to the mean of the plain() before and after it."""
    ratios, before = [], plain()
    for _ in range(count):
        middle, after = changed(), plain()
        ratios.append(middle / ((before + after) / 2))
        before = after
    return ratios


def peers_of(command, count=9, with_heaptrack=False, env=None):
    cells = []
    for name, (plain, changed) in PEERS.items():
        if plain['LD_PRELOAD'].exists():
            cells.append(f'{name} ' + percent(pairs(lambda: cpu_seconds(command, {**(env or {}), **plain}),
                                                    lambda: cpu_seconds(command, {**(env or {}), **changed}), count)))
    if with_heaptrack and shutil.which('heaptrack'):
        with tempfile.TemporaryDirectory() as folder:
            heaptrack = ['heaptrack', '-o', folder + '/h', *command]
            cells.append('heaptrack ' + percent(pairs(lambda: cpu_seconds(command, env),
                                                      lambda: cpu_seconds(heaptrack, env), 3)))
    return cells


def sqlite():
    ratios = by_way([TARGET / 'sqlite_toggle', '120', '60000'])
    command = [TARGET / 'sqlite_plain', '10', '60000']
    row('sqlite3, 1 M rows in batches', '<= 1.0 %', percent(ratios['proffs']),
        '; '.join(['null ' + percent(ratios['null']), *peers_of(command, with_heaptrack=True)]))


def python():
    script = pathlib.Path(__file__).parent / 'target/toggle_python.py'
    env = {**os.environ, 'PYTHONMALLOC': 'malloc'}
    folder = tempfile.mkdtemp(prefix='proffs-bench-')
    try:
        ratios = by_way([PROFFS, 'run', '-m', folder + '/tree', '--set', 'enable=0', '--', '/usr/bin/python3', script,
                         folder + '/tree', '80'], env=env)
    finally:
        subprocess.run(['umount', '-l', folder + '/tree'], stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
    command = ['/usr/bin/python3', script, 'plain', '8']
    row('python3, PYTHONMALLOC=malloc', '<= 2.5 %', percent(ratios['proffs']),
        '; '.join(['null ' + percent(ratios['null']),
                   *peers_of(command, 7, with_heaptrack=True, env={'PYTHONMALLOC': 'malloc'})]))


class Redis:
    """redis-server, spoken to over a socket, timed by its own CPU clock; under proffs, or with only an environment."""

    def __init__(self, env, watched=True):
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
                self.program = Watched(*command, sets=['enable=0'])
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

    def cpu(self):
        pid = self.process.pid
        return int(pathlib.Path(f'/proc/{pid}/task/{pid}/schedstat').read_text().split()[0])

    def timed(self, mixed):
        start = self.cpu()
        self.work(mixed)
        return self.cpu() - start

    def toggled(self, mixed, rounds):
        ratios = {'null': [], 'proffs': []}
        self.work(mixed)
        before = self.timed(mixed)
        for i in range(rounds):
            if i % 2:
                self.program.write('enable', '+heap')
            middle = self.timed(mixed)
            if i % 2:
                self.program.write('enable', '-heap')
            after = self.timed(mixed)
            ratios['proffs' if i % 2 else 'null'].append(middle / ((before + after) / 2))
            before = after
        return ratios

    def close(self):
        self.connection.close()
        if self.program:
            self.program.close()
        else:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def redis_cpu(env, mixed, times=4):
    """The work a few times in a server of its own."""
    server = Redis(env, watched=False)
    try:
        server.work(mixed)
        return sum(server.timed(mixed) for _ in range(times))
    finally:
        server.close()


def redis(what, bar, preload, rounds, mixed):
    server = Redis({'LD_PRELOAD': preload})
    try:
        ratios = server.toggled(mixed, rounds)
    finally:
        server.close()
    cells = ['null ' + percent(ratios['null'])]
    for name, (plain, changed) in PEERS.items():
        if plain['LD_PRELOAD'].exists():
            cells.append(f'{name} ' + percent(pairs(lambda: redis_cpu(plain, mixed),
                                                    lambda: redis_cpu(changed, mixed), 9)))
    row(what, bar, percent(ratios['proffs']), '; '.join(cells))


def cc1():
    """A compiler lives too briefly to be switched on and off: pairs of processes with the agent in both."""
    compiler = subprocess.run(['gcc', '-print-prog-name=cc1'], capture_output=True, text=True).stdout.strip()
    with tempfile.NamedTemporaryFile('w', suffix='.c') as source:
        for i in range(CC1_FUNCTIONS):
            source.write(f'struct s{i} {{ int a; char *b; struct s{i} *c; }};\n'
                         f'int f{i}(struct s{i} *s, int n) {{ int t = 0; for (int i = 0; i < n; i++) '
                         f'{{ switch (i % 5) {{ case 0: t += s->a; break; case 1: t ^= n; break; default: t -= i; }} '
                         f's = s->c ? s->c : s; }} return t + {i}; }}\n')
        source.flush()
        plain = [compiler, '-quiet', '-O0', source.name, '-o', '/dev/null']
        off, heap = ([PROFFS, 'run', '--set', 'enable=' + what, '--', *plain] for what in ('0', '0 +heap'))
        row('cc1 -O0, pairs of processes: heap on to heap off', '<= 1 %',
            percent(pairs(lambda: cpu_seconds(off), lambda: cpu_seconds(heap), 61 * TIMES)),
            '; '.join(['the agent as a whole, with its start and its end '
                       + percent(pairs(lambda: cpu_seconds(plain), lambda: cpu_seconds(heap), 7)),
                       *peers_of(plain, 7, with_heaptrack=True)]))


def larson():
    for threads in (2, 8):
        operations = str(600000 // threads)
        ratios = by_way([TARGET / 'larson', str(threads), '240', operations])
        plain = [TARGET / 'larson_plain', str(threads), '20', operations]
        jumps = pairs(lambda: cpu_seconds(plain), lambda: cpu_seconds(plain, {'LD_PRELOAD': JUMP}), 15)
        row(f'larson, {threads} threads', '<= +8 %', percent(ratios['proffs']),
            '; '.join(['null ' + percent(ratios['null']), 'exported symbols that only jump on ' + percent(jumps),
                       *peers_of(plain)]))


def redis_glibc():
    # Debian's is linked with jemalloc: libc in front of it in the search order makes it glibc's.
    redis('redis on glibc, mixed', '<= 1.5 %', LIBRARIES / 'libc.so.6', 120, True)


def redis_jemalloc():
    redis('redis on jemalloc, FLUSHALL loop', '<= 4 %', LIBRARIES / 'libjemalloc.so.2', 240, False)


PARTS = {'sqlite': sqlite, 'python': python, 'redis': redis_glibc, 'redis_jemalloc': redis_jemalloc, 'cc1': cc1,
         'larson': larson}


def main():
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == '__main__':
    main()
