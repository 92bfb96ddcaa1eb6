/* One capture of a 30-frame stack in a signal handler: nanoseconds, median and 99th percentile, of
 * ours and of what else there is, one after the other at the same interrupted instruction.
 *
 * The code on the stack is what compilers make at -O2 without frame pointers: 32 different functions,
 * some with alloca, some realigned; the leaf calculates, so the interrupted PC is another each time.
 */
#define UNW_LOCAL_ONLY
#include "sampler/stack.h"
#include "sampler/unwind.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { SAMPLES = 5000, WARM = 200, PERIOD_NS = 250 * 1000, MAX = 200, DEPTH = 26 };

static volatile bool stop;
static volatile uint64_t sink;

/* ---- the stack ---- */

typedef uint64_t frame_fn(int depth, uint64_t x);

static __attribute__((noinline)) uint64_t leaf(uint64_t x)
{
	while (!stop) {
		for (int i = 0; i < 1000; i++)
			x = x * 6364136223846793005ull + (x >> 33) + (uint64_t)i;
		sink = x;
	}
	return x;
}

static frame_fn *const frames[];

static uint64_t down(int depth, uint64_t x)
{
	return depth == 0 ? leaf(x) : frames[depth % 32](depth - 1, x);
}

#define PLAIN(n)                                                                                   \
	static __attribute__((noinline)) uint64_t plain_##n(int depth, uint64_t x)                 \
	{                                                                                          \
		uint64_t a = x * (n + 3), b = a ^ sink;                                            \
                                                                                                   \
		return down(depth, b) + a * b;                                                     \
	}
#define GROWN(n)                                                                                   \
	static __attribute__((noinline)) uint64_t grown_##n(int depth, uint64_t x)                 \
	{                                                                                          \
		volatile char *room = alloca(x % 64 + n);                                          \
                                                                                                   \
		room[0] = n;                                                                       \
		return down(depth, x) + (uint64_t)room[0];                                         \
	}
#define ALIGNED(n)                                                                                 \
	static __attribute__((noinline)) uint64_t aligned_##n(int depth, uint64_t x)               \
	{                                                                                          \
		volatile char room[64] __attribute__((aligned(64)));                               \
                                                                                                   \
		room[x & 63] = n;                                                                  \
		return down(depth, x) + (uint64_t)room[5];                                         \
	}
#define FOUR(n, a, b, c) PLAIN(n##0) PLAIN(n##1) a(n##2) b(n##3)
FOUR(1, PLAIN, GROWN, )
FOUR(2, PLAIN, ALIGNED, )
FOUR(3, PLAIN, GROWN, )
FOUR(4, PLAIN, PLAIN, )
FOUR(5, PLAIN, GROWN, )
FOUR(6, PLAIN, ALIGNED, )
FOUR(7, PLAIN, GROWN, )
FOUR(8, PLAIN, PLAIN, )

static frame_fn *const frames[] = {plain_10, plain_11, plain_12, grown_13, plain_20, plain_21,
    plain_22, aligned_23, plain_30, plain_31, plain_32, grown_33, plain_40, plain_41, plain_42,
    plain_43, plain_50, plain_51, plain_52, grown_53, plain_60, plain_61, plain_62, aligned_63,
    plain_70, plain_71, plain_72, grown_73, plain_80, plain_81, plain_82, plain_83};

/* ---- the ways ---- */

static uint64_t pcs[MAX];
static void *addresses[MAX];

static uint32_t by_capture(const ucontext_t *context)
{
	const uint64_t *stored;

	return pf_stack_read(pf_stack_capture_context(context), &stored);
}

static uint32_t by_cfi(const ucontext_t *context)
{
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	enum pf_unwind_end end;

	pf_unwind_from_context(&regs, context);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	return pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
}

static uint32_t by_lib(const ucontext_t *context)
{
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	enum pf_unwind_end end;

	pf_unwind_from_context(&regs, context);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	return pf_unwind_lib(&regs, &memory, pcs, MAX, &end);
}

static uint32_t by_unw_backtrace(const ucontext_t *context)
{
	return (uint32_t)unw_backtrace(addresses, MAX);
}

/* Of glibc itself: libunwind has one of that name too. */
static int (*glibc_backtrace)(void **, int);

static uint32_t by_glibc(const ucontext_t *context)
{
	return (uint32_t)glibc_backtrace(addresses, MAX);
}

static const struct {
	const char *name;
	uint32_t (*take)(const ucontext_t *context);
} ways[] = {
    {"capture: walked, cut and stored", by_capture},
    {"walked only", by_cfi},
    {"unw_backtrace (unsafe)", by_unw_backtrace},
    {"libunwind's generic API", by_lib},
    {"glibc backtrace", by_glibc},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* ---- the clock and the samples ---- */

static uint32_t taken;
static double ns_of[WAYS][SAMPLES], found_ns_of[WAYS][SAMPLES];
static uint32_t frames_of[WAYS];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What reading the clock itself costs between two readings. */
static double clock_cost(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t start = now_ns(), cost = now_ns() - start;

		least = cost < least ? cost : least;
	}
	return (double)least;
}

static void on_sample(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	uint32_t way = taken % WAYS, turn = taken / WAYS;
	uint64_t start, middle, end;

	if (turn == SAMPLES + WARM) {
		stop = true;
		return;
	}
	start = now_ns();
	frames_of[way] = ways[way].take(context);
	middle = now_ns();
	ways[way].take(context);
	end = now_ns();
	if (turn >= WARM) {
		found_ns_of[way][turn - WARM] = (double)(middle - start);
		ns_of[way][turn - WARM] = (double)(end - middle);
	}
	taken++;
	errno = saved;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void *run(void *arg)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
	struct itimerspec every = {{0, PERIOD_NS}, {0, PERIOD_NS}};
	timer_t timer;

	pf_stack_init();
	glibc_backtrace = (int (*)(void **, int))dlsym(dlopen("libc.so.6", RTLD_NOW), "backtrace");
	if (pf_unwind_lib_open() != 0 || unw_backtrace(addresses, MAX) == 0 || by_glibc(NULL) == 0)
		abort();
	unw_set_caching_policy(unw_local_addr_space, UNW_CACHE_GLOBAL);
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &every, NULL) != 0)
		abort();
	sink = down(DEPTH, (uint64_t)time(NULL));
	timer_delete(timer);
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_sample, .sa_flags = SA_SIGINFO | SA_RESTART};
	double cost = clock_cost();
	pthread_t thread;

	sigaction(SIGRTMIN + 3, &action, NULL);
	pthread_create(&thread, NULL, run, NULL);
	pthread_join(thread, NULL);
	for (uint32_t way = 0; way < WAYS; way++) {
		qsort(ns_of[way], SAMPLES, sizeof(ns_of[way][0]), by_size);
		qsort(found_ns_of[way], SAMPLES, sizeof(ns_of[way][0]), by_size);
		printf("%s\t%.0f\t%.0f\t%.0f\t%u\n", ways[way].name, ns_of[way][SAMPLES / 2] - cost,
		    ns_of[way][SAMPLES * 99 / 100] - cost, found_ns_of[way][SAMPLES / 2] - cost,
		    frames_of[way]);
	}
	return 0;
}
