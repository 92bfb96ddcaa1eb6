/* Truth: eight threads have one alternate stack, as varnishd's have, for a SIGSEGV that does not come. They work
 * for two seconds; it prints "done". */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, STACK_BYTES = 80 << 10, FATAL = 99 };

static stack_t stack = {.ss_size = STACK_BYTES};
static int nowhere;

static void on_fault(int signal)
{
	_exit(FATAL);
}

static void *work(void *unused)
{
	char text[] = "words";
	struct iovec words = {text, sizeof(text)};
	struct timespec now, start;

	sigaltstack(&stack, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		for (unsigned i = 0; i < 2000; i++)
			__asm__ volatile("" : : "r"(i));
		if (writev(nowhere, &words, 1) < 0)
			return unused;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < 2);
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
	pthread_t threads[THREADS];

	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	stack.ss_sp = calloc(1, STACK_BYTES);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	puts("done");
	return 0;
}
