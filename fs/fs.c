#include "fs/fs.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/mark.h"
#include "base/utc.h"
#include "fs/capture.h"
#include "fs/file.h"
#include "fs/fuse.h"
#include "fs/history.h"
#include "fs/live.h"
#include "fs/mount.h"
#include "fs/patience.h"
#include "fs/work.h"
#include "sampler/sampler.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int64_t PATIENCE_NS = 900ll * PF_NS_PER_MS; /* for our threads, at the end */

/* The keeper waits on `wake`: for a reader who has had enough, a capture nobody reads, the end. */
struct pf_fs {
	struct pf_live live;
	struct pf_workers workers;
	struct pf_files *files;
	struct pf_fuse *fuse;
	struct pf_mount mount;
	int stop_fd;       /* eventfd: the loop shall end; written by the keeper only */
	uint32_t wake;     /* atomic, futex: counts reasons to look around */
	uint32_t stopping; /* atomic */
	uint32_t keeping;  /* atomic, futex: the keeper is alive */
	int64_t timeout_s; /* of a request, by the kernel's will; 0: none */
	uint32_t unknown;  /* atomic: the kernel has forgotten the root's attributes */
};

static void hurry(void *fs_)
{
	struct pf_fs *fs = fs_;

	__atomic_fetch_add(&fs->wake, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&fs->wake, 1);
}

static void root_listed(void *fs_)
{
	struct pf_fs *fs = fs_;

	__atomic_store_n(&fs->unknown, 1, __ATOMIC_RELEASE);
	hurry(fs);
}

static int store(void *fs, uint64_t id, const struct pf_snapshot *snapshot)
{
	return pf_fuse_store(((struct pf_fs *)fs)->fuse, id, snapshot);
}

static void invalidate(void *fs, uint64_t parent, const char *name)
{
	pf_fuse_invalidate(((struct pf_fs *)fs)->fuse, parent, name);
}

