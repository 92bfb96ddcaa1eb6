/* Compiled once for each flavour, with DEEP and SLEEP its two names. */
#include "deep.h"
#include "sampler/stack.h"

#include <alloca.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define APART __attribute__((noinline))
/* A frame must be there: no call may become a jump. */
#define STAY __asm__ volatile("" ::: "memory")

static long next(struct deep *d, int depth, long x);

static APART long plain(struct deep *d, int depth, long x)
{
	long y = next(d, depth, x + 1);

	STAY;
	return y + 1;
}

static APART long saves_registers(struct deep *d, int depth, long x)
{
	long a = x ^ 3, b = x & 5, c = x | depth, e = ~x, f = a ^ b, y;

	STAY;
	y = next(d, depth, a ^ f);
	STAY;
	return (a & b) ^ c ^ e ^ f ^ y;
}

static APART long small_array(struct deep *d, int depth, long x)
{
	volatile char array[40];
	long y;

	array[x & 31] = (char)x;
	y = next(d, depth, x + array[1]);
	STAY;
	return y + array[x & 31];
}

static APART long large_array(struct deep *d, int depth, long x)
{
	volatile char array[3000];
	long y;

	array[x & 2047] = (char)x;
	y = next(d, depth, x);
	STAY;
	return y + array[x & 2047];
}

static APART long grows(struct deep *d, int depth, long x)
{
	volatile char *room = alloca(16 + (x & 255));
	long y;

	room[0] = (char)x;
	y = next(d, depth, x);
	STAY;
	return y + room[0];
}

static APART long aligns(struct deep *d, int depth, long x)
{
	_Alignas(64) volatile char array[128];
	long y;

	array[x & 127] = (char)x;
	y = next(d, depth, x);
	STAY;
	return y + array[x & 127];
}

static APART long nine_arguments(
    struct deep *d, int depth, long a, long b, long c, long e, long f, long g, long h)
{
	long y = next(d, depth, a + b);

	STAY;
	return y + c * e + f - g + h;
}

static APART long passes_on_the_stack(struct deep *d, int depth, long x)
{
	long y = nine_arguments(d, depth, x, 2, 3, 4, 5, 6, 7);

	STAY;
	return y;
}

static APART long floats(struct deep *d, int depth, long x)
{
	volatile double z = (double)(x & 1023) * 1.5;
	long y = next(d, depth, (long)z);

	STAY;
	return y + (long)z;
}

static long (*volatile through_pointer)(struct deep *, int, long) = plain;

static APART long next(struct deep *d, int depth, long x)
{
	long y;

	if (depth <= 0) {
		y = d->leaf(d, x);
		STAY;
		return y;
	}
	switch (deep_draw(d) % 9) {
	case 0:
		y = plain(d, depth - 1, x);
		break;
	case 1:
		y = saves_registers(d, depth - 1, x);
		break;
	case 2:
		y = small_array(d, depth - 1, x);
		break;
	case 3:
		y = large_array(d, depth - 1, x);
		break;
	case 4:
		y = grows(d, depth - 1, x);
		break;
	case 5:
		y = aligns(d, depth - 1, x);
		break;
	case 6:
		y = passes_on_the_stack(d, depth - 1, x);
		break;
	case 7:
		y = floats(d, depth - 1, x);
		break;
	default:
		y = through_pointer(d, depth - 1, x);
	}
	STAY;
	return y;
}

long DEEP(struct deep *d, int depth, long x)
{
	long y = next(d, depth, x);

	STAY;
	return y;
}

/* Every way is ended by a byte in the pipe, a wake of the word, or by itself after long. */
long SLEEP(struct deep *d, long x)
{
	struct timespec time = {0, 20000000};
	struct pollfd fd = {d->pipe, POLLIN, 0};
	fd_set set;
	char byte = 0;

	d->truth = pf_stack_capture_here();
	__atomic_store_n(&d->ready, 1, __ATOMIC_RELEASE);
	switch (d->way) {
	case 0:
		nanosleep(&time, NULL);
		break;
	case 1:
		poll(&fd, 1, -1);
		break;
	case 2:
		if (read(d->pipe, &byte, 1) < 0)
			errno = 0;
		break;
	case 3:
		FD_ZERO(&set);
		FD_SET(d->pipe, &set);
		select(d->pipe + 1, &set, NULL, NULL, NULL);
		break;
	case 4:
		syscall(SYS_futex, &d->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		break;
	case 5:
		clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
		break;
	case 6:
		ppoll(&fd, 1, NULL, NULL);
		break;
	default:
		usleep(20000);
	}
	STAY;
	return x + byte;
}
