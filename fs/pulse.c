#include "fs/pulse.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/resident.h"
#include "fs/live.h"

#include <string.h>
#include <sys/resource.h>

static int64_t ms(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000 + time.tv_usec / 1000;
}

/* Ours are in it, as in all that the kernel counts per process; hence the column agent_cpu. */
static void take_usage(int64_t *value)
{
	struct rusage usage;

	if (pf_is_forbidden(PF_FORBIDDEN_USAGE) || getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	value[PF_HISTORY_CPU_USER] = ms(usage.ru_utime);
	value[PF_HISTORY_CPU_SYSTEM] = ms(usage.ru_stime);
	value[PF_HISTORY_MINOR_FAULTS] = usage.ru_minflt;
	value[PF_HISTORY_MAJOR_FAULTS] = usage.ru_majflt;
	value[PF_HISTORY_SWITCHES] = usage.ru_nvcsw + usage.ru_nivcsw;
}

/* By the stem in fs/table.c: a profile that is not there has no records. */
static int64_t records(const struct pf_sampler *door, const char *stem)
{
	for (size_t i = 0; i < pf_table.profile_count; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];

		if (strcmp(row->stem, stem) == 0 && door->records[row->source]) {
			int64_t count = door->records[row->source]();

			return count < 0 ? PF_HISTORY_UNKNOWN : count;
		}
	}
	return PF_HISTORY_UNKNOWN;
}

void pf_pulse_take(struct pf_live *live, int64_t value[PF_HISTORY_COLUMN_COUNT])
{
	const struct pf_sampler *door = live->door;

	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++)
		value[i] = PF_HISTORY_UNKNOWN;
	take_usage(value);
	value[PF_HISTORY_RSS] = pf_resident_bytes();
	if (door->heap_totals)
		door->heap_totals(&value[PF_HISTORY_HEAP], &value[PF_HISTORY_ALLOCATED]);
	if (door->cpu_ns)
		value[PF_HISTORY_AGENT_CPU] = door->cpu_ns() / PF_NS_PER_MS;
	value[PF_HISTORY_THREADS] = records(door, "threads");
	value[PF_HISTORY_HEAP_RECORDS] = records(door, "heap");
	value[PF_HISTORY_MUTEX_RECORDS] = records(door, "mutex");
	value[PF_HISTORY_BLOCK_RECORDS] = records(door, "block");
}