/* The end: everybody who waits gets EINTR, the tree goes, the loop stops. */
static void close_down(struct pf_fs *fs)
{
	uint64_t one = 1;

	pf_files_stop(fs->files);
	pf_captures_stop(fs->live.captures, 0); /* no wait: serve() does that */
	pf_mount_remove(&fs->mount);
	while (write(fs->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *keep(void *arg)
{
	struct pf_fs *fs = arg;

	while (!__atomic_load_n(&fs->stopping, __ATOMIC_ACQUIRE)) {
		uint32_t seen = __atomic_load_n(&fs->wake, __ATOMIC_ACQUIRE);
		int64_t now = pf_clock_now_ns();
		int64_t due = pf_events_tick(&fs->live.events, now);

		due = pf_clock_sooner(due, pf_files_tick(fs->files, now));
		due = pf_clock_sooner(due, pf_captures_tick(fs->live.captures, now));
		due = pf_clock_sooner(due, pf_history_tick(fs->live.history, &fs->live, now));
		pf_fuse_wake_polling(fs->fuse);
		if (__atomic_exchange_n(&fs->unknown, 0, __ATOMIC_ACQ_REL))
			pf_mount_remind(&fs->mount);

		if (!__atomic_load_n(&fs->stopping, __ATOMIC_ACQUIRE))
			pf_futex_wait(&fs->wake, seen, due);
	}
	close_down(fs);
	__atomic_store_n(&fs->keeping, 0, __ATOMIC_RELEASE);
	pf_futex_wake(&fs->keeping, INT_MAX);
	return NULL;
}

/* ---- start ---- */

static int start_keeper(struct pf_fs *fs, const char **why)
{
	int rc;

	__atomic_store_n(&fs->keeping, 1, __ATOMIC_RELEASE);
	rc = fs->live.door->start_thread("keeper", keep, fs);
	if (rc < 0)
		*why = "no thread to be had";
	return rc;
}

static int build(struct pf_fs *fs, const char **why)
{
	struct pf_kernel kernel = {store, invalidate, hurry, fs};
	int rc = pf_fuse_create(&fs->fuse, &fs->live, fs->mount.fuse_fd);

	*why = "out of memory";
	if (rc < 0) {
		close(fs->mount.fuse_fd);
		return rc;
	}
	fs->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fs->stop_fd < 0)
		return -errno;
	pf_workers_init(&fs->workers, fs->live.door->start_thread);
	fs->files = pf_files_create(&fs->live, &fs->workers, &kernel);
	if (!fs->files)
		return -ENOMEM;
	pf_fuse_set_files(fs->fuse, fs->files);
	pf_fuse_on_root_listed(fs->fuse, root_listed, fs);
	fs->unknown = fs->mount.link_fd >= 0; /* of one that is attached the reaper has been told */
	fs->timeout_s = pf_patience_seconds();
	/* In good time: the kernel looks every 15 s, and busy machines are late. */
	pf_files_set_patience(fs->files, fs->timeout_s * (PF_NS_PER_SECOND / 4 * 3));
	pf_captures_on_change(fs->live.captures, hurry, fs);
	pf_events_on_change(&fs->live.events, hurry, fs);
	fs->live.where = fs->mount.path;
	fs->live.served = true;
	return 0;
}

static int greet(struct pf_fs *fs, const char **why)
{
	int rc = pf_fuse_greet(fs->fuse);

	if (rc < 0 && rc != -ENOMEM)
		*why = "it was unmounted, or its connection aborted, as soon as it was made";
	return rc;
}

static void demolish(struct pf_fs *fs)
{
	pf_files_destroy(fs->files);
	pf_fuse_destroy(fs->fuse);
	if (fs->stop_fd >= 0)
		close(fs->stop_fd);
	if (!pf_live_is_offered(&fs->live))
		pf_live_finish(&fs->live);
	fs->files = NULL;
	fs->fuse = NULL;
}

static int start(struct pf_fs *fs, const struct pf_fs_options *options, const char **why)
{
	int rc = pf_mount_make(&fs->mount, options, why);

	if (rc < 0)
		return rc;
	rc = build(fs, why);
	if (rc == 0)
		rc = greet(fs, why);
	if (rc == 0)
		rc = start_keeper(fs, why);
	if (rc < 0)
		pf_mount_remove(&fs->mount);
	return rc;
}

PF_PUBLIC int proffs_fs_start(struct pf_fs **out, const struct pf_sampler *sampler,
    const struct pf_fs_options *options, const char **why)
{
	struct pf_fs *fs;
	int rc;

	rc = pf_live_adopt(sampler, why);
	if (rc < 0)
		return rc;
	*why = "out of memory";
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->stop_fd = -1;
	rc = pf_live_init(&fs->live, sampler);
	pf_lookup_set_program(&fs->live.lookup, options->lines);
	if (rc == 0)
		rc = start(fs, options, why);
	if (rc < 0) {
		demolish(fs);
		free(fs);
		return rc;
	}
	if (options->dumps)
		pf_live_offer(&fs->live);
	*out = fs;
	return 0;
}

/* ---- serve and stop ---- */

PF_PUBLIC void proffs_fs_stop(struct pf_fs *fs)
{
	__atomic_store_n(&fs->stopping, 1, __ATOMIC_RELEASE);
	hurry(fs);
}

/* A thread that does not come home keeps what it may still use: better a leak than a crash. */
static void finish(struct pf_fs *fs)
{
	int64_t deadline = pf_clock_now_ns() + PATIENCE_NS;
	int rc = pf_captures_stop(fs->live.captures, deadline);

	if (rc == 0)
		rc = pf_workers_stop(&fs->workers, deadline);
	if (rc == 0)
		demolish(fs);
	else
		pf_fuse_hang_up(fs->fuse);
}

/* Short waits are a setting of the machine: its user should know where they come from. */
static void say_it_works(const struct pf_fs *fs)
{
	static char reason[160];

	if (!fs->timeout_s) {
		pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_OK, NULL);
		return;
	}
	snprintf(reason, sizeof(reason),
	    "fs.fuse.max_request_timeout: a read that waits %lld s fails with EINTR; its capture "
	    "goes on if it was begun by a write",
	    (long long)fs->timeout_s * 3 / 4);
	pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_DEGRADED, reason);
}

/* A dump may still tell. */
static void say_how_it_ended(const struct pf_fs *fs)
{
	static char reason[128];
	char stamp[PF_UTC_TEXT];

	if (__atomic_load_n(&fs->stopping, __ATOMIC_ACQUIRE)) {
		pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_OFF, NULL);
		return;
	}
	pf_utc_text(pf_clock_real_ns(), stamp);
	snprintf(reason, sizeof(reason),
	    "lost at %s: unmounted, or its connection aborted, from outside", stamp);
	pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_NONE, reason);
}

PF_PUBLIC void proffs_fs_serve(struct pf_fs *fs)
{
	say_it_works(fs);
	pf_fuse_serve(fs->fuse, fs->stop_fd);
	say_how_it_ended(fs);
	proffs_fs_stop(fs); /* when the tree was unmounted under us */
	while (__atomic_load_n(&fs->keeping, __ATOMIC_ACQUIRE))
		pf_futex_wait(&fs->keeping, 1, -1);
	finish(fs);
}

PF_PUBLIC const char *proffs_fs_path(const struct pf_fs *fs)
{
	return fs->mount.path;
}
