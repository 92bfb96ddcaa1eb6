/* The file system's front door, and all that libproffs-fs.so exports: five functions.
 *
 * Called by the agent's own first thread, which already has the private descriptor table.
 */
#pragma once
#include <stdbool.h>

struct pf_sampler;
struct pf_fs;

struct pf_fs_options {
	const char *mount;  /* attach the tree here (no %p any more); NULL: detached, published */
	const char *reaper; /* path of proffs-reaper; NULL: none */
	bool allow_other;   /* the kernel shall ask the modes, and not turn others away at once */
	const char *lines;  /* path of proffs-lines; NULL: none */
	bool dumps; /* there may be: what the tree remembers is kept for them when it is gone */
};

/* Makes and mounts the tree: 0, or -errno with *why a sentence for people (lives for ever). */
int proffs_fs_start(struct pf_fs **out, const struct pf_sampler *sampler,
    const struct pf_fs_options *options, const char **why);

/* Serves until proffs_fs_stop() or until somebody unmounts the tree. */
void proffs_fs_serve(struct pf_fs *fs);

/* Any thread, the program's included (it touches no descriptor): unmount, end every wait with
 * EINTR, let proffs_fs_serve() return. */
void proffs_fs_stop(struct pf_fs *fs);

struct pf_fs_dump {
	const char *directory; /* made if it is missing */
	const char *lines;     /* path of proffs-lines; NULL: none */
	const char
	    *command; /* NULL: the whole tree, by its names; else COMMAND_cpu_STAMP.prof ... */
	const bool *profiles; /* with `command`: of which collectors, by their numbers */
	bool dead;            /* the process, whose memory we have: no threads, no numbers of it */
	int pid;              /* of the process */
};

/* Writes profiles as plain files (dump.c), with or without a tree: 0, or the first -errno; what
 * could be written is there. Any thread of ours. */
int proffs_fs_dump(const struct pf_sampler *sampler, const struct pf_fs_dump *wish);

/* Where the tree is: the mount point, or the published link. Lives until the process ends. */
const char *proffs_fs_path(const struct pf_fs *fs);
