/* Truth: two threads that are there before the agent, of which nobody has told it, take locks that they hold
 * already: a recursive one, which they get, and one that checks, which is refused. Nobody waits for anybody, and
 * the profiles are empty.
 *
 * usage: stranger DIR: mounts there and says done, or what was wrong */
#include <errno.h>
#include <proffs/proffs.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_barrier_t started, done;
static int wrong; /* atomic */

static void take_again(int type, int again)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t lock;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutex_init(&lock, &attr);
	errno = EXDEV;
	if (pthread_mutex_lock(&lock) != 0 || pthread_mutex_lock(&lock) != again ||
	    (again == 0 && pthread_mutex_unlock(&lock) != 0) || pthread_mutex_unlock(&lock) != 0 ||
	    errno != EXDEV)
		__atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
}

static void *other(void *unused)
{
	pthread_barrier_wait(&started);
	take_again(PTHREAD_MUTEX_ERRORCHECK, EDEADLK);
	take_again(PTHREAD_MUTEX_RECURSIVE, 0);
	pthread_barrier_wait(&done);
	pause();
	return unused;
}

int main(int argc, char **argv)
{
	struct proffs_options options = {.size = sizeof(options),
	    .enable = "mutex,block",
	    .set = "mutex_fraction=1 block_rate_ns=1",
	    .mount = argv[1]};
	pthread_t thread;

	if (argc != 2)
		return 2;
	pthread_barrier_init(&started, NULL, 2);
	pthread_barrier_init(&done, NULL, 2);
	pthread_create(&thread, NULL, other, NULL);
	if (proffs_start(&options) != 0)
		return 1;
	take_again(PTHREAD_MUTEX_RECURSIVE, 0);
	take_again(PTHREAD_MUTEX_ERRORCHECK, EDEADLK);
	pthread_barrier_wait(&started);
	pthread_barrier_wait(&done);
	puts(wrong ? "wrong" : "done");
	fflush(stdout);
	pause();
	return 0;
}
