/* What threads that fight for one lock get done, with mutex and block off, on, off, ... in one process.
 *
 * Each works with the lock and without it, in turn, as often as it can:
 *
 *   random    about a microsecond with the lock, up to twice as long, by chance, without it
 *   step      always as long without as with it. Each comes back in the very moment in which the other lets
 *             go, and whether it then sleeps, which costs ten times the work, is decided by nanoseconds,
 *             whatever they are spent on: that measures who comes first more than what a contention costs
 *   tenth     ten times as long without as with it, always, as a program of no bench would
 *
 * A round is one stretch each of off, on and null (off, too: what the method cannot see), in an order by
 * chance. A fight has a state of its own, which outlives a switch: who sleeps, who runs where. So every
 * stretch has threads of its own, is begun by a write to `enable`, whether that switches anything or not,
 * and is measured after a while only. And what is decided by nanoseconds depends on how long exactly the
 * work is and where its code lies: every other round works for another length (of 4), in another copy of the
 * code (of 4), and only stretches of the same round are to be compared. Many short stretches say more than few
 * long ones: 240 rounds of 9 ms each are within 1 %, where 80 of 30 ms were within 2.5 %, in the same ten seconds.
 *
 * One line for each stretch: WAY RATE SWITCHES, per second. Switches are those that getrusage calls voluntary.
 * With PLAIN nothing of proffs is linked, for what others preload: the way is "plain".
 *
 * Usage: lock_rate THREADS ROUNDS PATTERN [SETTINGS]; lock_rate_plain THREADS ROUNDS PATTERN */
#ifdef PLAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#else
#include "toggle.h"
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

enum { SETTLE_US = 3000, STRETCH_US = 9000, THREADS_MAX = 64, LENGTHS = 4 };

static const struct pattern {
	const char *name;
	unsigned with,
	    without; /* how often the loop of work() goes round, which takes a nanosecond */
	bool by_chance;
} patterns[] = {
    {"random", 800, 800, true},
    {"step", 800, 800, false},
    {"tenth", 100, 1000, false},
};

/* In eighths of what the pattern says. */
static const unsigned lengths[LENGTHS] = {8, 9, 11, 14};

static struct {
	pthread_mutex_t lock;
	uint64_t done;
} shared __attribute__((aligned(64))) = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const struct pattern *pattern __attribute__((aligned(64)));
static unsigned length;
static int stop; /* atomic */

/* Each thread's own; nothing that another one writes is near. */
struct fighter {
	pthread_t thread;
	uint32_t chance;
} __attribute__((aligned(64)));

static struct fighter fighters[THREADS_MAX];

static inline __attribute__((always_inline)) void work(unsigned rounds)
{
	uint64_t x = rounds;

	for (unsigned i = 0; i < rounds; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		__asm__ volatile("" : "+r"(x));
	}
}

static unsigned without_lock(struct fighter *self)
{
	unsigned rounds = pattern->without * length / 8;

	if (!pattern->by_chance)
		return rounds;
	self->chance = self->chance * 1664525 + 1013904223;
	return (self->chance >> 16) % (2 * rounds);
}

/* The same, so many bytes further on. */
#define FIGHT(bytes)                                                                               \
	static __attribute__((noinline, aligned(64))) void *fight_##bytes(void *arg)               \
	{                                                                                          \
		struct fighter *self = arg;                                                        \
		unsigned with = pattern->with * length / 8;                                        \
                                                                                                   \
		__asm__ volatile(".skip " #bytes ", 0x90");                                        \
		while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {                                \
			pthread_mutex_lock(&shared.lock);                                          \
			work(with);                                                                \
			shared.done++;                                                             \
			pthread_mutex_unlock(&shared.lock);                                        \
			work(without_lock(self));                                                  \
		}                                                                                  \
		return NULL;                                                                       \
	}
FIGHT(1)
FIGHT(13)
FIGHT(26)
FIGHT(39)

static void *(*const fights[LENGTHS])(void *) = {fight_1, fight_13, fight_26, fight_39};

struct reading {
	double seconds;
	uint64_t done;
	long switches;
};

static struct reading read_now(void)
{
	struct reading now;
	struct timespec t;
	struct rusage used;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now.seconds = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	now.done = __atomic_load_n(&shared.done, __ATOMIC_RELAXED);
	getrusage(RUSAGE_SELF, &used);
	now.switches = used.ru_nvcsw;
	return now;
}

static void stretch(const char *way, int threads, int round)
{
	struct reading before, after;

	length = lengths[round % LENGTHS];
	__atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < threads; i++) {
		fighters[i].chance = (uint32_t)(round * threads + i + 1);
		pthread_create(
		    &fighters[i].thread, NULL, fights[round / LENGTHS % LENGTHS], &fighters[i]);
	}
	usleep(SETTLE_US);
	before = read_now();
	usleep(STRETCH_US);
	after = read_now();
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < threads; i++)
		pthread_join(fighters[i].thread, NULL);
	after.seconds -= before.seconds;
	printf("%s %.1f %.1f\n", way, (double)(after.done - before.done) / after.seconds,
	    (double)(after.switches - before.switches) / after.seconds);
}

#ifdef PLAIN
static void start(const char *set)
{
	(void)set;
}

static void one_round(int threads, int round)
{
	stretch("plain", threads, round);
}
#else
static void start(const char *set)
{
	toggle_start("enable", set);
}

static void one_round(int threads, int round)
{
	static const char *const orders[][3] = {{"off", "on", "null"}, {"off", "null", "on"},
	    {"on", "off", "null"}, {"on", "null", "off"}, {"null", "off", "on"},
	    {"null", "on", "off"}};
	static unsigned short seed[3] = {1, 2, 3};
	const char *const *order = orders[nrand48(seed) % (sizeof(orders) / sizeof(orders[0]))];

	for (int i = 0; i < 3; i++) {
		toggle_write(strcmp(order[i], "on") == 0 ? "+mutex +block" : "-mutex -block");
		stretch(order[i], threads, round);
	}
}
#endif

static const struct pattern *pattern_of(const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 0, rounds = argc > 2 ? atoi(argv[2]) : 0;

	if (threads < 1 || threads > THREADS_MAX || rounds < 1 || argc < 4 ||
	    !(pattern = pattern_of(argv[3])))
		return 2;
	start(argc > 4 ? argv[4] : NULL);
	for (int round = 0; round < rounds; round++)
		one_round(threads, round);
	fflush(stdout);
	_exit(0);
}
