/* Patch: points the program's calls of a function at ours, and back.
 *
 * A module calls another's function through a slot in its own table (GOT). When a collector is
 * enabled, the slots of every loaded module that belong to its functions are rewritten; when it is
 * disabled they are written back. Off therefore costs nothing at all. (reference/hooks.md 7, 8)
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_patch {
	const char *symbol;
	void *hook;
	void **real;         /* the function behind it; NULL entries are skipped */
	const char *version; /* only this symbol version; NULL: any */
};

/* A collector's hooks: static, registered once, kept for ever. */
struct pf_patch_set {
	const struct pf_patch *patches;
	size_t count;
	bool counts_asking;    /* who fetches one of them by dlsym: PF_COUNTER_HEAP_FETCHED */
	const void *skip;      /* an address in a module that is left alone, or NULL */
	const void *skip_rest; /* the same, for the patches from `rest` on alone */
	size_t rest;
	/* An address in a module that has such functions itself and is known to call these; or NULL. */
	const void *told;
	void (*resolve)(void);     /* NULL, or finds the real functions anew, before each scan */
	struct pf_patch_set *next; /* of patch.c */
	int on;                    /* of patch.c */
};

/* Point every slot at the hooks (on) or back. 0 or -errno. Passes the gate and takes the loader's
 * lock inside dl_iterate_phdr: normal code and our own threads, never a hook.
 *
 * On again with other `patches` for the same symbols in the same order: the slots follow. */
int pf_patch_on(struct pf_patch_set *set);
int pf_patch_off(struct pf_patch_set *set);

/* Every set that was ever on, linked by `next`. PF_HOOK. */
const struct pf_patch_set *pf_patch_sets(void);

/* A futex word that moves when the program calls dlopen, dlmopen or dlclose. */
extern uint32_t pf_patch_poke;

/* Our own thread, when pf_patch_poke has moved and from time to time: if modules came or went,
 * patch the new ones; and look again at the slots that lazy binding may have written meanwhile.
 * Returns in how many nanoseconds it wants to be called again at the latest. */
int64_t pf_patch_refresh(void);

/* In the child after fork. What was patched stays so. */
void pf_patch_fork_child(void);
