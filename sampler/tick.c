#include "sampler/tick.h"
#include "base/lock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum {
	CALIBRATION_NS = 2 * PF_NS_PER_MS,
	READINGS = 32,
};

bool pf_tick_raw;
uint64_t pf_tick_ns_fraction = 1ull << PF_TICK_SHIFT;

/* Evenly, whatever the processor's frequency. */
static bool runs_evenly(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
#elif defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

/* The kernel tells time by it, so it has found it to be the same on all processors. */
static bool is_trusted(void)
{
	static const char *const names[] = {
	    "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys"};
	char text[64] = "";
	int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
	    O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	for (size_t i = 0; got > 0 && i < PF_COUNT(names); i++)
		if (strncmp(text, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

struct moment {
	int64_t ns;
	uint64_t tick;
};

/* Both clocks at one moment: of several readings the one with the least between its ends. A thread that
 * is interrupted between two clocks would else take the pause for a part of the tick.
 */
static struct moment both_clocks(void)
{
	struct moment best = {0};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		uint64_t before = pf_tick();
		int64_t ns = pf_clock_now_ns();
		uint64_t apart = pf_tick() - before;

		if (apart >= least)
			continue;
		least = apart;
		best = (struct moment){.ns = ns, .tick = before + apart / 2};
	}
	return best;
}

void pf_tick_start(void)
{
	static uint32_t nobody_wakes;
	static bool done;
	struct moment start, now;

	if (done)
		return;
	done = true;
	if (pf_is_forbidden(PF_FORBIDDEN_CLOCK) || !runs_evenly() || !is_trusted())
		return;
	pf_tick_raw = true;
	start = both_clocks();
	do {
		pf_futex_wait(&nobody_wakes, 0, start.ns + CALIBRATION_NS);
		now = both_clocks();
	} while (now.ns - start.ns < CALIBRATION_NS);
	pf_tick_ns_fraction =
	    ((uint64_t)(now.ns - start.ns) << PF_TICK_SHIFT) / (now.tick - start.tick);
}
