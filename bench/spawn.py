"""What being preloaded costs: a child of `proffs run` that stays dormant, and a program with everything off."""
import subprocess

from bench import BUILD, TARGET, interval, row

ROUNDS = 600


def main():
    done = subprocess.run(
        [TARGET / 'spawn', str(ROUNDS), BUILD / 'libproffs.so', TARGET / 'libbench_empty.so',
         'PROFFS_MOUNT=/nowhere', 'PROFFS_RUN=1:1'], capture_output=True, text=True, check=True)
    rounds = [[int(word) / 1000 for word in line.split()] for line in done.stdout.splitlines()]
    ours = interval([preloaded - plain for plain, preloaded, _ in rounds])
    empty = interval([nothing - plain for plain, _, nothing in rounds])
    plain = interval([each[0] for each in rounds])
    row('dormant in a child of `proffs run`: /bin/true, spawn to exit', '<= 80 us more',
        f'{ours[0]:+.0f} us [{ours[1]:+.0f}, {ours[2]:+.0f}] (n={ROUNDS})',
        f'an empty library {empty[0]:+.0f} us [{empty[1]:+.0f}, {empty[2]:+.0f}]; without any {plain[0]:.0f} us')


if __name__ == '__main__':
    main()
