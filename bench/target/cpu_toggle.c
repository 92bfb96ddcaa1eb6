/* The cost of CPU sampling (toggle.h), and of gperftools' where it is installed.
 * Usage: cpu_toggle HZ ROUNDS UNITS */
#include "toggle.h"

#include <dlfcn.h>

static int (*profiler_start)(const char *);
static void (*profiler_stop)(void);
static unsigned units;

static void proffs_on(void)
{
	toggle_write("1");
}

static void proffs_off(void)
{
	toggle_write("0");
}

static void gperftools_on(void)
{
	profiler_start("/dev/null");
}

static void gperftools_off(void)
{
	profiler_stop();
}

static void work(void)
{
	busy_work(units);
}

int main(int argc, char **argv)
{
	static const struct toggle_way ways[] = {{"null", NULL, NULL},
	    {"proffs", proffs_on, proffs_off}, {"gperftools", gperftools_on, gperftools_off}};
	char set[64];
	void *library;

	if (argc != 4)
		return 2;
	units = (unsigned)atoi(argv[3]);
	snprintf(set, sizeof(set), "cpu/hz=%s", argv[1]);
	setenv("CPUPROFILE_FREQUENCY", argv[1], 1);
	toggle_start("cpu/enable", set);
	library = dlopen("libprofiler.so.0", RTLD_NOW);
	if (library) {
		profiler_start = (int (*)(const char *))dlsym(library, "ProfilerStart");
		profiler_stop = (void (*)(void))dlsym(library, "ProfilerStop");
	}
	toggle_run(ways, profiler_start && profiler_stop ? 3 : 2, (unsigned)atoi(argv[2]), work);
	return proffs_stop() == 0 ? 0 : 1;
}
