/* Patch: points the program's calls of a function at ours, and back.
 *
 * A module calls another's function through a slot in its own table (GOT). When a collector is
 * enabled, the slots of every loaded module that belong to its functions are rewritten; when it is
 * disabled they are written back. Off therefore costs nothing at all. (reference/hooks.md 7, 8)
 */
#pragma once
#include <stddef.h>

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
	struct pf_patch_set *next; /* of patch.c */
	int on;                    /* of patch.c */
};

/* Point every slot at the hooks (on) or back. 0 or -errno. Takes the loader's lock inside
 * dl_iterate_phdr: normal code and our own threads, never a hook. */
int pf_patch_on(struct pf_patch_set *set);
int pf_patch_off(struct pf_patch_set *set);

/* Our own thread, from time to time: if modules came or went, patch the new ones; and once more
 * the slots that lazy binding wrote meanwhile. */
void pf_patch_refresh(void);
