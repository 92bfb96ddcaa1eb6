"""What watching costs whole programs: their user and system time as they are, with the collectors
that are on by default, and with every collector on.

Two run at once on one processor, one as it is and one watched, so what else happens on the machine happens to both
(bench.py); whoever asks a server is on another. A command's time is what the kernel says of it and its children at the
end: our threads, our start and our end are in it. A server's is what it takes while it is asked, for the same
requests; it has its tree by then.

Each runs for some seconds, as what people profile does; the row says how long. What a start and an end cost,
however long the program, has rows of its own: `start`, a program that only sleeps.

usage: programs.py [NAME[:WAY]...]    start redis pgbench pgbench_one sqlite3 gcc python3; none: all, seven minutes
                   WAY: a collector instead of default and all: python3:heap, redis:cpu, gcc:none; null: plain twice
"""
import concurrent.futures
import ctypes
import functools
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from bench import PROFFS, TIMES, interval, percent, row, self_cpu_seconds

SECONDS = 64 * TIMES  # for each program, rounds that are begun within
BARS = {'default': '<= 2 %', 'all': '<= 6 %'}


def watch(folder, way, proffs=PROFFS):
    """What stands before a command to run it this way."""
    if way in ('plain', 'null'):
        return []
    enable = {'default': [], 'all': ['--set', 'enable=1'], 'none': ['--set', 'enable=0']}.get(
        way, ['--set', f'enable=0 +{way}'])
    return [proffs, 'run', '-m', f'{folder}/tree-%p', *enable, '--']


def ended(process):
    """CPU seconds of a process that was started by Popen, and of its children; waits for its end."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f'bench: {process.args}: ended with {process.returncode}')
    return used.ru_utime + used.ru_stime


def spent_since(before):
    """By all that are still there."""
    took = 0
    for pid, at in before.items():
        try:
            took += self_cpu_seconds(int(pid)) - at
        except OSError:
            pass
    return took


def until_tree(folder, way, pid):
    if way not in ('plain', 'null'):
        until('the tree', lambda: f' {folder}/tree-{pid} ' in pathlib.Path('/proc/self/mountinfo').read_text())


def children(pid):
    return subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True).stdout.split()


class Command:
    """A program that does its work and ends."""

    def __init__(self, folder, *command, **options):
        self.folder, self.command, self.options = folder, command, options

    def run(self, way, on, beside):
        return ended(subprocess.Popen([*on, *watch(self.folder, way), *self.command], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, **self.options))


def until(what, done):
    deadline = time.monotonic() + 30
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f'bench: {what} does not answer')
        time.sleep(0.02)


def redis(folder):
    address = folder + '/socket'
    # The package redis-tools has the server's code under another name; its own name makes it a server.
    server = pathlib.Path(folder) / 'redis-server'
    server.symlink_to(shutil.which('redis-server') or shutil.which('redis-check-rdb'))

    def answers():
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(address) == 0

    class Server:
        def run(self, way, on, beside):
            process = subprocess.Popen([*on, *watch(folder, way), server, '--port', '0', '--unixsocket', address,
                                        '--save', ''], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until('redis-server', answers)
            until_tree(folder, way, process.pid)
            before = self_cpu_seconds(process.pid)
            subprocess.run([*beside, 'redis-benchmark', '-s', address, '-q', '-n', '100000', '-c', '20', '-t',
                            'set,get,lpush,lrange_100,hset'], stdout=subprocess.DEVNULL, check=True)
            took = self_cpu_seconds(process.pid) - before
            subprocess.run(['redis-cli', '-s', address, 'shutdown', 'nosave'], check=True)
            ended(process)
            return took
    return Server()


def own_world(folder):
    """A mount table of our own, where every user may open /dev/fuse, as udev makes it on Debian, and come to
    what we built; returns proffs as it is named there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:  # CLONE_NEWNS
        sys.exit(f'bench: unshare: {os.strerror(ctypes.get_errno())}')
    for command in (['mount', '--make-rprivate', '/'], ['mkdir', folder + '/dev', folder + '/build'],
                    ['mount', '-t', 'tmpfs', '-o', 'mode=755', 'dev', folder + '/dev'],
                    ['mknod', '-m', '666', folder + '/dev/fuse', 'c', '10', '229'],
                    ['mount', '--bind', folder + '/dev/fuse', '/dev/fuse'],
                    ['mount', '--bind', PROFFS.parent, folder + '/build']):
        subprocess.run(command, check=True)
    return folder + '/build/proffs'


