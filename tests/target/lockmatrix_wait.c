/* Of lockmatrix.c: readers and writers, conditions, semaphores, barriers, once, joins, C11. */
#include "lockmatrix.h"

#include <signal.h>
#include <stdio.h>
#include <threads.h>
#include <unistd.h>

/* ---- readers and writers ---- */

static pthread_rwlock_t rw;

static int rd_timed(long ms)
{
	struct timespec at = in_ms(CLOCK_REALTIME, ms);

	return pthread_rwlock_timedrdlock(&rw, &at);
}

static int wr_timed(long ms)
{
	struct timespec at = in_ms(CLOCK_REALTIME, ms);

	return pthread_rwlock_timedwrlock(&rw, &at);
}

static int rd_clocked(long ms)
{
	struct timespec at = in_ms(CLOCK_MONOTONIC, ms);

	return pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &at);
}

static int wr_clocked(long ms)
{
	struct timespec at = in_ms(CLOCK_MONOTONIC, ms);

	return pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &at);
}

static void *write_for_a_while(void *unused)
{
	pthread_rwlock_wrlock(&rw);
	sem_post(&held);
	sleep_ms(10);
	pthread_rwlock_unlock(&rw);
	return unused;
}

static void *read_for_a_while(void *unused)
{
	pthread_rwlock_rdlock(&rw);
	sem_post(&held);
	sleep_ms(10);
	pthread_rwlock_unlock(&rw);
	return unused;
}

static void beside(void *(*other)(void *), int (*mine)(pthread_rwlock_t *))
{
	pthread_t t;

	pthread_create(&t, NULL, other, NULL);
	sem_wait(&held);
	SAY(mine(&rw));
	SAY(pthread_rwlock_unlock(&rw));
	pthread_join(t, NULL);
}

void try_rwlocks(void)
{
	for (int kind = 0; kind < 3; kind++) {
		pthread_rwlockattr_t attr;

		pthread_rwlockattr_init(&attr);
		pthread_rwlockattr_setkind_np(&attr, kind);
		pthread_rwlock_init(&rw, &attr);
		printf("rwlock kind %d\n", kind);
		SAY(pthread_rwlock_rdlock(&rw));
		SAY(pthread_rwlock_rdlock(&rw));
		SAY(pthread_rwlock_trywrlock(&rw));
		SAY(wr_timed(5));
		SAY(wr_clocked(5));
		SAY(pthread_rwlock_unlock(&rw));
		SAY(pthread_rwlock_unlock(&rw));
		SAY(pthread_rwlock_wrlock(&rw));
		SAY(pthread_rwlock_wrlock(&rw)); /* EDEADLK */
		SAY(pthread_rwlock_rdlock(&rw)); /* EDEADLK */
		SAY(rd_timed(5));
		SAY(rd_clocked(5));
		SAY(pthread_rwlock_tryrdlock(&rw));
		SAY(pthread_rwlock_unlock(&rw));
		beside(write_for_a_while, pthread_rwlock_rdlock);
		beside(write_for_a_while, pthread_rwlock_wrlock);
		beside(read_for_a_while, pthread_rwlock_rdlock);
		beside(read_for_a_while, pthread_rwlock_wrlock);
	}
}

/* ---- conditions, semaphores, barriers, once, joins ---- */

pthread_mutex_t cm = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_cond_t d = PTHREAD_COND_INITIALIZER;
static int turn;

static void *answer(void *unused)
{
	pthread_mutex_lock(&cm);
	for (int i = 0; i < 200; i++) { /* two conditions, in turns */
		while (turn != 1)
			pthread_cond_wait(&d, &cm);
		turn = 0;
		pthread_cond_signal(&c);
	}
	pthread_mutex_unlock(&cm);
	return unused;
}

static int cond_timed(long ms)
{
	struct timespec at = in_ms(CLOCK_REALTIME, ms);

	return pthread_cond_timedwait(&c, &cm, &at);
}

int cond_clocked(long ms)
{
	struct timespec at = in_ms(CLOCK_MONOTONIC, ms);

	return pthread_cond_clockwait(&c, &cm, CLOCK_MONOTONIC, &at);
}

