/* proffs: one file per subcommand, one row each in main.c. The command line may exit; nothing else
 * here does.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef int pf_command_fn(int argc, char **argv); /* argv[0] is the subcommand; the exit code */

pf_command_fn pf_run_main, pf_list_main, pf_clean_main;

/* "proffs: ..." on stderr. */
void pf_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- program.c: what would be executed, and can we watch it? ---- */

/* Finds NAME as execvp() would. 0 with its path, -ENOENT, -EACCES. */
int pf_program_find(const char *name, char *path, size_t size);

/* Why a preloaded agent cannot watch this program, or NULL if it can. */
const char *pf_program_obstacle(const char *path);

/* ---- place.c: where trees are ---- */

/* The directory where detached trees are published, for this user. */
const char *pf_place_published(void);

/* DIR, absolute and with every link but the last component resolved; refuses what the agent would
 * refuse: 0, or -errno with *why a sentence. */
int pf_place_check_mount(const char *dir, char *absolute, size_t size, const char **why);

/* Why no tree can be mounted on this machine by this user, or NULL. */
const char *pf_place_obstacle(void);

struct pf_place {
	pid_t pid;       /* 0: not known */
	char path[4096]; /* what a user types */
	bool dead;       /* its process is gone: a corpse */
	bool attached;
};

/* Calls `see` for every tree of this machine that can be seen. */
void pf_place_each(void (*see)(const struct pf_place *place, void *arg), void *arg);
