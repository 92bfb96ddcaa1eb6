/* Truth: locks that others wait for. Each way begins when the file `go` is there (in the working
 * directory), and prints "done" when its threads have ended or wait for ever; then the process stays.
 *
 *   holder N     hold_long() keeps a mutex for 100 ms more when five threads wait in take(), N times:
 *                500 ms of waiting each at least, released in hold_long; prints the milliseconds that all
 *                have been in there, which is the most
 *   rwlock N     the same by rwlock (hold_long writes, the five read)
 *   writers N    the same by rwlock, and the five write, too
 *   waits US COUNT   wait_for_us() waits COUNT times, each time until it has been seen asleep for so many
 *                microseconds (pthread_cond_timedwait); prints the milliseconds it was seen asleep, and those
 *                it has been in there: it has waited for as long as the first at least, as the second at most
 *   again        hold_on() tells five threads in wait_for_turn() to go on, and keeps their mutex for ever: all
 *                five wait for it again. wait_for_nothing() waits for another condition with that mutex
 *   deadlock     lock_ab and lock_ba hold one mutex each and want the other's; a third, wait_a, waits
 *                for the first
 *   rwdeadlock   the same with locks for readers and writers: lock_ab and lock_ba write, wait_a reads
 *   self         a thread that locks its own normal mutex again
 *   chain        hold_still() keeps a mutex and sleeps, wait_for_it() waits for it
 */
#include "task.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WAITERS = 5 };

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER, rw_b = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t gate;
static int by_rwlock, all_write, rounds;

