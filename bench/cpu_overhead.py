"""CPU profile of a busy program at 97 and 1000 Hz: slowdown, beside gperftools and perf."""
import subprocess

from bench import TARGET, percent, row


def toggled(hz, rounds, units):
    """Ratios by way, from one process that switches the profilers on and off."""
    done = subprocess.run([TARGET / 'cpu_toggle', str(hz), str(rounds), str(units)],
                          capture_output=True, text=True, check=True)
    ratios = {}
    for line in done.stdout.splitlines():
        name, ratio = line.split()
        ratios.setdefault(name, []).append(float(ratio))
    return ratios


def under_perf(hz, pairs, units):
    """Ratios of a run under `perf record -g` to the mean of its neighbours without."""
    plain = [TARGET / 'busy', str(units)]
    perf = ['perf', 'record', '-q', '-F', str(hz), '-g', '-o', '/dev/null', '--', *plain]

    def took(command):
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    ratios, before = [], took(plain)
    for _ in range(pairs):
        middle, after = took(perf), took(plain)
        ratios.append(middle / ((before + after) / 2))
        before = after
    return ratios


def perf_cell(hz):
    try:
        return 'perf ' + percent(under_perf(hz, 9, 30000))
    except (OSError, subprocess.CalledProcessError) as error:
        return f'perf: does not run here ({error})'


def main():
    for hz, bar in ((97, '<= 0.3 %'), (1000, '<= 1.5 %')):
        ratios = toggled(hz, 180, 5000)
        peers = '; '.join(f'{name} {percent(ratios[name])}' for name in ('gperftools', 'null') if name in ratios)
        row(f'CPU profile {hz} Hz of a busy program', bar, percent(ratios['proffs']), f'{peers}; {perf_cell(hz)}')


if __name__ == '__main__':
    main()
