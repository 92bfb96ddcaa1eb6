/* Truth: whoever takes every real-time signal for itself gets each one that it sends, with its value, and
 * no other; what it asks for is what it has set. Without us it prints the same, and ends with 7.
 *
 * It begins when there is a file go-on: a sampler has its signal by then.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t got[65], values[65];
static void plain_handler(int s)
{
	got[s]++;
}
static void full_handler(int s, siginfo_t *info, void *context)
{
	(void)context;
	got[s]++;
	values[s] = info->si_value.sival_int;
}
static void works(int ms)
{
	struct timespec t;
	long end;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	end = t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < end);
}
/* How many of them got none but `wanted`. */
static int right(int wanted)
{
	int n = 0;
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
		n += got[s] == wanted;
		got[s] = 0;
	}
	return n;
}
int main(void)
{
	struct sigaction a, old;
	int told = 0, refused = 0;
	while (access("go-on", F_OK) < 0) /* sampled by now */
		works(10);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
		memset(&a, 0, sizeof(a));
		a.sa_sigaction = full_handler;
		a.sa_flags = SA_SIGINFO | SA_RESTART;
		sigaddset(&a.sa_mask, SIGUSR1);
		refused +=
		    sigaction(s, NULL, &old) < 0 || old.sa_handler != SIG_DFL || old.sa_flags;
		refused += sigaction(s, &a, &old) < 0 || old.sa_handler != SIG_DFL || old.sa_flags;
		refused += sigaction(s, NULL, &old) < 0 || old.sa_sigaction != full_handler ||
			   (old.sa_flags & ~0x04000000) != a.sa_flags ||
			   !sigismember(&old.sa_mask, SIGUSR1) ||
			   sigismember(&old.sa_mask, SIGUSR2);
	}
	works(300);
	printf("wrong %d, unasked %d\n", refused, SIGRTMAX - SIGRTMIN + 1 - right(0));
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		sigqueue(getpid(), s, (union sigval){.sival_int = s * 7});
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		told += values[s] == s * 7;
	printf("with their values %d, once %d\n", told, right(1));
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		refused += signal(s, plain_handler) != (void (*)(int))(void *)full_handler;
	works(100);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		raise(s);
	printf("by signal() once %d, wrong %d\n", right(1), refused);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
		memset(&a, 0, sizeof(a));
		a.sa_handler = plain_handler;
		a.sa_flags = SA_RESETHAND;
		sigaction(s, &a, NULL);
		raise(s);
		refused += sigaction(s, NULL, &old) < 0 || old.sa_handler != SIG_DFL;
	}
	printf("reset after one %d, wrong %d\n", right(1), refused);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		signal(s, SIG_DFL);
	works(100);
	fflush(stdout);
	return 7;
}
