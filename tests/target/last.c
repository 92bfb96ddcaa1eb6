/* Truth: HOW the last thread of a process ends, and that the process ends with it: with what was
 * printed, "bye" from atexit, and exit code 0.
 *
 * main: main() calls pthread_exit, four threads end after it. first: main() is the last one.
 * fork: a thread forks, and the child's only thread returns from its start routine.
 * raw: the last one leaves by a system call; nothing is flushed, and nobody says "bye".
 */
#include "task.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *how;

static void bye(void)
{
	puts("bye");
}

/* A main thread that has ended stays, as a zombie. */
static void wait_for_end_of_main(void)
{
	while (task_state(getpid()) != 'Z')
		task_nap();
}

static void *work(void *arg)
{
	if (strcmp(how, "first") != 0) {
		usleep(300000);
		wait_for_end_of_main();
	}
	printf("worked %s", strcmp(how, "raw") == 0 ? "\n" : "");
	if (strcmp(how, "raw") == 0) {
		fflush(stdout);
		syscall(SYS_exit, 0);
	}
	return arg;
}

static void *fork_here(void *arg)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		usleep(300000);
		printf("child ");
		return arg;
	}
	waitpid(child, &status, 0);
	printf("child ended with %d\n", status);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	how = argc > 1 ? argv[1] : "main";
	atexit(bye);
	if (strcmp(how, "fork") == 0) {
		pthread_create(&thread, NULL, fork_here, NULL);
		pthread_join(thread, NULL);
		return 0;
	}
	for (int i = 0; i < (strcmp(how, "main") == 0 ? 4 : 1); i++)
		pthread_create(&thread, NULL, work, NULL);
	if (strcmp(how, "first") == 0) {
		pthread_join(thread, NULL);
		usleep(300000);
		printf("first ");
	}
	pthread_exit(NULL);
}
