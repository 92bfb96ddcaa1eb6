"""What reading costs: a small file beside procfs and HTTP, a large one beside tmpfs, 200 readers at once."""
import pathlib
import shutil
import subprocess
import tempfile

from bench import TARGET, Watched, interval, row

ROUNDS, CROWDS, STREAMS, DEPTH = 2000, 15, 5, 16
FETCH = TARGET / 'fetch'


def run(*words):
    return subprocess.run([FETCH, *map(str, words)], capture_output=True, text=True, check=True).stdout


def shown(values, digits=1):
    middle, low, high = interval(values)
    return f'{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]'


def requests(watched):
    for line in watched.read('status').decode().splitlines():
        if line.startswith('fs_requests '):
            return int(line.split()[1])
    return 0


def small(watched):
    """open, read, close of the same bytes, in turns."""
    copy = pathlib.Path(watched.folder) / 'copy'
    copy.write_bytes(watched.read('status'))
    server = subprocess.Popen([FETCH, 'serve', copy], stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().strip()
    rounds = [[float(word) for word in line.split()] for line in run(
        'time', ROUNDS, watched.tree / 'status', '/proc/self/status', f':{port}', watched.tree / 'cpu' / 'hz').splitlines()]
    before = requests(watched)
    for _ in range(20):
        subprocess.run(['cat', watched.tree / 'status'], stdout=subprocess.DEVNULL, check=True)
    trips = (requests(watched) - before) / 21
    row('`status`, open to close, as a multiple of /proc/self/status', '-',
        f'{shown([r[0] / r[1] for r in rounds])} times; {shown([r[0] for r in rounds])} us, {trips:.1f} round trips a `cat`',
        f'procfs {shown([r[1] for r in rounds])} us; a control (`cpu/hz`) {shown([r[3] for r in rounds])} us')
    row('the same, as a multiple of an HTTP server on loopback with the same bytes', '-',
        f'{shown([r[0] / r[2] for r in rounds], 2)} times', f'HTTP, a connection each, C server and client: '
        f'{shown([r[2] for r in rounds])} us')
    crowd(watched, port)
    server.kill()
    server.wait()


def crowd(watched, port):
    times = {}
    for _ in range(CROWDS):
        for name, what in (('tree', watched.tree / 'status'), ('http', f':{port}'), ('procfs', '/proc/self/status')):
            took, bad = run('crowd', 200, what).split()
            assert bad == '0', (name, bad)
            times.setdefault(name, []).append(float(took) / 1000)
    ratio = [ours / theirs for ours, theirs in zip(times['tree'], times['http'])]
    row('200 readers of `status` at once, as a multiple of the same with HTTP', '-',
        f'{shown(ratio, 2)} times; {shown(times["tree"])} ms, all of them whole',
        f'HTTP {shown(times["http"])} ms; procfs {shown(times["procfs"])} ms')


def large():
    folder = pathlib.Path(tempfile.mkdtemp(prefix='proffs-bench-', dir='/dev/shm'))
    tree = folder / 'tree'
    program = subprocess.Popen([TARGET / 'many_stacks', tree, str(DEPTH)], stdout=subprocess.PIPE, text=True)
    try:
        program.stdout.readline()
        file, copy = tree / 'custom' / 'leaves.folded', folder / 'copy'
        copy.write_bytes(file.read_bytes())
        mib = copy.stat().st_size / 2**20
        ours, theirs, made = [], [], []
        for _ in range(STREAMS):
            opening, reading, size = map(float, run('stream', file).split())
            plain = sum(map(float, run('stream', copy).split()[:2]))
            assert size == copy.stat().st_size
            ours.append(mib * 1e6 / reading)
            made.append(mib * 1e6 / (opening + reading))
            theirs.append(mib * 1e6 / plain)
        row(f'a generated file of {mib:.0f} MiB, reading it once it is open, as a share of tmpfs', '-',
            f'{shown([a / b for a, b in zip(ours, theirs)], 2)}; {shown(ours, 0)} MiB/s',
            f'the same bytes from tmpfs {shown(theirs, 0)} MiB/s; collecting, naming and drawing included {shown(made, 0)} MiB/s')
    finally:
        program.terminate()
        program.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    with Watched('sleep', '1000') as watched:
        small(watched)
    large()


if __name__ == '__main__':
    main()
