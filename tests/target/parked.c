/* Truth: twenty threads, named park_00 ... park_19, each asleep below the function of its name, in
 * one of five ways to sleep; and main. "ready" is printed when all are asleep. With an argument main has
 * ended then.
 */
#include "task.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static sem_t semaphore;
static int silent_pipe[2];
static pid_t tids[20];

static void sleep_one_way(int number)
{
	/* A mutex of its own: nobody waits for it but in `never`. */
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec long_time = {100000, 0};
	char byte;

	task_says(&tids[number]);
	for (;;) {
		switch (number % 5) {
		case 0:
			sem_wait(&semaphore);
			break;
		case 1:
			nanosleep(&long_time, NULL);
			break;
		case 2:
			pthread_mutex_lock(&mutex);
			pthread_cond_wait(&never, &mutex);
			pthread_mutex_unlock(&mutex);
			break;
		case 3:
			poll(NULL, 0, -1);
			break;
		default:
			if (read(silent_pipe[0], &byte, 1) < 0)
				return;
		}
	}
}

/* clang-format off */
#define PARKS(X) \
	X(00) X(01) X(02) X(03) X(04) X(05) X(06) X(07) X(08) X(09) \
	X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)
/* clang-format on */

#define X(n)                                                                                       \
	static __attribute__((noinline)) void *park_##n(void *unused)                              \
	{                                                                                          \
		pthread_setname_np(pthread_self(), "park_" #n);                                    \
		sleep_one_way(1##n - 100);                                                         \
		return unused;                                                                     \
	}
PARKS(X)
#undef X

int main(int argc, char **argv)
{
#define X(n) park_##n,
	static void *(*const parks[])(void *) = {PARKS(X)};
#undef X
	enum { COUNT = sizeof(parks) / sizeof(parks[0]) };

	sem_init(&semaphore, 0, 0);
	if (pipe(silent_pipe) != 0)
		return 1;
	for (int i = 0; i < COUNT; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, parks[i], NULL) != 0)
			return 1;
	}
	for (int i = 0; i < COUNT; i++)
		task_wait_asleep(&tids[i]);
	printf("ready\n");
	fflush(stdout);
	if (argc > 1 && argv[1][0])
		pthread_exit(NULL);
	for (;;)
		pause();
}
