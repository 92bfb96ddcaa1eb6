"""python3 that makes small objects and drops them.

usage: objects.py TIMES
"""
import sys


def work():
    table = {}
    for i in range(30000):
        table[str(i)] = [i, (i, str(i * 7))]
    text = ','.join(sorted(table))
    return len(text.split(',')), [dict(a=i, b=[i] * 3) for i in range(20000)]


for _ in range(int(sys.argv[1])):
    work()
