/* Of lockmatrix.c: leaving a wait by the side door, fork while locks are held, system calls. */
#include "lockmatrix.h"

#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- leaving a wait by the side door ---- */

static int cleaned;

static void clean(void *what)
{
	cleaned++;
	pthread_mutex_unlock(what);
}

static void *wait_to_be_cancelled(void *how)
{
	pthread_mutex_lock(&cm);
	pthread_cleanup_push(clean, &cm);
	sem_post(&held);
	if (how)
		cond_clocked(100000);
	else
		pthread_cond_wait(&c, &cm);
	pthread_cleanup_pop(1);
	return NULL;
}

static void *sem_to_be_cancelled(void *s)
{
	sem_post(&held);
	sem_wait(s);
	return NULL;
}

static void *join_to_be_cancelled(void *other)
{
	sem_post(&held);
	pthread_join(*(pthread_t *)other, NULL);
	return NULL;
}

static void *read_to_be_cancelled(void *fd)
{
	char byte;

	sem_post(&held);
	return (void *)(long)read(*(int *)fd, &byte, 1);
}

static void cancel(void *(*body)(void *), void *with)
{
	pthread_t t;
	void *got;

	pthread_create(&t, NULL, body, with);
	sem_wait(&held);
	sleep_ms(20);
	pthread_cancel(t);
	pthread_join(t, &got);
	printf("  cancelled %d cleaned %d\n", got == PTHREAD_CANCELED, cleaned);
}

static sigjmp_buf out_of_here;

static void jump(int signal)
{
	siglongjmp(out_of_here, 1);
}

void try_side_doors(void)
{
	struct sigaction action = {.sa_handler = jump};
	pthread_t sleeper, t;
	int pipes[2];
	sem_t never;

	printf("side doors\n");
	sem_init(&never, 0, 0);
	if (pipe(pipes) != 0)
		exit(1);
	cancel(wait_to_be_cancelled, NULL);
	SAY(pthread_mutex_trylock(&cm)); /* the cleanup handler has unlocked it */
	SAY(pthread_mutex_unlock(&cm));
	cancel(wait_to_be_cancelled, &never);
	cancel(sem_to_be_cancelled, &never);
	pthread_create(&sleeper, NULL, sem_to_be_cancelled, &never);
	sem_wait(&held);
	cancel(join_to_be_cancelled, &sleeper);
	sem_post(&never);
	SAY(pthread_join(sleeper, NULL));
	cancel(read_to_be_cancelled, pipes);
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < 4; i++)
		if (sigsetjmp(out_of_here, 1) == 0) {
			ualarm(20000, 0);
			sem_wait(&never);
		}
	/* A lock's own wait, too: what it leaves behind is the lock's, not ours. */
	m = &cm;
	t = start_holder(NULL);
	if (sigsetjmp(out_of_here, 1) == 0) {
		ualarm(20000, 0);
		pthread_mutex_lock(&cm);
	}
	sem_post(&let_go);
	pthread_join(t, NULL);
	SAY(pthread_mutex_lock(&cm));
	SAY(pthread_mutex_unlock(&cm));
	SAY(result(sem_timed(&never, 20)));
}

/* ---- fork while others hold and wait ---- */

static void *keep_waiting(void *unused)
{
	pthread_mutex_lock(m);
	pthread_mutex_unlock(m);
	return unused;
}

void try_fork(void)
{
	static pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;
	pthread_t t[3];
	pid_t child;
	int status;

	printf("fork\n");
	m = &mine;
	pthread_mutex_lock(m);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, keep_waiting, NULL);
	sleep_ms(20);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		SAY(pthread_mutex_trylock(m));
		SAY(pthread_mutex_unlock(m)); /* ours: the thread that forked held it */
		SAY(pthread_mutex_lock(m));
		pthread_create(&t[0], NULL, keep_waiting, NULL);
		sleep_ms(10);
		SAY(pthread_mutex_unlock(m));
		SAY(pthread_join(t[0], NULL));
		fflush(stdout);
		_exit(4);
	}
	waitpid(child, &status, 0);
	printf("  child %d\n", WEXITSTATUS(status));
	SAY(pthread_mutex_unlock(m));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* ---- syscall() ---- */

void try_syscalls(void)
{
	static unsigned word;
	struct timespec t = {0, 20000000};
	char text[8] = "abcdefg";
	int fd = memfd_create("x", 0);

	printf("system calls\n");
	SAY(result((int)syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0)));
	SAY(result((int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0)));
	SAY(result((int)syscall(SYS_futex, &word, FUTEX_WAKE, 1)));
	SAY(result((int)syscall(SYS_futex, &word, 99, 1)));
	SAY((int)syscall(SYS_getpid) != getpid());
	/* Six arguments. */
	SAY(syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1);
	SAY((int)syscall(SYS_write, fd, text, 7) != 7);
	SAY((int)syscall(SYS_pread64, fd, text, 7, 0) != 7);
	SAY(result((int)syscall(SYS_close, 12345)));
}
