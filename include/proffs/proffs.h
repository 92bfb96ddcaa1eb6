/* proffs: live profiles of a native process, as files.
 *
 * Linking libproffs does nothing: no thread, no hook, no file, until proffs_start().
 *
 *     struct proffs_options options = {.size = sizeof(options), .mount = "/tmp/prof"};
 *     if (proffs_start(&options) == 0)
 *             printf("cat %s/heap\n", proffs_path());
 *
 * Thread safety: every function may be called from any thread, none from a signal handler.
 * Errors: 0 or -errno.
 */
#ifndef PROFFS_H
#define PROFFS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Unknown fields are zero: an older program keeps working with a newer library. */
struct proffs_options {
	size_t size;        /* sizeof(struct proffs_options) */
	const char *mount;  /* attach the tree at this directory ("%p" becomes the process id);
			       NULL: detached, published under $XDG_RUNTIME_DIR/proffs or
			       /run/proffs as a link named by the process id */
	const char *set;    /* settings before the start: "cpu/hz=997 heap_sample_bytes=65536" */
	const char *enable; /* collectors, as the file `enable`: "+heap -cpu"; NULL: cpu and heap */
};

/* Starts the agent and waits until the tree can be read. NULL options: all defaults.
 * -EALREADY when it runs; -EINVAL for a bad setting (nothing started); -ENOTDIR, -ENOTEMPTY,
 * -EPERM, -EBUSY for a mount point that is not an empty directory of ours; -ENODEV, -EACCES
 * without a usable /dev/fuse. After an error the program is as before the call. */
int proffs_start(const struct proffs_options *options);

/* Switches every collector off, removes the tree, ends our threads. Waits up to a second; readers
 * get EINTR. -EALREADY when it does not run. May be started again. */
int proffs_stop(void);

/* Where the tree is, or NULL while the agent does not run. */
const char *proffs_path(void);

/* Labels: KEY=VALUE on every sample of the calling thread from now on, in CPU, wall-clock and thread
 * profiles; threads it creates inherit what it has at that moment. Say what the thread works on:
 * proffs_label_set("request", "/checkout"). Cheap, and allowed while the agent does not run.
 * -EINVAL: an empty key, or a text of 64 bytes or more; -E2BIG: a ninth key; -ENOSPC: too many
 * different sets (the thread keeps those it has). */
int proffs_label_set(const char *key, const char *value);

/* Takes one key off the calling thread, or with NULL all of them. 0 when it had none. */
int proffs_label_clear(const char *key);

/* Profiles of your own: things that the program holds, by a key of your choice, each with the stack
 * that took it. They are custom/NAME, NAME.pprof ... in the tree: how many, by who.
 *
 *     static struct proffs_profile *connections;
 *     proffs_profile_new(&connections, "connections");
 *     proffs_profile_add(connections, connection);        when it is opened
 *     proffs_profile_remove(connections, connection);     when it is closed
 *
 * A key is never looked into. All are allowed while the agent does not run. */
struct proffs_profile;

/* 0. -EEXIST: there is one of that name, and *profile is it. -EINVAL: a name is 1 to 47 letters,
 * digits, '_', '-'; -ENOSPC: there are 64 already; -ENOMEM; *profile is then NULL, which add and
 * remove refuse. Profiles live for ever. */
int proffs_profile_new(struct proffs_profile **profile, const char *name);

/* 0. -EEXIST: the key is in already (the first stack stays); -ENOMEM; -EINVAL: NULL profile. */
int proffs_profile_add(struct proffs_profile *profile, const void *key);

/* 0. -ENOENT: the key is not in; -EINVAL: NULL profile. */
int proffs_profile_remove(struct proffs_profile *profile, const void *key);

/* What the program does when somebody writes 1 to `gc`, before its allocator is asked to give memory
 * back: run a collector, drop a cache. NULL: nothing. Called on a thread of the agent's: it has none
 * of the program's descriptors, blocks every signal, and is not in the profiles. Boehm's collector needs
 * none, unless it has only ever had one thread: it is asked without (proffs_start(3)). */
void proffs_on_gc(void (*collect)(void));

/* "0.1.0". Lives for ever. */
const char *proffs_version(void);

#ifdef __cplusplus
}
#endif

#endif
