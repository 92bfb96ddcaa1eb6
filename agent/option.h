/* Options of one start, from whichever way in: the environment (preload, `proffs run`) or
 * struct proffs_options (library). Checked whole before anything happens.
 *
 *   PROFFS_MOUNT   DIR ("%p" becomes the process id), "auto": detached and published, or "none"
 *   PROFFS_RUN     the process to watch from its start: its id, as `proffs run` sets it before exec;
 *                  no other is watched, unless there is a %p in PROFFS_MOUNT
 *   PROFFS_ALLOW_OTHER  1: the mount lets others come as far as the modes do: root, for a user's tree
 *   PROFFS_ENABLE  collectors, as the file `enable`: "+heap -cpu"
 *   PROFFS_<KNOB>  settings: PROFFS_CPU_HZ=997 (base/knob.h)
 *
 * Plain files besides, or with "none" instead (agent/dump.h); %p as above:
 *
 *   PROFFS_DUMP_ON_EXIT   DIR: the whole tree, when the program ends
 *   PROFFS_DUMP_SIGNAL    USR2: the same into DIR/1, DIR/2 ...; DIR is proffs-PID by default
 *   PROFFS_TOGGLE_SIGNAL  USR1: the CPU recorder on, off
 *   PROFFS_PROFILE_DIR    DIR: CMD_cpu_STAMP.prof and its like, when the program ends
 *   PROFFS_PROFILES       which: "cpu mem wall mutex block", as far as there are such collectors
 */
#pragma once
#include "sampler/sampler.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct proffs_options;

struct pf_option {
	char mount[PATH_MAX]; /* "" : detached; may hold %p */
	char private_dir[PATH_MAX];
	bool collectors[PF_COLLECTOR_COUNT];
	int64_t knobs[PF_KNOB_COUNT]; /* INT64_MIN: leave as it is */
	bool treeless;                /* "none" */
	bool allow_other;
	char dump_dir[PATH_MAX];    /* absolute; may hold %p */
	char profile_dir[PATH_MAX]; /* the same */
	char command[64];           /* the program's name, in names of profiles */
	bool dump_at_exit;
	bool profiles[PF_COLLECTOR_COUNT]; /* whose profiles become files at the end */
	int dump_signal, toggle_signal;    /* 0: none */
	bool chosen;  /* somebody asked for this very process: watch from the start */
	bool follow;  /* %p: every child gets a tree of its own */
	bool patient; /* no tree before the process is 100 ms old */
};

/* From the library's caller: 0, -EINVAL, -ERANGE, -ENAMETOOLONG. */
int pf_option_from_api(struct pf_option *option, const struct proffs_options *api);

/* From the environment: true when this process is to be watched. A bad setting is left at its
 * default, and *complaint names the variable. */
bool pf_option_from_environment(struct pf_option *option, const char **complaint);

/* Puts the settings into the knobs; they were checked. */
void pf_option_apply(const struct pf_option *option);

/* Is anything to be written or done without a tree? */
bool pf_option_wants_files(const struct pf_option *option);

/* At the end of the program? */
bool pf_option_wants_files_at_end(const struct pf_option *option);

/* `place` with %p filled in: this process's id, or that of another. `out` has PATH_MAX bytes. */
void pf_option_fill(const char *place, char *out);
void pf_option_fill_for(const char *place, pid_t pid, char *out);

/* `mount` with %p filled in; NULL for a detached tree. `out` has PATH_MAX bytes. */
const char *pf_option_mount(const struct pf_option *option, char *out);