def pgbench(folder, clients=4):
    """The scale is the number of clients, as its manual asks for: with less they wait for each other's rows."""
    bin_ = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin'))[-1]
    home = pathlib.Path(folder) / 'home'
    home.mkdir()
    user, proffs = [], PROFFS
    if os.getuid() == 0:
        shutil.chown(home, 'postgres')
        proffs = own_world(folder)
        user = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups']
    quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, 'cwd': home}
    subprocess.run([*user, bin_ / 'initdb', '-D', home / 'db', '-A', 'trust', '--no-sync'], check=True, **quiet)
    with open(home / 'db/postgresql.conf', 'a') as settings:
        settings.write(f"listen_addresses = ''\nunix_socket_directories = '{home}'\nfsync = off\nautovacuum = off\n")

    def client(*command):
        return subprocess.run([*user, *command], **quiet).returncode == 0

    class Server:
        def run(self, way, on, beside):
            process = subprocess.Popen([*on, *user, *watch(home, way, proffs), bin_ / 'postgres', '-D', home / 'db'], **quiet)
            until('postgres', lambda: client(bin_ / 'psql', '-h', home, '-c', 'select 1', 'postgres'))
            client(bin_ / 'pgbench', '-h', home, '-i', '-q', '-s', str(clients), 'postgres')
            until_tree(home, way, process.pid)
            load = subprocess.Popen([*beside, *user, bin_ / 'pgbench', '-h', home, '-n', '-c', str(clients), '-T', '14',
                                     '-l', 'postgres'], **quiet)
            time.sleep(3)  # its connections are there, each a process with a tree, and what they do is known
            before = {pid: self_cpu_seconds(int(pid)) for pid in [process.pid, *children(process.pid)]}
            start = time.time()
            time.sleep(10)
            took, end = spent_since(before), time.time()
            ended(load)
            count = 0
            for log in home.glob('pgbench_log.*'):
                count += sum(start <= int(words[4]) + int(words[5]) / 1e6 < end
                             for words in map(str.split, log.read_text().splitlines()))
                log.unlink()
            process.send_signal(signal.SIGINT)
            ended(process)
            return took / count
    return Server()


def sqlite3(folder):
    script = pathlib.Path(folder) / 'script.sql'
    script.write_text('''
        create table t(a integer primary key, b text, c real);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 1600000)
            insert into t select i, printf('%x-%d', i * 7919 % 100003, i), i * 0.5 from n;
        create index t_b on t(b);
        select count(*), min(b), max(b), sum(c) from t where b like '%7f%';
        select substr(b, 1, 2), count(*), avg(c) from t group by 1 order by 2 desc limit 5;
        select count(*) from t x join t y on x.b = y.b where x.a % 3 = 0;
        delete from t where a % 7 = 0;
    ''')
    return Command(folder, 'sqlite3', ':memory:', f'.read {script}')


def gcc(folder):
    source = pathlib.Path(folder) / 'large.c'
    with open(source, 'w') as text:
        for i in range(900):
            text.write(f'struct s{i} {{ int a; char *b; struct s{i} *c; }};\n'
                       f'int f{i}(struct s{i} *s, int n) {{ int t = 0; for (int i = 0; i < n; i++) '
                       f'{{ switch (i % 5) {{ case 0: t += s->a; break; case 1: t ^= n * {i}; break; default: t -= i; }} '
                       f's = s->c ? s->c : s; }} return t + {i}; }}\n')
    return Command(folder, 'gcc', '-O2', '-c', source, '-o', '/dev/null')


def python3(folder):
    script = pathlib.Path(folder) / 'script.py'
    script.write_text('''
import collections, json, re
words = [f"{i * 7919 % 10007:x}-{i}" for i in range(60000)]
for _ in range(12):
    counted = collections.Counter(w[:2] for w in words)
    text = json.dumps({w: [i, {"n": i * 0.5}] for i, w in enumerate(words)})
    table = json.loads(text)
    found = [m.group(1) for w in words if (m := re.match(r"([0-9]+)-", w))]
    ordered = sorted(table, key=lambda w: (table[w][1]["n"], w))
    class Node:
        def __init__(self, n): self.n, self.next = n, None
    head = None
    for n in range(100000):
        node = Node(n); node.next = head; head = node
    sum(n * n for n in range(300000))
''')
    return Command(folder, '/usr/bin/python3', script)


