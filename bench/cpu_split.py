"""Does a CPU profile tell the truth? Shares by function and by thread, against known answers."""
import concurrent.futures
import os
import statistics
import subprocess
import tempfile

from bench import TARGET, Watched, row, top

TRUTH = {'fifty': 50, 'thirty': 30, 'twenty': 20}
RUNS = 7


def shares_of_functions():
    with Watched(TARGET / 'split3', '100000', sets=['cpu/hz=97']) as program:
        path = program.tree / 'debug/pprof/profile?seconds=10'
        with tempfile.NamedTemporaryFile(suffix='.pprof') as copy:
            copy.write(path.read_bytes())
            copy.flush()
            # busy_leaf does the work: what counts is who called it.
            done = subprocess.run(['go', 'tool', 'pprof', '-top', '-cum', copy.name],
                                  capture_output=True, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 6 and words[5] in TRUTH:
            found[words[5]] = float(words[4].rstrip('%'))
    return found


def shares_by_perf():
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, 'data')
        subprocess.run(['perf', 'record', '-q', '-F', '97', '--call-graph', 'dwarf', '-o', data, '--', TARGET / 'split3', '10'],
                       check=True, capture_output=True)
        done = subprocess.run(['perf', 'report', '-i', data, '--children', '--stdio', '-g', 'none', '--percent-limit', '1'],
                              check=True, capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 5 and words[-1] in TRUTH and words[0].endswith('%'):
            found[words[-1]] = float(words[0].rstrip('%'))
    return found


def worst(found):
    return max(abs(found.get(name, 0) - share) for name, share in TRUTH.items())


def shares_of_threads():
    with Watched(TARGET / 'shares', '12', sets=['cpu/hz=97']) as program:
        subprocess.run(['cp', program.tree / 'debug/pprof/profile?seconds=10', program.folder + '/p'], check=True)
        truth = {}
        for line in program.process.communicate()[0].splitlines():
            name, used = line.split()
            truth[name] = float(used)
        done = subprocess.run(['go', 'tool', 'pprof', '-tags', program.folder + '/p'],
                              capture_output=True, text=True, check=True)
        os.unlink(program.folder + '/p')
    total, found = sum(truth.values()), {}
    for line in done.stdout.splitlines():
        words = line.replace('(', ' ').replace('%)', '% ').replace(':', ' ').split()
        for name in words:
            if name.startswith('load_'):
                found[name] = float(next(w for w in words if w.endswith('%')).rstrip('%'))
    return max(abs(found.get(name, 0) - used / total * 100) for name, used in truth.items())


def errors(measure):
    """Of the worst function, in several runs."""
    try:
        return [worst(measure()) for _ in range(RUNS)]
    except (OSError, subprocess.CalledProcessError):
        return []


def main():
    # A processor each. Chance alone makes 970 samples of a half 1.6 points wrong (one standard deviation).
    with concurrent.futures.ThreadPoolExecutor() as pool:
        peer = pool.submit(errors, shares_by_perf)
        ours, perf = errors(shares_of_functions), peer.result()
    row('50/30/20 split, 10 s of CPU at 97 Hz: worst function', '<= 2 points',
        f'{statistics.median(ours):.1f} points (median of {RUNS} runs; largest {max(ours):.1f})',
        f'perf {statistics.median(perf):.1f} (largest {max(perf):.1f})' if perf else 'perf: does not run here')
    row("16 threads, unequal load: worst thread's share", '<= 1 point', f'{shares_of_threads():.2f} points',
        'their own clocks')


if __name__ == '__main__':
    main()
