#include "sampling.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct {
	work_fn *work;
	int depth;
	int64_t period_ns;
	uint32_t samples, done;
	on_sample_fn *on_sample;
	void *arg;
	volatile bool stop;
} now;

static void on_signal(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	if (now.done < now.samples) {
		now.on_sample(context, now.arg);
		now.done++;
	} else {
		now.stop = true;
	}
	errno = saved;
}

static void *run_work(void *arg)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
	struct itimerspec every = {{0, now.period_ns}, {0, now.period_ns}};
	timer_t timer;

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &every, NULL) != 0)
		abort();
	now.work(now.depth, &now.stop);
	timer_delete(timer);
	return NULL;
}

void sampling_run(work_fn *work, int depth, int64_t period_ns, uint32_t samples,
    on_sample_fn *on_sample, void *arg)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t thread;

	memset(&now, 0, sizeof(now));
	now.work = work;
	now.depth = depth;
	now.period_ns = period_ns;
	now.samples = samples;
	now.on_sample = on_sample;
	now.arg = arg;
	sigaction(SIGRTMIN + 3, &action, NULL);
	if (pthread_create(&thread, NULL, run_work, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

static void *call(void *run)
{
	((void (*)(void))run)();
	return NULL;
}

void sampling_in_thread(void (*run)(void))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, call, (void *)run) != 0)
		abort();
	pthread_join(thread, NULL);
}
