#include "agent/library.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/gate.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

struct pf_library pf_library; /* written once, under the lock; whoever opened it may read it */

/* Rank AGENT: nothing else is held, and dlopen() is a long wait. Our threads take it, and main() has not begun. */
static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_AGENT);

/* Installed: DIR/proffs/NAME beside DIR/libproffs.so. Built and not installed: DIR/fs/NAME
 * or DIR/render/NAME. */
const char *pf_library_file(const char *private_dir, const char *name, char *out)
{
	static const char *const places[] = {"proffs", "fs", "render"};

	for (size_t i = 0; i < PF_COUNT(places); i++) {
		int n = snprintf(out, PATH_MAX, "%s/%s/%s", private_dir, places[i], name);

		if (n > 0 && n < PATH_MAX && access(out, R_OK) == 0)
			return out;
	}
	return NULL;
}

static int open_gated(const char *path, struct pf_library *found, const char **why)
{
	static char reason[256];
	void *library;

	pf_gate_open_begin();
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	pf_gate_open_end();
	if (!library) {
		const char *said = dlerror();

		snprintf(reason, sizeof(reason), "%.255s", said ? said : path);
		*why = reason;
		return -ELIBACC;
	}
	found->serve = (__typeof__(found->serve))dlsym(library, "proffs_fs_serve");
	found->stop = (__typeof__(found->stop))dlsym(library, "proffs_fs_stop");
	found->path = (__typeof__(found->path))dlsym(library, "proffs_fs_path");
	found->dump = (__typeof__(found->dump))dlsym(library, "proffs_fs_dump");
	found->start = (__typeof__(found->start))dlsym(library, "proffs_fs_start");
	*why = "libproffs-fs.so is of another version";
	return found->start && found->serve && found->stop && found->path && found->dump ? 0
											 : -ELIBACC;
}

void pf_library_fork_child(void)
{
	if (!__atomic_load_n(&lock.word, __ATOMIC_RELAXED))
		return;
	pf_library = (struct pf_library){NULL}; /* half of it, perhaps */
	pf_lock_reset(&lock);
}

static int open_locked(const char *private_dir, const char **why)
{
	struct pf_library found = {NULL};
	char path[PATH_MAX];
	int rc;

	if (pf_library.start)
		return 0;
	*why = "libproffs-fs.so is not where libproffs.so expects it";
	if (!pf_library_file(private_dir, "libproffs-fs.so", path))
		return -ENOENT;
	pf_gate_enter();
	rc = open_gated(path, &found, why);
	pf_gate_leave();
	if (rc == 0)
		pf_library = found;
	return rc;
}

int pf_library_open(const char *private_dir, const char **why)
{
	int rc;

	pf_lock_take(&lock);
	rc = open_locked(private_dir, why);
	pf_lock_give(&lock);
	return rc;
}

void pf_library_open_early(const char *private_dir)
{
	const char *why;

	if (!pf_lock_try(&lock))
		return;
	open_locked(private_dir, &why);
	pf_lock_give(&lock);
}
