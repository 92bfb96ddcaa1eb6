/* Truth: 1000 blocks of 1024 bytes from leak(), one at a time and none freed, among a heavy coming and
 * going: token() frees its 48 bytes at once, thousands of times a second; session(), on a thread
 * named "sessions", keeps 5000 bytes for 20 ms; 10 MiB are mapped in reserve(), and 2 of them given back.
 * Then it prints "ready" and goes on with token() and session(). On SIGUSR1 it allocates 100 blocks of
 * 700 bytes in late(), frees 300 of leak()'s, and prints "done".
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEAKS = 1000, LATE = 100, GIVEN_BACK = 300, MIB = 1 << 20 };

static void *volatile kept;
static void *leaks[LEAKS];
static volatile sig_atomic_t asked;

static __attribute__((noinline)) void *leak(void)
{
	void *at = malloc(1024);

	kept = at;
	return at;
}

static __attribute__((noinline)) void token(void)
{
	void *at = malloc(48);

	kept = at;
	free(at);
}

static __attribute__((noinline)) void session(void)
{
	void *at = malloc(5000);

	kept = at;
	usleep(20000);
	free(at);
}

static __attribute__((noinline)) void late(void)
{
	kept = malloc(700);
}

static __attribute__((noinline)) void reserve(void)
{
	char *at = mmap(NULL, 10 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(at + 8 * MIB, 2 * MIB);
}

static void *sessions(void *unused)
{
	pthread_setname_np(pthread_self(), "sessions");
	for (;;)
		session();
	return unused;
}

static void on_signal(int number)
{
	asked = 1;
}

static void say(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
}

static void answer(void)
{
	asked = 0;
	for (int i = 0; i < LATE; i++)
		late();
	for (int i = 0; i < GIVEN_BACK; i++)
		free(leaks[i]);
	say("done");
}

int main(void)
{
	pthread_t thread;

	signal(SIGUSR1, on_signal);
	pthread_create(&thread, NULL, sessions, NULL);
	reserve();
	for (int i = 0; i < LEAKS; i++) {
		leaks[i] = leak();
		for (int k = 0; k < 20; k++)
			token();
	}
	say("ready");
	for (;;) {
		for (int k = 0; k < 100; k++)
			token();
		if (asked)
			answer();
		usleep(1000);
	}
}
