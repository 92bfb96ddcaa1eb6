/* Truth: a handler on an alternate stack of 8 KiB (or what the kernel wants at the least) is alone on it while it
 * works for 0.3 s of CPU time, and each handler's mask is the one that was given.
 *
 * usage: smallstack WAY    stack_first, handler_first; past: registered by a bare system call, then work
 *                          for a second; child: all of it in a child of fork, after a second's work */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the handler itself may use below its frame; a signal's frame is larger on every machine. */
enum { OWN_BYTES = 1024, PAINT = 0x5a };

static stack_t stack;
static volatile size_t touched;

static void work(double seconds)
{
	struct timespec now, start;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 <
	       seconds);
}

static void on_signal(int signal)
{
	volatile char *lowest = stack.ss_sp;
	volatile char *end = (volatile char *)__builtin_frame_address(0) - OWN_BYTES;

	for (volatile char *at = lowest; at < end; at++)
		*at = PAINT;
	work(0.3);
	touched = 0;
	for (volatile char *at = lowest; at < end; at++)
		touched += *at != PAINT;
}

static void handle(int signal, const sigset_t *mask)
{
	struct sigaction action = {
	    .sa_handler = on_signal, .sa_flags = SA_ONSTACK, .sa_mask = *mask};

	sigaction(signal, &action, NULL);
}

static const char *as_given(int signal, const sigset_t *mask)
{
	struct sigaction now;

	sigaction(signal, NULL, &now);
	for (int i = 1; i <= 64; i++)
		if (i != SIGKILL && i != SIGSTOP && i != 32 && i != 33 &&
		    sigismember(&now.sa_mask, i) != sigismember(mask, i))
			return "another";
	return now.sa_handler == on_signal ? "as given" : "not ours";
}

static volatile sig_atomic_t came;

static void note(int signal)
{
	came = 1;
}

/* The signal that a sampler is likely to have: its handler is installed, and it is waited for, in a handler. */
static void take_in_handler(int signal)
{
	struct sigaction action = {.sa_handler = note};
	struct timespec moment = {0, 10000000};

	sigaction(SIGRTMAX - 1, &action, NULL);
	raise(SIGRTMAX - 1);
	for (int i = 0; i < 500 && !came; i++)
		nanosleep(&moment, NULL);
}

static void take(void)
{
	struct sigaction action = {.sa_handler = take_in_handler, .sa_flags = SA_ONSTACK};

	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR2);
	printf("a signal that is taken in a handler: %s\n", came ? "it came" : "late");
}

static void register_stack(const char *way)
{
	if (strcmp(way, "past") == 0)
		syscall(SYS_sigaltstack, &stack, NULL);
	else
		sigaltstack(&stack, NULL);
}

static void go(const char *way)
{
	sigset_t masks[4]; /* none, two, what a program counts down to, all */
	bool late = strcmp(way, "handler_first") != 0;

	for (int i = 0; i < 4; i++)
		sigemptyset(&masks[i]);
	sigaddset(&masks[1], SIGUSR2);
	sigaddset(&masks[1], SIGRTMAX - 3);
	sigaddset(&masks[2], SIGRTMAX - 1);
	sigfillset(&masks[3]);
	if (late)
		register_stack(way);
	for (int i = 0; i < 4; i++)
		handle(SIGRTMIN + i, &masks[i]);
	handle(SIGUSR1, &masks[0]);
	if (!late)
		register_stack(way);
	work(1);
	for (int i = 0; i < 4; i++)
		printf("mask %d: %s\n", i, as_given(SIGRTMIN + i, &masks[i]));
	raise(SIGUSR1);
	printf("on the small stack: %s\n", touched ? "somebody else, too" : "alone");
	/* What a program saves and puts back is still its own. */
	for (int i = 0; i < 4; i++) {
		struct sigaction saved;

		sigaction(SIGRTMIN + i, NULL, &saved);
		signal(SIGRTMIN + i, SIG_DFL);
		sigaction(SIGRTMIN + i, &saved, NULL);
		printf("put back %d: %s\n", i, as_given(SIGRTMIN + i, &masks[i]));
	}
	/* Others behind them, which do not work there. */
	for (int i = 0; i < 4; i++) {
		struct sigaction action = {.sa_handler = on_signal, .sa_mask = masks[3 - i]};

		sigaction(SIGRTMIN + i, &action, NULL);
		printf("elsewhere %d: %s\n", i, as_given(SIGRTMIN + i, &masks[3 - i]));
	}
	fflush(stdout);
	if (fork() == 0) {
		for (int i = 0; i < 4; i++) {
			handle(SIGRTMIN + i, &masks[i]);
			printf("a child's %d: %s\n", i, as_given(SIGRTMIN + i, &masks[i]));
		}
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	take();
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t least = getauxval(AT_MINSIGSTKSZ) + 4096;

	if (argc != 2)
		return 2;
	stack.ss_size = least > 8192 ? least : 8192;
	stack.ss_sp = malloc(stack.ss_size);
	if (strcmp(argv[1], "child") == 0) {
		pid_t child = fork();

		if (child > 0)
			return waitpid(child, NULL, 0) == child ? 0 : 1;
	}
	go(argv[1]);
	return 0;
}
