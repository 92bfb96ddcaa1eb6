/* The cost of CPU sampling, by switching it on and off inside one process.
 *
 * Rounds of equal work: off, proffs, off, gperftools, ... The CPU time of each is divided by the
 * mean of the "off" before and after it, so that the machine's drift cancels. Prints one line per
 * round: NAME RATIO. Usage: cpu_toggle HZ ROUNDS UNITS
 */
#include "busy.h"
#include "proffs/proffs.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char enable_path[4096];
static int (*profiler_start)(const char *);
static void (*profiler_stop)(void);

static void proffs_switch(const char *value)
{
	int fd = open(enable_path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		perror(enable_path);
		exit(1);
	}
	close(fd);
}

static int64_t timed(unsigned units)
{
	int64_t start = busy_thread_cpu_ns();

	busy_work(units);
	return busy_thread_cpu_ns() - start;
}

static int64_t with_proffs(unsigned units)
{
	int64_t took;

	proffs_switch("1");
	took = timed(units);
	proffs_switch("0");
	return took;
}

static int64_t with_gperftools(unsigned units)
{
	int64_t took;

	profiler_start("/dev/null");
	took = timed(units);
	profiler_stop();
	return took;
}

static int64_t with_nothing(unsigned units)
{
	return timed(units);
}

int main(int argc, char **argv)
{
	struct proffs_options options = {.size = sizeof(options), .enable = "-cpu -heap"};
	static char set[64];
	static const struct {
		const char *name;
		int64_t (*run)(unsigned);
	} ways[] = {
	    {"null", with_nothing}, {"proffs", with_proffs}, {"gperftools", with_gperftools}};
	unsigned rounds, units;
	int64_t before, after, took;
	void *library;

	if (argc != 4)
		return 2;
	rounds = (unsigned)atoi(argv[2]);
	units = (unsigned)atoi(argv[3]);
	snprintf(set, sizeof(set), "cpu/hz=%s", argv[1]);
	options.set = set;
	setenv("CPUPROFILE_FREQUENCY", argv[1], 1);
	if (proffs_start(&options) != 0)
		return 1;
	snprintf(enable_path, sizeof(enable_path), "%s/cpu/enable", proffs_path());
	library = dlopen("libprofiler.so.0", RTLD_NOW);
	if (library) {
		profiler_start = (int (*)(const char *))dlsym(library, "ProfilerStart");
		profiler_stop = (void (*)(void))dlsym(library, "ProfilerStop");
	}
	before = timed(units);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned way = i % 3;

		if (way == 2 && !profiler_start)
			continue;
		took = ways[way].run(units);
		after = timed(units);
		printf("%s %.6f\n", ways[way].name, (double)took / ((double)(before + after) / 2));
		before = after;
	}
	proffs_stop();
	return 0;
}
