/* Threads from known creators. Its truth, once it has printed "ready":
 *
 *     few_at_once    created  3, of which  3 live ("few")        pthread_create
 *     many_in_turn   created 40, of which  0 live                pthread_create
 *     by_standard    created  2, of which  1 lives               thrd_create
 *     a raw clone    created  1, of which  1 lives: nobody saw by whom
 *
 * Those that do not live are gone, from /proc, too.
 * On SIGUSR1: one of few_at_once ends, many_in_turn creates 10 more; prints "again".
 */
#include "task.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

static sem_t end_now[3];
static pid_t tid; /* of the thread that ends next */

static void *wait_for_end(void *end)
{
	sem_wait(end);
	task_says(&tid);
	return end;
}

static void *return_at_once(void *unused)
{
	task_says(&tid);
	return unused;
}

static int return_when(void *lives)
{
	if (lives)
		pause();
	task_says(&tid);
	return 0;
}

static void end(pthread_t thread)
{
	if (pthread_join(thread, NULL) != 0)
		abort();
	task_wait_gone(tid);
}

static pthread_t few[3];

static void few_at_once(void)
{
	for (int i = 0; i < 3; i++) {
		sem_init(&end_now[i], 0, 0);
		if (pthread_create(&few[i], NULL, wait_for_end, &end_now[i]) != 0)
			abort();
		pthread_setname_np(few[i], "few");
	}
}

static void many_in_turn(int count)
{
	pthread_t thread;

	for (int i = 0; i < count; i++) {
		if (pthread_create(&thread, NULL, return_at_once, NULL) != 0)
			abort();
		end(thread);
	}
}

static void by_standard(void)
{
	thrd_t thread;

	for (int lives = 0; lives < 2; lives++)
		if (thrd_create(&thread, return_when, lives ? &tid : NULL) != thrd_success ||
		    (!lives && thrd_join(thread, NULL) != thrd_success))
			abort();
	task_wait_gone(tid);
}

static char clone_stack[65536] __attribute__((aligned(16)));

/* No libc: it has no thread of libc's. */
static int raw(void *unused)
{
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static void unseen(void)
{
	if (clone(raw, clone_stack + sizeof(clone_stack),
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		NULL) < 0)
		abort();
}

int main(void)
{
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	few_at_once();
	many_in_turn(40);
	by_standard();
	unseen();
	printf("ready\n");
	fflush(stdout);
	sigwait(&set, &got);
	sem_post(&end_now[0]);
	end(few[0]);
	many_in_turn(10);
	printf("again\n");
	fflush(stdout);
	for (;;)
		pause();
}