PROGRAMS = {
    'redis': ('redis-server under redis-benchmark', redis, '{:.1f} s of CPU plain, for half a million requests'),
    'pgbench': ('PostgreSQL under pgbench with 4 clients', pgbench, '{:.3g} s of CPU plain a transaction, in 10 s'),
    'pgbench_one': ('PostgreSQL under pgbench with the one client it has by default',
                    functools.partial(pgbench, clients=1), '{:.3g} s of CPU plain a transaction, in 10 s'),
    'sqlite3': ('sqlite3', sqlite3, '{:.1f} s of CPU plain'),
    'gcc': ('gcc -O2', gcc, '{:.1f} s of CPU plain: the driver, cc1 and as'),
    'python3': ('python3', python3, '{:.1f} s of CPU plain'),
}


def rounds(programs, ways, seconds):
    """Ratios by way, for about that long; and the seconds of the last plain one."""
    asking, working = (['taskset', '-c', str(processor)] for processor in sorted(os.sched_getaffinity(0))[:2])
    ratios, took = {way: [] for way in ways}, 0

    def both(way, turned):
        """CPU seconds of the plain and the watched one; turned: it is the other of two equal programs."""
        order = [way, 'plain'] if turned else ['plain', way]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            seconds = list(pool.map(lambda program, way: program.run(way, working, asking), programs, order))
        return seconds[::-1] if turned else seconds

    both(ways[0], False)
    start, longest, turned = time.monotonic(), 0, False
    while time.monotonic() + longest < start + seconds:
        before = time.monotonic()
        for way in ways:
            took, watched = both(way, turned)
            ratios[way].append(watched / took)
        turned = not turned
        longest = max(longest, time.monotonic() - before)
    return ratios, took


def start_and_end(ways):
    """What a process more of ours costs that does nothing: as root, and as a user, who mounts by fusermount3."""
    names = {'default': 'the default collectors', 'all': 'every collector', 'none': 'no collector'}
    folder = tempfile.mkdtemp(prefix='proffs-bench-')
    os.chmod(folder, 0o755)
    users = {'root': ([], folder, PROFFS)} if os.getuid() == 0 else {'a user': ([], folder, PROFFS)}
    if os.getuid() == 0 and shutil.which('fusermount3'):
        os.mkdir(f'{folder}/home')
        shutil.chown(f'{folder}/home', 'nobody')
        user = ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups']
        users['a user'] = (user, f'{folder}/home', own_world(folder))
    try:
        for who, (become, place, proffs) in users.items():
            took = {way: [] for way in ['plain', *ways]}
            for _ in range(12):
                for way, list_ in took.items():
                    list_.append(ended(subprocess.Popen([*become, *watch(place, way, proffs), 'sleep', '0.5'],
                                                        stderr=subprocess.DEVNULL)))
            for way in ways:
                more = [watched - plain for watched, plain in zip(took[way], took['plain'])]
                middle, low, high = (1000 * value for value in interval(more))
                row(f'CPU time of a start and an end, `sleep 0.5` as {who}, {names.get(way, way)}', '',
                    f'+{middle:.1f} ms [{low:+.1f}, {high:+.1f}] (n={len(more)})',
                    f'{1000 * statistics.median(took["plain"]):.1f} ms plain')
    finally:
        subprocess.run(['umount', '-l', f'{folder}/dev', f'{folder}/build', '/dev/fuse'], stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    for name in sys.argv[1:] or ['start', *PROGRAMS]:
        name, _, way = name.partition(':')
        if name == 'start':
            start_and_end(way.split(',') if way else ['default', 'all'])
            continue
        what, make, length = PROGRAMS[name]
        ways = way.split(',') if way else ['default', 'all']
        folder = tempfile.mkdtemp(prefix='proffs-bench-')
        os.chmod(folder, 0o755)
        try:
            programs = []
            for i in 'ab':
                os.mkdir(f'{folder}/{i}')
                programs.append(make(f'{folder}/{i}'))
            ratios, took = rounds(programs, ways, SECONDS)
        finally:
            for i in 'ab':
                subprocess.run(['umount', '-l', f'{folder}/{i}/dev', f'{folder}/{i}/build'], stderr=subprocess.DEVNULL)
            shutil.rmtree(folder, ignore_errors=True)
        for way in ways:
            with_what = {'default': 'the default collectors', 'all': 'every collector'}.get(way, way)
            row(f'CPU time of {what}, {with_what}', BARS.get(way, ''), percent(ratios[way]), length.format(took))


if __name__ == '__main__':
    main()
