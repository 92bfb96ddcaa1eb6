/* Walks of an aarch64 program, for the emulator: no test library there. Says what it saw; exit 1 when
 * a stack was not complete.
 *
 * The right answer: every stack taken at a random moment of f1..f4 ends in a root and goes through
 * the caller of `begin`; some of them in a handler of the program, on another stack.
 */
#include "base/profile.h"
#include "sampler/stack.h"
#include "sampler/unwind.h"

#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 300, MAX = 500, DEPTH = 14 };

static volatile bool stop;
static volatile long sink;
static volatile uint64_t bottom; /* a PC that every stack must show; 0: not there yet */
static volatile uint32_t taken;
static uint32_t complete, in_handlers;
static volatile bool handling;

static void on_sample(int number, siginfo_t *info, void *context)
{
	static uint64_t pcs[MAX];
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	enum pf_unwind_end end;
	uint32_t count;

	if (bottom == 0 || stop)
		return;
	pf_unwind_from_context(&regs, context);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	count = pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
	for (uint32_t i = 0; i < count && end == PF_UNWIND_ROOT; i++) {
		if (pcs[i] == bottom)
			complete++;
	}
	in_handlers += handling;
	stop = ++taken == SAMPLES;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void work(void)
{
	char text[100];
	int values[50];

	for (int i = 0; i < 50; i++)
		values[i] = rand();
	qsort(values, 50, sizeof(values[0]), by_value);
	snprintf(text, sizeof(text), "%d %g", values[3], values[4] * 1.5);
	sink += strtol(text, NULL, 10);
}

/* No malloc: it may have interrupted one. */
static void on_signal(int number)
{
	handling = true;
	work();
	handling = false;
}

static __attribute__((noinline)) void leaf(void)
{
	while (!stop) {
		work();
		raise(SIGUSR1);
		free(malloc((size_t)rand() & 4095));
	}
}

static __attribute__((noinline)) int f1(int depth);

static __attribute__((noinline)) int f2(int depth)
{
	volatile char *room = alloca((size_t)depth * 30 + 5);

	room[0] = (char)depth;
	return f1(depth - 1) + room[0];
}

static __attribute__((noinline)) int f3(int depth)
{
	volatile char room[64] __attribute__((aligned(64)));

	room[0] = (char)depth;
	return f1(depth - 1) + room[0];
}

static __attribute__((noinline)) int f4(int depth)
{
	volatile char room[9000];

	room[depth] = (char)depth;
	return f1(depth - 1) + room[depth];
}

static __attribute__((noinline)) int f1(int depth)
{
	volatile int keep = depth;

	if (depth <= 0)
		leaf();
	else if (depth % 3 == 0)
		keep += f2(depth);
	else
		keep += depth % 3 == 1 ? f3(depth) : f4(depth);
	return keep;
}

static __attribute__((noinline)) void begin(void)
{
	bottom = (uintptr_t)__builtin_return_address(0) - 1;
	f1(DEPTH);
	bottom = 0;
}

static void *run(void *arg)
{
	struct pf_unwind_memory memory;
	const uint64_t *pcs;
	uint32_t count;

	static char other_stack[65536];
	stack_t other = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};

	sigaltstack(&other, NULL);
	pf_stack_init();
	pf_unwind_bounds((uintptr_t)__builtin_frame_address(0), &memory);
	count = pf_stack_read(pf_stack_capture_here(), &pcs);
	printf("own stack %s; %u frames from here, the last %s\n",
	    memory.foreign ? "not known" : "known", count,
	    pf_pc_marker_name(pcs[count - 1]) ? pf_pc_marker_name(pcs[count - 1]) : "a root");
	begin();
	sink++;
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_sample, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction own = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
	pthread_t thread;

	sigaction(SIGPROF, &action, NULL);
	sigaction(SIGUSR1, &own, NULL);
	pthread_create(&thread, NULL, run, NULL);
	while (!stop) {
		uint32_t before = taken;

		nanosleep(&pause, NULL);
		pthread_kill(thread, SIGPROF);
		/* A sample may take longer than the pause: the thread shall come on between two. */
		for (int i = 0; i < 500 && taken == before && !stop; i++)
			nanosleep(&pause, NULL);
	}
	pthread_join(thread, NULL);
	printf("%u stacks, %u in a handler, %u complete\n", taken, in_handlers, complete);
	return complete != SAMPLES || in_handlers == 0;
}
