/* Truth: a thread that may not read the processor's clock (prctl(PR_SET_TSC): a SIGSEGV), and does all the
 * rest some thousand times: works, waits for locks, allocates, creates threads and children.
 * "fine" and 0, or the signal.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 3000, WORK = 200000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int stop;

static void work(void)
{
	for (volatile int i = 0; i < WORK; i++)
		;
}

/* With a clock, so that the other one waits for it. */
static void *hold(void *unused)
{
	while (!stop) {
		pthread_mutex_lock(&lock);
		work();
		pthread_mutex_unlock(&lock);
		usleep(1000);
	}
	return unused;
}

static void *born(void *unused)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	free(malloc(100000));
	work();
	return unused;
}

static void live(int zero)
{
	pthread_t thread;
	char byte;
	pid_t child;

	work();
	born(NULL);
	if (read(zero, &byte, 1) != 1)
		exit(1);
	usleep(10);
	if (pthread_create(&thread, NULL, born, NULL) != 0)
		exit(1);
	pthread_join(thread, NULL);
	child = fork();
	if (child == 0) { /* where the lock may be held for ever */
		free(malloc(100000));
		work();
		_exit(0);
	}
	if (waitpid(child, &(int){0}, 0) != child)
		exit(1);
}

int main(int argc, char **argv)
{
	int zero = open("/dev/zero", O_RDONLY);
	pthread_t thread;

	pthread_create(&thread, NULL, hold, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		if (argc > 1 ? syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0
			     : prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0)
			return 2; /* not this machine */
		live(zero);
		if (round % 3 == 0)
			prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
	}
	prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
	stop = 1;
	pthread_join(thread, NULL);
	puts("fine");
	return 0;
}
