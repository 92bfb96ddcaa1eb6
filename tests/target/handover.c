/* Truth: a lock that looks free to who asks for it and is not, as in the moment in which it goes from one holder
 * to the next. First somebody waits for it in take_early(), then, while it looks so, in take_late(): for 100 ms
 * each and a bit.
 *
 * Usage: handover GO: waits until that file is there, says done, and goes on until it is killed. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { HELD_US = 100000, A_BIT_US = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) static void take_early(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

__attribute__((noinline)) static void take_late(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

static void *early(void *unused)
{
	take_early();
	return unused;
}

static void *late(void *unused)
{
	take_late();
	return unused;
}

static void hold_while(void *(*other)(void *), int looks_free)
{
	pthread_t thread;
	int owner;

	pthread_mutex_lock(&lock);
	owner = lock.__data.__owner;
	if (looks_free)
		lock.__data.__owner = 0;
	pthread_create(&thread, NULL, other, NULL);
	while (__atomic_load_n(&lock.__data.__lock, __ATOMIC_RELAXED) != 2)
		usleep(A_BIT_US);
	usleep(HELD_US);
	lock.__data.__owner = owner;
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	while (argc > 1 && access(argv[1], F_OK) != 0)
		usleep(A_BIT_US);
	hold_while(early, 0);
	hold_while(late, 1);
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}
