#include "sampler/tick.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { CALIBRATION_NS = 2 * PF_NS_PER_MS };

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

void pf_tick_start(void)
{
	static bool done;
	int64_t start_ns, now_ns;
	uint64_t start, ticks;

	if (done)
		return;
	done = true;
	if (!runs_evenly() || !is_trusted())
		return;
	pf_tick_raw = true;
	start_ns = pf_clock_now_ns();
	start = pf_tick();
	do
		now_ns = pf_clock_now_ns();
	while (now_ns - start_ns < CALIBRATION_NS);
	ticks = pf_tick() - start;
	pf_tick_ns_fraction = ((uint64_t)(now_ns - start_ns) << PF_TICK_SHIFT) / ticks;
}