void try_conditions(void)
{
	pthread_mutex_t checked;
	pthread_mutexattr_t attr;
	pthread_t t;

	printf("conditions\n");
	pthread_create(&t, NULL, answer, NULL);
	pthread_mutex_lock(&cm);
	for (int i = 0; i < 200; i++) {
		turn = 1;
		pthread_cond_signal(&d);
		while (turn != 0)
			pthread_cond_wait(&c, &cm);
	}
	SAY(cond_timed(5));
	SAY(cond_clocked(5));
	SAY(cond_timed(-20));
	SAY(pthread_mutex_unlock(&cm));
	pthread_join(t, NULL);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&checked, &attr);
	SAY(pthread_cond_wait(&c, &checked)); /* EPERM: not held */
}

static void on_alarm(int signal)
{
}

int sem_timed(sem_t *s, long ms)
{
	struct timespec at = in_ms(CLOCK_REALTIME, ms);

	return sem_timedwait(s, &at);
}

static int sem_clocked(sem_t *s, long ms)
{
	struct timespec at = in_ms(CLOCK_MONOTONIC, ms);

	return sem_clockwait(s, CLOCK_MONOTONIC, &at);
}

/* Again and again, since the first may come before the wait has begun; 0: no more. */
static void interrupt_every(long ms)
{
	struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
	ualarm((useconds_t)(ms * 1000), (useconds_t)(ms * 1000));
}

void try_semaphores(void)
{
	sem_t s;

	printf("semaphores\n");
	sem_init(&s, 0, 1);
	SAY(result(sem_wait(&s)));
	SAY(result(sem_trywait(&s)));
	SAY(result(sem_timed(&s, 20)));
	SAY(result(sem_clocked(&s, 20)));
	interrupt_every(20);
	SAY(result(sem_wait(&s))); /* EINTR */
	interrupt_every(0);
	sem_post(&s);
	SAY(result(sem_timed(&s, 20)));
}

static int inits;
static void init_slowly(void)
{
	sleep_ms(20);
	inits++;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static once_flag c11_once = ONCE_FLAG_INIT;
static pthread_barrier_t barrier;

static void *meet(void *unused)
{
	int rc = pthread_once(&once, init_slowly);

	call_once(&c11_once, init_slowly);
	rc = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD ? 1 : rc;
	return (void *)(long)rc;
}

static void *give_42(void *unused)
{
	sleep_ms(20);
	return (void *)42;
}

static int give_43(void *unused)
{
	sleep_ms(20);
	return 43;
}

void try_meetings(void)
{
	struct timespec at = in_ms(CLOCK_REALTIME, 5), later = in_ms(CLOCK_MONOTONIC, 10000);
	pthread_t t[4];
	thrd_t c11;
	void *got = NULL;
	int serial = 0, answer_c11 = 0;

	printf("meetings\n");
	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, meet, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &got);
		serial += (int)(long)got;
	}
	printf("  serial %d inits %d\n", serial, inits);
	pthread_create(&t[0], NULL, give_42, NULL);
	SAY(pthread_tryjoin_np(t[0], &got));
	SAY(pthread_timedjoin_np(t[0], &got, &at));
	SAY(pthread_clockjoin_np(t[0], &got, CLOCK_MONOTONIC, &later));
	printf("  got %ld\n", (long)got);
	SAY(pthread_join(pthread_self(), NULL)); /* EDEADLK */
	thrd_create(&c11, give_43, NULL);
	SAY(thrd_join(c11, &answer_c11));
	printf("  got %d\n", answer_c11);
}

void try_c11(void)
{
	struct timespec at = in_ms(CLOCK_REALTIME, 20);
	mtx_t plain, timed_one;
	cnd_t cnd;

	printf("C11\n");
	mtx_init(&plain, mtx_plain);
	mtx_init(&timed_one, mtx_timed | mtx_recursive);
	cnd_init(&cnd);
	SAY(mtx_lock(&plain));
	SAY(mtx_trylock(&plain));
	SAY(cnd_timedwait(&cnd, &plain, &at));
	SAY(mtx_unlock(&plain));
	SAY(mtx_lock(&timed_one));
	SAY(mtx_lock(&timed_one));
	SAY(mtx_unlock(&timed_one));
	SAY(mtx_unlock(&timed_one));
	SAY(mtx_unlock(&timed_one)); /* not held */
}
