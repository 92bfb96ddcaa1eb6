/* Names and attributes for the kernel, and the session. */
#include "base/clock.h"
#include "base/counter.h"
#include "base/memory.h"
#include "fs/fuse_op.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One WRITE carries at most MAX_WRITE; a read from /dev/fuse must have room for it and a header. */
enum { MAX_WRITE = 64 * 1024, BUFFER_BYTES = MAX_WRITE + 64 * 1024 };

enum { STORED_WHOLE = 32 * 1024 }; /* as much as is read ahead at first */

static const double LONG_TIME = 1e8; /* seconds the kernel may believe what never changes */

bool pf_fuse_is_owner(fuse_req_t req)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	return uid == pf_fuse_of(req)->uid || uid == 0;
}

/* ---- names and attributes ---- */

static struct stat stat_of(const struct pf_fuse *fuse, const struct pf_attributes *a)
{
	struct timespec time = {a->time_ns / PF_NS_PER_SECOND, a->time_ns % PF_NS_PER_SECOND};

	return (struct stat){
	    .st_ino = a->ino,
	    .st_mode = a->mode,
	    .st_nlink = 1,
	    .st_uid = fuse->uid,
	    .st_gid = fuse->gid,
	    .st_size = a->size,
	    .st_blksize = 4096,
	    .st_blocks = (a->size + 511) / 512,
	    .st_atim = time,
	    .st_mtim = time,
	    .st_ctim = time,
	};
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_attributes a;
	struct fuse_entry_param entry = {0};
	int rc = pf_files_lookup(fuse->files, parent, name, &a);

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	entry.ino = a.id;
	entry.attr = stat_of(fuse, &a);
	entry.attr_timeout = a.settled ? LONG_TIME : 0;
	entry.entry_timeout = a.fixed ? LONG_TIME : 0;
	/* Who asked is gone: the kernel will not remember it. */
	if (fuse_reply_entry(req, &entry) != 0 && !a.fixed)
		pf_files_forget(fuse->files, a.id, 1);
}

static void on_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
	pf_files_forget(pf_fuse_of(req)->files, id, count);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		pf_files_forget(pf_fuse_of(req)->files, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attributes(fuse_req_t req, fuse_ino_t id)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_attributes a;
	int rc = pf_files_attributes(fuse->files, id, &a);
	struct stat st;

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	st = stat_of(fuse, &a);
	fuse_reply_attr(req, &st, a.settled ? LONG_TIME : 0);
}

static void on_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	reply_attributes(req, id);
}

/* touch, and the truncation an editor does before it writes, are accepted and change nothing. */
static void on_setattr(
    fuse_req_t req, fuse_ino_t id, struct stat *to, int what, struct fuse_file_info *file)
{
	struct pf_object object;
	int rc = pf_files_object(pf_fuse_of(req)->files, id, &object);

	if (rc == 0 && !pf_fuse_is_owner(req))
		rc = -EACCES;
	if (rc == 0 && (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		rc = -EPERM;
	if (rc == 0 && (what & FUSE_SET_ATTR_SIZE) && !pf_fuse_is_control(&object) &&
	    !pf_fuse_is_dialog(pf_fuse_of(req), id))
		rc = -EACCES;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		reply_attributes(req, id);
}

static void on_readlink(fuse_req_t req, fuse_ino_t id)
{
	struct pf_files *files = pf_fuse_of(req)->files;
	struct pf_object object;
	char target[PF_LINK_TARGET];
	int rc = pf_files_object(files, id, &object);

	if (rc == 0 && object.fixed && object.entry->kind == PF_KIND_LINK)
		fuse_reply_readlink(req, object.entry->target);
	else if (rc == 0 && object.member && object.member->link &&
		 (rc = pf_files_link(files, &object, target, sizeof(target))) == 0)
		fuse_reply_readlink(req, target);
	else
		fuse_reply_err(req, rc ? -rc : EINVAL);
}

/* ---- what cannot be done here, said plainly ---- */

static void on_statfs(fuse_req_t req, fuse_ino_t id)
{
	struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_MAX};

	fuse_reply_statfs(req, &st); /* no blocks: df leaves us out */
}

static void on_create(
    fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
	fuse_reply_err(req, EACCES);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_reply_err(req, EPERM);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	fuse_reply_err(req, EPERM);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
    const char *new_name, unsigned flags)
{
	fuse_reply_err(req, EPERM);
}

static void on_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

static void on_init(void *fuse, struct fuse_conn_info *conn)
{
	((struct pf_fuse *)fuse)->greeted = true;
	/* AUTO_INVAL_DATA would ask for attributes at every read of what never changes. */
	conn->want &= ~(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			FUSE_CAP_SPLICE_MOVE | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
			FUSE_CAP_WRITEBACK_CACHE);
	conn->max_write = MAX_WRITE;
}

/* No flush: shells send it before they write, and drop its errors. No access, no getxattr: the
 * kernel asks once and never again. */
static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .open = pf_fuse_open,
    .read = pf_fuse_read,
    .write = pf_fuse_write,
    .release = pf_fuse_release,
    .poll = pf_fuse_poll,
    .opendir = pf_fuse_opendir,
    .readdir = pf_fuse_readdir,
    .releasedir = pf_fuse_releasedir,
    .unlink = pf_fuse_remove,
    .rmdir = pf_fuse_remove,
    .statfs = on_statfs,
    .create = on_create,
    .mkdir = on_mkdir,
    .mknod = on_mknod,
    .symlink = on_symlink,
    .rename = on_rename,
    .link = on_link,
};

