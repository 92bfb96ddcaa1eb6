/* Truth: main has the labels request=/checkout and tier=gold when it creates the threads "heir", which
 * has both, and "other", which then says request=/search for itself and takes its tier away; main has
 * none afterwards. "heir" spins, "other" sleeps below other_sleep(), main waits for both. "ready" is
 * printed when all this is so.
 */
#include "task.h"

#include <proffs/proffs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static pthread_barrier_t all_said;
static volatile uint64_t sink;
static pid_t other_tid;

static __attribute__((noinline)) void heir_spin(void)
{
	for (;;)
		sink = sink * 31 + 1;
}

static __attribute__((noinline)) void other_sleep(void)
{
	task_says(&other_tid);
	for (;;)
		pause();
}

static void *run_heir(void *unused)
{
	pthread_setname_np(pthread_self(), "heir");
	pthread_barrier_wait(&all_said);
	heir_spin();
	return unused;
}

static void *run_other(void *unused)
{
	pthread_setname_np(pthread_self(), "other");
	proffs_label_set("request", "/search \x1b[31m");
	proffs_label_clear("tier");
	pthread_barrier_wait(&all_said);
	other_sleep();
	return unused;
}

int main(void)
{
	pthread_t heir, other;

	pthread_barrier_init(&all_said, NULL, 3);
	proffs_label_set("tier", "gold");
	proffs_label_set("request", "/checkout");
	if (pthread_create(&heir, NULL, run_heir, NULL) != 0 ||
	    pthread_create(&other, NULL, run_other, NULL) != 0)
		return 1;
	proffs_label_clear(NULL);
	pthread_barrier_wait(&all_said);
	task_wait_asleep(&other_tid);
	printf("ready\n");
	fflush(stdout);
	pthread_join(heir, NULL);
	return 0;
}
