/* The cost of a collector, by switching it on and off inside one process.
 *
 * Equal pieces of work: off, on, off, on, ... The CPU time of each "on" is divided by the mean of
 * the "off" before and after it, so that the machine's drift cancels; every other pair is a null
 * (off, off, off) that shows what the method itself cannot see. One line each: NAME RATIO.
 */
#pragma once
#include "busy.h"
#include "proffs/proffs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char toggle_path[4096];

/* Starts the agent with everything off; `file` is what is switched ("cpu/enable"). */
static inline void toggle_start(const char *file, const char *set)
{
	struct proffs_options options = {.size = sizeof(options), .enable = "0", .set = set};
	int rc = proffs_start(&options);

	if (rc != 0) {
		fprintf(stderr, "proffs_start: %s\n", strerror(-rc));
		exit(1);
	}
	snprintf(toggle_path, sizeof(toggle_path), "%s/%s", proffs_path(), file);
}

static inline void toggle_write(const char *value)
{
	int fd = open(toggle_path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		perror(toggle_path);
		exit(1);
	}
	close(fd);
}

static inline int64_t toggle_time(void (*work)(void))
{
	int64_t start = busy_thread_cpu_ns();

	work();
	return busy_thread_cpu_ns() - start;
}

/* One measured piece: `begin` before it and `end` after it, neither timed; NULL: nothing. */
struct toggle_way {
	const char *name;
	void (*begin)(void);
	void (*end)(void);
};

static inline void toggle_run(
    const struct toggle_way *ways, unsigned way_count, unsigned rounds, void (*work)(void))
{
	int64_t before, after, took;

	work(); /* warm */
	before = toggle_time(work);
	for (unsigned i = 0; i < rounds; i++) {
		const struct toggle_way *way = &ways[i % way_count];

		if (way->begin)
			way->begin();
		took = toggle_time(work);
		if (way->end)
			way->end();
		after = toggle_time(work);
		printf("%s %.6f\n", way->name, (double)took / ((double)(before + after) / 2));
		before = after;
	}
}
