/* Library: libproffs-fs.so, opened before main() in the process that proffs was asked to run, by our own thread when it
 * is first wanted in any other, and kept. Short-lived children that merely inherit LD_PRELOAD never pay for it.
 */
#pragma once
#include "fs/fs.h"

struct pf_library {
	__typeof__(proffs_fs_start) *start; /* NULL until it is open */
	__typeof__(proffs_fs_serve) *serve;
	__typeof__(proffs_fs_stop) *stop;
	__typeof__(proffs_fs_path) *path;
	__typeof__(proffs_fs_dump) *dump;
};

extern struct pf_library pf_library;

/* 0, or -errno with *why a sentence that lives for ever. Our own threads; any of them, at once. */
int pf_library_open(const char *private_dir, const char **why);
/* On the program's thread, before its main(). It may hold the loader's lock, which one of our threads waits for in
 * the middle of this: that one does it then. Who fails tries again, and says so. */
void pf_library_open_early(const char *private_dir);

/* In the child after fork: whoever was about to open it is not here. */
void pf_library_fork_child(void);

/* The path of one of our private files into `out` (PATH_MAX bytes), or NULL. */
const char *pf_library_file(const char *private_dir, const char *name, char *out);
