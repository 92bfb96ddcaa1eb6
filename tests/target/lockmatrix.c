/* Truth: what glibc's locks answer, operation by operation. Run with and without an agent the output is the
 * same to the byte: results, errno (set to 77 before each call) and who has the lock afterwards.
 *
 * Every mutex type x protocol x robustness x sharing, every lock operation, uncontended, held by the caller,
 * held by another thread, released while waiting, owner died; rwlocks, conditions, semaphores, barriers,
 * once, joins, C11's; cancellation and longjmp out of waits; fork while locks are held.
 */
#include "lockmatrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += ms % 1000 * 1000000 + 1000000000; /* ms may be less than nothing */
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000 - 1;
	t.tv_nsec %= 1000000000;
	return t;
}

void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

void say(const char *what, int rc)
{
	printf("  %-28s %s errno %d\n", what,
	    rc > 1000             ? "big"
	    : strerrorname_np(rc) ? strerrorname_np(rc)
				  : "?",
	    errno);
	errno = 77;
}

/* ---- mutexes ---- */

pthread_mutex_t *m;

/* Another thread that holds *m until told. */
sem_t held, let_go;

static void *hold(void *how)
{
	int rc = pthread_mutex_lock(m);

	if (rc == EOWNERDEAD)
		pthread_mutex_consistent(m);
	sem_post(&held);
	if (how && strcmp(how, "die") == 0)
		return NULL; /* and keeps it */
	if (how && strcmp(how, "soon") == 0)
		sleep_ms(10);
	else
		sem_wait(&let_go);
	pthread_mutex_unlock(m);
	return NULL;
}

pthread_t start_holder(const char *how)
{
	pthread_t t;

	pthread_create(&t, NULL, hold, (void *)how);
	sem_wait(&held);
	return t;
}

static int timed(long ms)
{
	struct timespec at = in_ms(CLOCK_REALTIME, ms);

	return pthread_mutex_timedlock(m, &at);
}

static int clocked(long ms)
{
	struct timespec at = in_ms(CLOCK_MONOTONIC, ms);

	return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &at);
}

static int timed_badly(void)
{
	struct timespec at = {.tv_nsec = -1};

	return pthread_mutex_timedlock(m, &at);
}

static void try_free(void)
{
	SAY(pthread_mutex_lock(m));
	SAY(pthread_mutex_unlock(m));
	SAY(pthread_mutex_trylock(m));
	SAY(pthread_mutex_unlock(m));
	SAY(timed(0));
	SAY(pthread_mutex_unlock(m));
	SAY(clocked(0));
	SAY(pthread_mutex_unlock(m));
}

static void try_again(int type)
{
	SAY(pthread_mutex_lock(m));
	SAY(pthread_mutex_trylock(m));
	SAY(timed(5));
	SAY(timed_badly());
	if (type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK)
		SAY(pthread_mutex_lock(m));
	if (type == PTHREAD_MUTEX_RECURSIVE)
		for (int i = 0; i < 4; i++)
			SAY(pthread_mutex_unlock(m));
	SAY(pthread_mutex_unlock(m));
}

static void try_held(int type, int robust, int protocol)
{
	pthread_t t = start_holder(NULL);

	SAY(pthread_mutex_trylock(m));
	SAY(timed(5));
	SAY(clocked(5));
	SAY(timed_badly());
	if (type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK || robust ||
	    protocol == PTHREAD_PRIO_INHERIT)
		SAY(pthread_mutex_unlock(m)); /* not ours */
	sem_post(&let_go);
	pthread_join(t, NULL);
	t = start_holder("soon");
	SAY(pthread_mutex_lock(m));
	SAY(pthread_mutex_unlock(m));
	pthread_join(t, NULL);
	t = start_holder("soon");
	SAY(clocked(10000));
	SAY(pthread_mutex_unlock(m));
	pthread_join(t, NULL);
}

