/* Threads that stand still on stacks of several kinds, for a debugger to look at. Each prints what
 * back end A and back end B see from where it stands: `A TID PC...` from the caller of park() on.
 * When all stand, it prints `ready PID` and waits to be killed.
 */
#include "odd_frames.h"
#include "sampler/unwind.h"
#include "sampling.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX = 300, DEPTH = 60 };

typedef uint32_t walk_fn(const struct pf_unwind_regs *, const struct pf_unwind_memory *, uint64_t *,
    uint32_t, enum pf_unwind_end *);

static pthread_barrier_t all_stand;
static volatile bool for_ever = true;

static void print_stack(char which, const struct pf_unwind_regs *regs, walk_fn *walk)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct pf_unwind_memory memory;
	enum pf_unwind_end end;
	uint64_t pcs[MAX];
	uint32_t count;

	pf_unwind_bounds(regs->value[PF_REG_SP], &memory);
	count = walk(regs, &memory, pcs, MAX, &end);
	pthread_mutex_lock(&lock);
	printf("%c %ld", which, syscall(SYS_gettid));
	for (uint32_t i = 1; i < count; i++) /* 0 is park() itself */
		printf(" %lx", pcs[i]);
	printf("%s\n", end == PF_UNWIND_ROOT ? "" : " incomplete");
	pthread_mutex_unlock(&lock);
}

static __attribute__((noinline)) void park(void)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_here(&regs);
	print_stack('A', &regs, pf_unwind_lib);
	print_stack('B', &regs, pf_unwind_cfi);
	pthread_barrier_wait(&all_stand);
	while (for_ever)
		pause();
}

static int by_nothing(const void *a, const void *b)
{
	park();
	return 0;
}

static void in_a_callback(void)
{
	int values[] = {2, 1};

	qsort(values, 2, sizeof(values[0]), by_nothing);
}

static __attribute__((noinline)) int deep(int depth)
{
	volatile int keep = depth;

	if (depth == 0)
		park();
	else
		keep += deep(depth - 1);
	return keep;
}

static void in_deep_recursion(void)
{
	deep(DEPTH);
}

static void on_signal(int number)
{
	park();
}

static void in_a_signal_handler(void)
{
	raise(SIGUSR1);
}

static void in_a_handler_on_another_stack(void)
{
	stack_t stack = {.ss_sp = malloc(64 * 1024), .ss_size = 64 * 1024};

	sigaltstack(&stack, NULL);
	raise(SIGUSR2);
}

static void in_a_realigned_frame(void)
{
	volatile char room[64] __attribute__((aligned(64)));

	room[0] = 1;
	park();
	for_ever = room[0];
}

static void in_a_large_frame(void)
{
	odd_large(park);
}

static void (*const places[])(void) = {in_a_callback, in_deep_recursion, in_a_signal_handler,
    in_a_handler_on_another_stack, in_a_realigned_frame, in_a_large_frame};

static void *run(void *place)
{
	(*(void (*const *)(void))place)();
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	pthread_t thread;

	sampling_in_thread(pf_unwind_init);
	if (pf_unwind_lib_open() != 0)
		return 1;
	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
	pthread_barrier_init(&all_stand, NULL, PF_COUNT(places) + 1);
	for (size_t i = 0; i < PF_COUNT(places); i++)
		pthread_create(&thread, NULL, run, (void *)&places[i]);
	pthread_barrier_wait(&all_stand);
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
