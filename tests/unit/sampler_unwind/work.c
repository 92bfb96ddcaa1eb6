#include "work.h"

#include <alloca.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile double sink;
static volatile char text[512];

static int by_value(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void sort_some(void)
{
	int values[64];

	for (int i = 0; i < 64; i++)
		values[i] = rand();
	qsort(values, 64, sizeof(values[0]), by_value);
	sink += values[7];
}

static void write_some(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(
	    (char *)text, sizeof(text), "%ld %s %g %.3f", now.tv_nsec, "abc", sink, sqrt(sink));
	sink += strtod((char *)text, NULL) + (double)strlen((char *)text);
	memset((char *)text, now.tv_nsec & 0xff, (size_t)(now.tv_nsec % 400));
}

static void allocate_some(void)
{
	char *all[16];

	for (int i = 0; i < 16; i++) {
		all[i] = malloc((size_t)(rand() & 0xfff));
		if (all[i])
			all[i][0] = 1;
	}
	for (int i = 0; i < 16; i++)
		free(all[i]);
	sink += sin(sink) + getppid();
}

static void leaf(volatile bool *stop)
{
	while (!*stop) {
		sort_some();
		write_some();
		allocate_some();
	}
}

static __attribute__((noinline)) long turn(int depth, volatile bool *stop);

/* A frame whose size is not known before it runs. */
static __attribute__((noinline)) long with_alloca(int depth, volatile bool *stop)
{
	volatile char *room = alloca((size_t)(16 + depth * 40));

	room[0] = (char)depth;
	return turn(depth - 1, stop) + room[0];
}

/* A frame that must be realigned: the CFA is reached through a saved register. */
static __attribute__((noinline)) long with_alignment(int depth, volatile bool *stop)
{
	volatile char room[64] __attribute__((aligned(64)));

	room[depth & 63] = (char)depth;
	return turn(depth - 1, stop) + room[depth & 63];
}

/* Both at once. */
static __attribute__((noinline)) long with_both(int depth, volatile bool *stop)
{
	volatile char room[32] __attribute__((aligned(32)));
	volatile char *more = alloca((size_t)(depth * 24 + 1));

	room[0] = more[0] = (char)depth;
	return turn(depth - 1, stop) + room[0] + more[0];
}

/* Every register that a call keeps is in use across the call. */
static __attribute__((noinline)) long with_registers(int depth, volatile bool *stop)
{
	long a = depth, b = a * 3, c = b + (long)text[0], d = c ^ a, e = d * 7, f = e + b;
	long below = turn(depth - 1, stop);

	return a + b * below + c - d + e * f + below * (a ^ f) + (b & e) - (c | d);
}

static __attribute__((noinline)) long with_arguments(int depth, volatile bool *stop, ...)
{
	va_list args;
	long sum;

	va_start(args, stop);
	sum = va_arg(args, int) + va_arg(args, int);
	va_end(args);
	return sum + turn(depth - 1, stop);
}

/* More arguments than there are registers for: pushed around the call. */
static __attribute__((noinline)) long with_pushes(
    long a, long b, long c, long d, long e, long f, long g, int depth, volatile bool *stop)
{
	return turn(depth - 1, stop) + a + b * c + d * e + f * g;
}

static __attribute__((noinline)) long turn(int depth, volatile bool *stop)
{
	if (depth <= 0) {
		leaf(stop);
		return 0;
	}
	switch (depth % 6) {
	case 0:
		return with_alloca(depth, stop) + 1;
	case 1:
		return with_alignment(depth, stop) + 2;
	case 2:
		return with_both(depth, stop) + 3;
	case 3:
		return with_registers(depth, stop) + 4;
	case 4:
		return with_arguments(depth, stop, 1, 2, 3, 4, 5, 6, 7) + 5;
	default:
		return with_pushes(1, 2, 3, 4, 5, 6, 7, depth, stop) + 6;
	}
}

void WORK_NAME(int depth, volatile bool *stop)
{
	sink += (double)turn(depth, stop);
}