/* ---- of our own accord ---- */

/* The last byte, which makes the size; of a small one every byte, so that no READ need come. */
int pf_fuse_store(struct pf_fuse *fuse, uint64_t id, const struct pf_snapshot *snapshot)
{
	size_t length = snapshot->text.length;
	size_t stored = length <= STORED_WHOLE ? length : 1;
	struct fuse_bufvec end = FUSE_BUFVEC_INIT(stored);

	if (length == 0)
		return 0;
	end.buf[0].mem = snapshot->text.at + length - stored;
	return fuse_lowlevel_notify_store(fuse->session, id, (off_t)(length - stored), &end, 0);
}

void pf_fuse_invalidate(struct pf_fuse *fuse, uint64_t parent, const char *name)
{
	fuse_lowlevel_notify_inval_entry(fuse->session, parent, name, strlen(name));
}

/* ---- session ---- */

int pf_fuse_create(struct pf_fuse **out, struct pf_live *live, int fuse_fd)
{
	struct pf_fuse *fuse = calloc(1, sizeof(*fuse));
	char name[] = "proffs";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char place[32];

	if (!fuse)
		return -ENOMEM;
	fuse->live = live;
	fuse->stream_lock = (struct pf_lock)PF_LOCK_INIT(PF_LOCK_SHARD);
	fuse->uid = geteuid();
	fuse->gid = getegid();
	fuse->buffer = pf_memory_new(1, BUFFER_BYTES);
	fuse->session =
	    fuse->buffer ? fuse_session_new(&args, &operations, sizeof(operations), fuse) : NULL;
	fuse_opt_free_args(&args);
	snprintf(place, sizeof(place), "/dev/fd/%d", fuse_fd); /* parsed, never opened */
	if (fuse->session && fuse_session_mount(fuse->session, place) == 0) {
		*out = fuse;
		return 0;
	}
	pf_fuse_destroy(fuse);
	return -ENOMEM;
}

void pf_fuse_destroy(struct pf_fuse *fuse)
{
	if (!fuse)
		return;
	pf_fuse_stream_finish(fuse);
	if (fuse->session)
		fuse_session_destroy(fuse->session);
	pf_memory_free(fuse->buffer);
	free(fuse);
}

void pf_fuse_hang_up(struct pf_fuse *fuse)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, fuse_session_fd(fuse->session));
	close(null);
}

void pf_fuse_set_files(struct pf_fuse *fuse, struct pf_files *files)
{
	fuse->files = files;
}

void pf_fuse_on_root_listed(struct pf_fuse *fuse, void (*listed)(void *to), void *to)
{
	fuse->root_listed = listed;
	fuse->root_listed_to = to;
}

/* One request, if there is one: 1; 0: there is none now; -errno: the tree is gone. Read by
 * ourselves: libfuse would print to the program's stderr what it does not like. */
static int serve_one(struct pf_fuse *fuse)
{
	struct fuse_buf request = {.mem = fuse->buffer};
	ssize_t n = read(fuse_session_fd(fuse->session), fuse->buffer, BUFFER_BYTES);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 && (errno == EINTR || errno == ENOENT))
		return 1; /* ENOENT: its asker went away before we came */
	if (n <= 0)
		return n < 0 ? -errno : -ENODEV;
	request.size = (size_t)n;
	pf_count(PF_COUNTER_FS_REQUESTS);
	fuse_session_process_buf(fuse->session, &request);
	return 1;
}

/* Without memory libfuse answers ENOMEM for us, once, and the kernel refuses the tree to everybody from
 * then on (ECONNREFUSED): a corpse, unless we take it away. */
int pf_fuse_greet(struct pf_fuse *fuse)
{
	struct pollfd message = {.fd = fuse_session_fd(fuse->session), .events = POLLIN};
	int rc;

	do {
		while (poll(&message, 1, -1) < 0 && errno == EINTR)
			;
		rc = serve_one(fuse);
	} while (rc == 0);
	if (rc < 0)
		return rc;
	return fuse->greeted && !fuse_session_exited(fuse->session) ? 0 : -ENOMEM;
}

void pf_fuse_serve(struct pf_fuse *fuse, int stop_fd)
{
	struct pollfd fds[] = {
	    {.fd = fuse_session_fd(fuse->session), .events = POLLIN},
	    {.fd = stop_fd, .events = POLLIN},
	};
	int rc = 0;

	while (rc >= 0 && !fuse_session_exited(fuse->session)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		while ((rc = serve_one(fuse)) > 0)
			;
	}
}
