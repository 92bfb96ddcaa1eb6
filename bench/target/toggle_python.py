"""The cost of heap sampling in python3 with PYTHONMALLOC=malloc: switched by the program itself.

usage: toggle_python.py TREE ROUNDS
       toggle_python.py plain ROUNDS       only the work, for profilers that start with the process
"""
import sys
import time


def work():
    table = {}
    for i in range(30000):
        table[str(i)] = [i, (i, str(i * 7))]
    text = ','.join(sorted(table))
    return len(text.split(',')), [dict(a=i, b=[i] * 3) for i in range(20000)]


def timed():
    start = time.thread_time_ns()
    work()
    return time.thread_time_ns() - start


def main():
    tree, rounds = sys.argv[1], int(sys.argv[2])
    if tree == 'plain':
        for _ in range(rounds):
            work()
        return
    deadline = time.monotonic() + 10
    while True:
        try:
            switch = open(tree + '/enable', 'w', buffering=1)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    switch.write('0\n')
    work()
    before = timed()
    for i in range(rounds):
        if i % 2:
            switch.write('+heap\n')
        work()  # a switch leaves cold caches: what is on costs, not the switch
        took = timed()
        if i % 2:
            switch.write('-heap\n')
        work()
        after = timed()
        print('proffs' if i % 2 else 'null', took / ((before + after) / 2))
        before = after


main()