static void try_dead(void)
{
	pthread_t t = start_holder("die");

	pthread_join(t, NULL);
	SAY(pthread_mutex_lock(m)); /* EOWNERDEAD */
	SAY(pthread_mutex_consistent(m));
	SAY(pthread_mutex_unlock(m));
	SAY(pthread_mutex_lock(m));
	SAY(pthread_mutex_unlock(m));
	t = start_holder("die");
	pthread_join(t, NULL);
	SAY(timed(1000));             /* EOWNERDEAD */
	SAY(pthread_mutex_unlock(m)); /* not made consistent */
	SAY(pthread_mutex_lock(m));   /* ENOTRECOVERABLE */
	SAY(pthread_mutex_trylock(m));
	SAY(clocked(5));
}

/* The owner dies while we wait. */
static void *hold_and_die_later(void *unused)
{
	pthread_mutex_lock(m);
	sem_post(&held);
	sleep_ms(10);
	return unused;
}

static void try_dying(void)
{
	pthread_t t;

	pthread_create(&t, NULL, hold_and_die_later, NULL);
	sem_wait(&held);
	SAY(pthread_mutex_lock(m)); /* EOWNERDEAD, out of the wait */
	SAY(pthread_mutex_consistent(m));
	SAY(pthread_mutex_unlock(m));
	pthread_join(t, NULL);
}

static int make(int type, int protocol, int robust, int shared)
{
	pthread_mutexattr_t attr;
	int rc;

	memset(m, 0, sizeof(*m));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutexattr_setprotocol(&attr, protocol);
	pthread_mutexattr_setrobust(&attr, robust);
	pthread_mutexattr_setpshared(&attr, shared);
	rc = pthread_mutex_init(m, &attr);
	pthread_mutexattr_destroy(&attr);
	return rc;
}

/* A child of fork() meets a lock that its parent holds, in shared memory. */
static void try_shared(void)
{
	pid_t child;
	int status, over[2];
	char byte = 0;

	pthread_mutex_lock(m);
	fflush(stdout);
	if (pipe(over) < 0)
		abort();
	child = fork();
	if (child == 0) {
		SAY(pthread_mutex_trylock(m));
		SAY(timed(5));
		if (write(over[1], &byte, 1) != 1)
			abort();
		SAY(pthread_mutex_lock(m)); /* until the parent lets go */
		SAY(pthread_mutex_unlock(m));
		fflush(stdout);
		_exit(3);
	}
	if (read(over[0], &byte, 1) != 1) /* the child has not waited in vain before that */
		abort();
	close(over[0]);
	close(over[1]);
	sleep_ms(20);
	pthread_mutex_unlock(m);
	waitpid(child, &status, 0);
	printf("  child %d\n", WEXITSTATUS(status));
}

static void try_mutexes(void)
{
	static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
	    PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
	static const int protocols[] = {
	    PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT, PTHREAD_PRIO_PROTECT};

	for (int type = 0; type < 4; type++)
		for (int protocol = 0; protocol < 3; protocol++)
			for (int robust = 0; robust < 2; robust++)
				for (int shared = 0; shared < 2; shared++) {
					int rc =
					    make(types[type], protocols[protocol], robust, shared);

					printf(
					    "mutex type %d protocol %d robust %d shared %d: init %d\n",
					    type, protocol, robust, shared, rc);
					if (rc != 0)
						continue;
					try_free();
					try_again(types[type]);
					if (protocol == 2)
						continue; /* another thread could not raise its priority either */
					try_held(types[type], robust, protocols[protocol]);
					if (robust) {
						try_dying();
						try_dead();
					} else if (shared) {
						try_shared();
					}
				}
}

int main(int argc, char **argv)
{
	if (argc > 1) /* the collectors are on when this file is there */
		while (access(argv[1], F_OK) != 0)
			sleep_ms(10);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return 1;
	sem_init(&held, 0, 0);
	sem_init(&let_go, 0, 0);
	try_mutexes();
	try_rwlocks();
	try_conditions();
	try_semaphores();
	try_meetings();
	try_c11();
	try_side_doors();
	try_fork();
	try_syscalls();
	return 0;
}