static void sleep_us(long us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void take(void)
{
	if (by_rwlock) {
		if (all_write)
			pthread_rwlock_wrlock(&rw);
		else
			pthread_rwlock_rdlock(&rw);
		pthread_rwlock_unlock(&rw);
	} else {
		pthread_mutex_lock(&a);
		pthread_mutex_unlock(&a);
	}
}

static struct taker {
	pid_t tid; /* while it is about to wait, and waits */
	int64_t taken_ns;
} takers[WAITERS];

static void *taker(void *arg)
{
	struct taker *self = arg;

	for (int i = 0; i < rounds; i++) {
		pthread_barrier_wait(&gate); /* held */
		self->taken_ns -= now_ns();
		task_says(&self->tid);
		take();
		self->taken_ns += now_ns();
		self->tid = 0;
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

static void hold_long(void)
{
	if (by_rwlock)
		pthread_rwlock_wrlock(&rw);
	else
		pthread_mutex_lock(&a);
	pthread_barrier_wait(&gate);
	for (int i = 0; i < WAITERS; i++)
		task_wait_asleep(&takers[i].tid);
	sleep_us(100000);
	if (by_rwlock)
		pthread_rwlock_unlock(&rw);
	else
		pthread_mutex_unlock(&a);
	pthread_barrier_wait(&gate);
}

static void run_holder(void)
{
	pthread_t threads[WAITERS];
	int64_t taken_ns = 0;

	pthread_barrier_init(&gate, NULL, WAITERS + 1);
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&threads[i], NULL, taker, &takers[i]);
	for (int i = 0; i < rounds; i++)
		hold_long();
	for (int i = 0; i < WAITERS; i++) {
		pthread_join(threads[i], NULL);
		taken_ns += takers[i].taken_ns;
	}
	printf("%.3f\n", (double)taken_ns / 1e6);
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int waits, ended, let_go; /* atomic: how many have begun, have ended, shall end */

static int64_t wait_for_us(void)
{
	struct timespec until;
	int64_t begun;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 3600;
	pthread_mutex_lock(&turn);
	begun = now_ns();
	__atomic_fetch_add(&waits, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&let_go, __ATOMIC_ACQUIRE) < waits)
		pthread_cond_timedwait(&turned, &turn, &until);
	begun = now_ns() - begun;
	pthread_mutex_unlock(&turn);
	return begun;
}

static struct waiter {
	pid_t tid;
	int count;
	int64_t waited_ns;
} the_waiter;

static void *wait_often(void *arg)
{
	struct waiter *self = arg;

	task_says(&self->tid);
	for (int i = 0; i < self->count; i++) {
		self->waited_ns += wait_for_us();
		__atomic_fetch_add(&ended, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void run_waits(long us, int count)
{
	pthread_t thread;
	int64_t asleep_ns = 0;

	the_waiter.count = count;
	pthread_create(&thread, NULL, wait_often, &the_waiter);
	for (int i = 0; i < count; i++) {
		int64_t seen;

		/* What it sleeps in is its wait: nobody else takes its mutex. */
		while (
		    __atomic_load_n(&waits, __ATOMIC_ACQUIRE) <= i || !task_sleeps(the_waiter.tid))
			sched_yield();
		seen = now_ns();
		sleep_us(us);
		asleep_ns += now_ns() - seen;
		__atomic_store_n(&let_go, i + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) <= i) {
			pthread_cond_signal(&turned);
			sched_yield();
		}
	}
	pthread_join(thread, NULL);
	printf("%.3f %.3f\n", (double)asleep_ns / 1e6, (double)the_waiter.waited_ns / 1e6);
}

/* ---- who waits for its mutex again ---- */

static pthread_cond_t nothing = PTHREAD_COND_INITIALIZER;

static void *wait_for_turn(void *tid)
{
	pthread_mutex_lock(&turn);
	task_says(tid);
	pthread_cond_wait(&turned, &turn);
	return tid;
}

static void *wait_for_nothing(void *tid)
{
	pthread_mutex_lock(&turn);
	task_says(tid);
	pthread_cond_wait(&nothing, &turn);
	return tid;
}

/* Does it sleep by this word? */
static int sleeps_by(pid_t tid, const void *word)
{
	char path[64], text[256] = "";
	unsigned long at = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	file = fopen(path, "r");
	if (!file || !fgets(text, sizeof(text), file))
		abort();
	fclose(file);
	return sscanf(text, "%*d %lx", &at) == 1 && at == (unsigned long)word;
}

static void hold_on(const pid_t *tids)
{
	pthread_mutex_lock(&turn);
	pthread_cond_broadcast(&turned);
	for (int i = 0; i < WAITERS; i++)
		while (!sleeps_by(tids[i], &turn))
			sleep_us(1000);
}

static void run_again(void)
{
	static pid_t tids[WAITERS + 1];
	pthread_t thread;

	for (int i = 0; i <= WAITERS; i++) {
		pthread_create(
		    &thread, NULL, i < WAITERS ? wait_for_turn : wait_for_nothing, &tids[i]);
		task_wait_asleep(&tids[i]);
	}
	hold_on(tids);
}

/* ---- who waits for ever ---- */

static void lock_a(void)
{
	if (by_rwlock)
		pthread_rwlock_wrlock(&rw);
	else
		pthread_mutex_lock(&a);
}

static void lock_b(void)
{
	if (by_rwlock)
		pthread_rwlock_wrlock(&rw_b);
	else
		pthread_mutex_lock(&b);
}

static void *lock_ab(void *tid)
{
	pthread_setname_np(pthread_self(), "ab");
	lock_a();
	pthread_barrier_wait(&gate);
	task_says(tid);
	lock_b();
	return tid;
}

static void *lock_ba(void *tid)
{
	pthread_setname_np(pthread_self(), "ba");
	lock_b();
	pthread_barrier_wait(&gate);
	task_says(tid);
	lock_a();
	return tid;
}

static void *wait_a(void *tid)
{
	pthread_setname_np(pthread_self(), "third");
	pthread_barrier_wait(&gate);
	task_says(tid);
	take();
	return tid;
}

static void *lock_twice(void *tid)
{
	pthread_setname_np(pthread_self(), "twice");
	pthread_mutex_lock(&a);
	pthread_barrier_wait(&gate);
	task_says(tid);
	pthread_mutex_lock(&a);
	return tid;
}

static void *hold_still(void *tid)
{
	pthread_setname_np(pthread_self(), "holder");
	pthread_mutex_lock(&a);
	pthread_barrier_wait(&gate);
	task_says(tid);
	pause();
	return tid;
}

static void *wait_for_it(void *tid)
{
	pthread_setname_np(pthread_self(), "waiter");
	pthread_barrier_wait(&gate);
	task_says(tid);
	pthread_mutex_lock(&a);
	return tid;
}

static void run_for_ever(void *(*const bodies[])(void *), unsigned count)
{
	static pid_t tids[3];
	pthread_t thread;

	pthread_barrier_init(&gate, NULL, count);
	for (unsigned i = 0; i < count; i++)
		pthread_create(&thread, NULL, bodies[i], &tids[i]);
	for (unsigned i = 0; i < count; i++)
		task_wait_asleep(&tids[i]);
}

static int is(const char *text, const char *word)
{
	return strcmp(text, word) == 0;
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static void *(*const deadlock[])(void *) = {lock_ab, lock_ba, wait_a};
	static void *(*const self[])(void *) = {lock_twice};
	static void *(*const chain[])(void *) = {hold_still, wait_for_it};
	const char *way = argc > 1 ? argv[1] : "";

	while (access("go", F_OK) != 0)
		sleep_us(10000);
	if (is(way, "holder") || is(way, "rwlock") || is(way, "writers")) {
		all_write = is(way, "writers");
		by_rwlock = all_write || is(way, "rwlock");
		rounds = atoi(argv[2]);
		run_holder();
	} else if (is(way, "waits") && argc == 4) {
		run_waits(atol(argv[2]), atoi(argv[3]));
	} else if (is(way, "deadlock") || is(way, "rwdeadlock")) {
		by_rwlock = is(way, "rwdeadlock");
		run_for_ever(deadlock, 3);
	} else if (is(way, "again")) {
		run_again();
	} else if (is(way, "self")) {
		run_for_ever(self, 1);
	} else if (is(way, "chain")) {
		run_for_ever(chain, 2);
	} else {
		return 2;
	}
	say("done");
	for (;;)
		pause();
}
