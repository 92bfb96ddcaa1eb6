/* Truth: every 4 ms, in step with a 250 Hz tick, 1 ms of CPU time: 50 % of it in fifty(), 30 % in
 * thirty(), 20 % in twenty(), in this order. What counts CPU time by the tick sees next to nothing
 * of it, or one function only.
 */
#include <stdint.h>
#include <time.h>

static volatile uint64_t sink;

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline __attribute__((always_inline)) void spin(int64_t until_ns)
{
	while (cpu_ns() < until_ns)
		for (int i = 0; i < 2000; i++)
			sink = sink * 31 + 1;
}

static __attribute__((noinline)) void fifty(int64_t until_ns)
{
	spin(until_ns);
}

static __attribute__((noinline)) void thirty(int64_t until_ns)
{
	spin(until_ns);
	__asm__ volatile("");
}

static __attribute__((noinline)) void twenty(int64_t until_ns)
{
	spin(until_ns);
	__asm__ volatile("nop");
}

int main(void)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		int64_t at = cpu_ns();

		fifty(at + 500000);
		thirty(at + 800000);
		twenty(at + 1000000);
		next.tv_nsec += 4000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) != 0)
			continue;
	}
}
