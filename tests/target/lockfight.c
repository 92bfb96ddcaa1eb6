/* Four threads fight for a lock of each kind, most of the time for less than a microsecond, now and then
 * for longer. Nobody else may be inside meanwhile, and nothing may be lost: each line says KIND 16000 0.
 *
 * Usage: lockfight [GO]: waits until that file is there. */
#include <pthread.h>
#include <stdio.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 4000, ROUNDS_TO_SLEEP = 400, SLEEP_US = 100 };

static pthread_mutex_t lock;
static mtx_t c11;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spinlock;
static long inside, rounds, strangers; /* guarded by the lock */

static int lock_plain(void)
{
	return pthread_mutex_lock(&lock);
}

static int lock_timed(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 600;
	return pthread_mutex_timedlock(&lock, &at);
}

static int unlock(void)
{
	return pthread_mutex_unlock(&lock);
}

static int lock_twice(void)
{
	return pthread_mutex_lock(&lock) || pthread_mutex_lock(&lock);
}

static int unlock_twice(void)
{
	return pthread_mutex_unlock(&lock) || pthread_mutex_unlock(&lock);
}

static int lock_c11(void)
{
	return mtx_lock(&c11) != thrd_success;
}

static int unlock_c11(void)
{
	return mtx_unlock(&c11) != thrd_success;
}

static int lock_to_write(void)
{
	return pthread_rwlock_wrlock(&rwlock);
}

static int unlock_written(void)
{
	return pthread_rwlock_unlock(&rwlock);
}

static int lock_spinning(void)
{
	return pthread_spin_lock(&spinlock);
}

static int unlock_spinning(void)
{
	return pthread_spin_unlock(&spinlock);
}

static const struct kind {
	const char *name;
	int type, protocol, robust;
	int (*lock)(void);
	int (*unlock)(void);
} kinds[] = {
    {"normal", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, 0, lock_plain, unlock},
    {"timed", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, 0, lock_timed, unlock},
    {"adaptive", PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PRIO_NONE, 0, lock_plain, unlock},
    {"errorcheck", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, 0, lock_plain, unlock},
    {"recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, 0, lock_twice, unlock_twice},
    {"robust", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, 1, lock_plain, unlock},
    {"inherit", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, 0, lock_plain, unlock},
    {"c11", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, 0, lock_c11, unlock_c11},
    {"write", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, 0, lock_to_write, unlock_written},
    {"spin", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, 0, lock_spinning, unlock_spinning},
};

static void *fight(void *arg)
{
	const struct kind *kind = arg;

	for (int i = 1; i <= ROUNDS; i++) {
		if (kind->lock() != 0)
			return NULL;
		strangers += inside != 0;
		inside = 1;
		rounds++;
		if (i % ROUNDS_TO_SLEEP == 0)
			usleep(SLEEP_US);
		inside = 0;
		if (kind->unlock() != 0)
			return NULL;
	}
	return NULL;
}

static void fight_of(const struct kind *kind)
{
	pthread_t threads[THREADS];
	pthread_mutexattr_t of;

	pthread_mutexattr_init(&of);
	pthread_mutexattr_settype(&of, kind->type);
	pthread_mutexattr_setprotocol(&of, kind->protocol);
	pthread_mutexattr_setrobust(
	    &of, kind->robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
	pthread_mutex_init(&lock, &of);
	rounds = strangers = 0;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, fight, (void *)kind);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%s %ld %ld\n", kind->name, rounds, strangers);
	pthread_mutex_destroy(&lock);
}

int main(int argc, char **argv)
{
	while (argc > 1 && access(argv[1], F_OK) != 0)
		usleep(10000);
	mtx_init(&c11, mtx_plain);
	pthread_spin_init(&spinlock, PTHREAD_PROCESS_PRIVATE);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fight_of(&kinds[i]);
	puts("done");
	fflush(stdout);
	while (argc > 1 && access("leave", F_OK) != 0)
		usleep(10000);
	return 0;
}
