#define FUSE_USE_VERSION 35
#include "fs/fuse.h"
#include "base/clock.h"
#include "base/counter.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One WRITE carries at most MAX_WRITE; a read from /dev/fuse must have room for it and a header. */
enum { MAX_WRITE = 64 * 1024, BUFFER_BYTES = MAX_WRITE + 64 * 1024 };

static const double LONG_TIME = 3600; /* seconds the kernel may believe what never changes */

struct pf_fuse {
	struct pf_live *live;
	struct pf_files *files;
	struct fuse_session *session;
	uid_t uid;
	gid_t gid;
	char *buffer;
};

/* A request that is answered later. */
struct late {
	struct pf_call call;
	struct pf_fuse *fuse;
	fuse_req_t req;
	struct fuse_file_info file;
	uint64_t id;
};

static struct pf_fuse *fuse_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* libfuse holds the request's own lock here, so a late request cannot go away meanwhile. */
static void on_interrupt(fuse_req_t req, void *late)
{
	pf_files_interrupt(fuse_of(req)->files, &((struct late *)late)->call);
}

/* Nobody interrupts it any more once this returns. */
static void before_answer(struct late *late)
{
	fuse_req_interrupt_func(late->req, NULL, NULL);
}

static struct late *begin_late(fuse_req_t req, uint64_t id, const struct fuse_file_info *file,
    void (*answer)(struct pf_call *call, int rc))
{
	struct late *late = calloc(1, sizeof(*late));

	if (!late) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	late->call.answer = answer;
	late->fuse = fuse_of(req);
	late->req = req;
	late->id = id;
	if (file)
		late->file = *file;
	fuse_req_interrupt_func(req, on_interrupt, late);
	return late;
}

/* The tree shows secrets and takes orders: its owner's alone, whatever the mount lets through. */
static bool is_owner(fuse_req_t req)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	return uid == fuse_of(req)->uid || uid == 0;
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
	struct pf_fuse *fuse = fuse_of(req);
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
	pf_files_forget(fuse_of(req)->files, id, count);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		pf_files_forget(fuse_of(req)->files, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attributes(fuse_req_t req, fuse_ino_t id)
{
	struct pf_fuse *fuse = fuse_of(req);
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

static bool is_control(const struct pf_object *object)
{
	return object->fixed && object->entry->kind == PF_KIND_CONTROL;
}

/* touch, and the truncation an editor does before it writes, are accepted and change nothing. */
static void on_setattr(
    fuse_req_t req, fuse_ino_t id, struct stat *to, int what, struct fuse_file_info *file)
{
	struct pf_object object;
	int rc = pf_files_object(fuse_of(req)->files, id, &object);

	if (rc == 0 && !is_owner(req))
		rc = -EACCES;
	if (rc == 0 && (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		rc = -EPERM;
	if (rc == 0 && (what & FUSE_SET_ATTR_SIZE) && !is_control(&object))
		rc = -EACCES;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		reply_attributes(req, id);
}

static void on_readlink(fuse_req_t req, fuse_ino_t id)
{
	struct pf_object object;
	int rc = pf_files_object(fuse_of(req)->files, id, &object);

	if (rc == 0 && object.fixed && object.entry->kind == PF_KIND_LINK)
		fuse_reply_readlink(req, object.entry->target);
	else
		fuse_reply_err(req, rc ? -rc : EINVAL);
}

/* ---- files ---- */

static void answer_open(struct pf_call *call, int rc)
{
	struct late *late = (struct late *)call;

	before_answer(late);
	late->file.fh = (uint64_t)(uintptr_t)call->snapshot;
	if (rc < 0)
		fuse_reply_err(late->req, -rc);
	else if (fuse_reply_open(late->req, &late->file) == -ENOENT)
		/* The opener was killed before it heard of it: no RELEASE will come. */
		pf_files_release(late->fuse->files, late->id, call->snapshot);
	free(late);
}

static void open_control(fuse_req_t req, struct fuse_file_info *file)
{
	file->fh = 0;
	file->direct_io = 1;
	fuse_reply_open(req, file);
}

static void on_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	struct pf_fuse *fuse = fuse_of(req);
	bool writes = (file->flags & O_ACCMODE) != O_RDONLY || (file->flags & O_TRUNC);
	struct pf_object object;
	struct late *late;
	int rc = pf_files_object(fuse->files, id, &object);

	if (rc == 0 && (!is_owner(req) || (writes && !is_control(&object))))
		rc = -EACCES;
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	if (is_control(&object)) {
		open_control(req, file);
		return;
	}
	late = begin_late(req, id, file, answer_open);
	if (late)
		pf_files_open(fuse->files, id, &late->call);
}

static void on_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	if (file->fh)
		pf_files_release(
		    fuse_of(req)->files, id, (struct pf_snapshot *)(uintptr_t)file->fh);
	fuse_reply_err(req, 0);
}

static void reply_part(fuse_req_t req, const struct pf_buf *text, size_t size, off_t offset)
{
	size_t at = (size_t)offset < text->length ? (size_t)offset : text->length;
	size_t left = text->length - at;

	fuse_reply_buf(req, text->at + at, left < size ? left : size);
}

/* A control's value is small and at hand: the one thing that is printed while serving. */
static void read_control(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset)
{
	struct pf_fuse *fuse = fuse_of(req);
	struct pf_buf text = PF_BUF_INIT;
	struct pf_object object;
	int rc = pf_files_object(fuse->files, id, &object);

	if (rc == 0 && !is_control(&object))
		rc = -EBADF;
	if (rc == 0)
		object.entry->show(&text, fuse->live, object.entry->arg);
	rc = rc ? rc : text.error;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		reply_part(req, &text, size, offset);
	pf_buf_finish(&text);
}

static void on_read(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
	const struct pf_snapshot *snapshot = (const struct pf_snapshot *)(uintptr_t)file->fh;

	if (snapshot)
		reply_part(req, &snapshot->text, size, offset);
	else
		read_control(req, id, size, offset);
}

static void on_poll(
    fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct fuse_pollhandle *handle)
{
	fuse_pollhandle_destroy(handle); /* nothing here ever becomes readable: it is */
	fuse_reply_poll(req, file->fh ? POLLIN : POLLIN | POLLOUT);
}

/* ---- writes ---- */

struct write_errand {
	struct pf_errand errand;
	struct pf_live *live;
	const struct pf_entry *entry;
	size_t length;
	char text[];
};

static int do_write(struct pf_errand *errand)
{
	struct write_errand *w = (struct write_errand *)errand;
	int rc = pf_control_write(w->live, w->entry, w->text, w->length);

	return rc < 0 ? rc : (int)w->length;
}

static void destroy_errand(struct pf_errand *errand)
{
	free(errand);
}

static void answer_write(struct pf_call *call, int rc)
{
	struct late *late = (struct late *)call;

	before_answer(late);
	if (rc < 0)
		fuse_reply_err(late->req, -rc);
	else
		fuse_reply_write(late->req, (size_t)rc);
	free(late);
}

static int start_write(
    fuse_req_t req, const struct pf_entry *entry, const char *text, size_t length)
{
	struct pf_fuse *fuse = fuse_of(req);
	struct write_errand *w = calloc(1, sizeof(*w) + length);
	struct late *late;

	if (!w)
		return -ENOMEM;
	w->errand.work = do_write;
	w->errand.destroy = destroy_errand;
	w->live = fuse->live;
	w->entry = entry;
	w->length = length;
	memcpy(w->text, text, length);
	late = begin_late(req, entry->id, NULL, answer_write);
	if (late)
		pf_files_run(fuse->files, &w->errand, &late->call);
	else
		free(w);
	return 0;
}

/* Each WRITE is one value; where in the file it is written means nothing. */
static void on_write(fuse_req_t req, fuse_ino_t id, const char *text, size_t length, off_t offset,
    struct fuse_file_info *file)
{
	struct pf_fuse *fuse = fuse_of(req);
	struct pf_object object;
	int rc = pf_files_object(fuse->files, id, &object);

	if (rc == 0 && !is_control(&object))
		rc = -EBADF;
	if (rc == 0 && !is_owner(req)) {
		rc = -EACCES;
		pf_control_refuse(fuse->live, object.entry->name, text, length, rc);
	}
	if (rc == 0)
		rc = start_write(req, object.entry, text, length);
	if (rc < 0)
		fuse_reply_err(req, -rc);
}

/* ---- directories ---- */

struct name {
	uint64_t ino;
	uint32_t mode;
	uint32_t text; /* where in `texts` */
};

/* A directory as it was when it was opened, so that offsets stay true while names come and go. */
struct directory {
	struct pf_listing listing;
	struct pf_live *live;
	struct pf_object object;
	struct pf_buf texts;
	struct name *names;
	size_t count, capacity;
};

struct list_errand {
	struct pf_errand errand;
	struct directory *directory; /* until it is answered: then RELEASEDIR's to free */
};

static void add_name(struct pf_listing *listing, const char *name, uint64_t ino, uint32_t mode)
{
	struct directory *d =
	    (struct directory *)((char *)listing - offsetof(struct directory, listing));
	int rc = pf_vec_reserve((void **)&d->names, &d->capacity, sizeof(*d->names), d->count + 1);

	if (rc < 0) {
		pf_buf_fail(&d->texts, rc);
		return;
	}
	d->names[d->count++] = (struct name){ino, mode, (uint32_t)d->texts.length};
	pf_buf_add(&d->texts, name, strlen(name) + 1);
}

static int fill_directory(struct pf_errand *errand)
{
	struct directory *d = ((struct list_errand *)errand)->directory;

	pf_tree_list(d->live->tree, d->live, &d->object, &d->listing);
	return d->texts.error;
}

static void free_directory(struct directory *d)
{
	if (!d)
		return;
	pf_buf_finish(&d->texts);
	pf_vec_free(d->names, d->capacity, sizeof(*d->names));
	free(d);
}

static void destroy_list(struct pf_errand *errand)
{
	free_directory(((struct list_errand *)errand)->directory);
	free(errand);
}

static void answer_opendir(struct pf_call *call, int rc)
{
	struct late *late = (struct late *)call;
	struct list_errand *list = (struct list_errand *)call->errand;
	struct directory *d;

	before_answer(late);
	if (rc < 0) {
		fuse_reply_err(late->req, -rc);
	} else {
		/* Given away before the answer: RELEASEDIR may be quicker than we are. */
		d = list->directory;
		list->directory = NULL;
		late->file.fh = (uint64_t)(uintptr_t)d;
		if (fuse_reply_open(late->req, &late->file) == -ENOENT)
			free_directory(d);
	}
	free(late);
}

static struct list_errand *new_list(struct pf_fuse *fuse)
{
	struct list_errand *list = calloc(1, sizeof(*list));
	struct directory *d = calloc(1, sizeof(*d));

	if (!list || !d) {
		free(list);
		free(d);
		return NULL;
	}
	list->errand.work = fill_directory;
	list->errand.destroy = destroy_list;
	list->directory = d;
	d->listing.add = add_name;
	d->live = fuse->live;
	return list;
}

static void on_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	struct pf_fuse *fuse = fuse_of(req);
	struct list_errand *list = new_list(fuse);
	struct late *late;
	int rc = list ? pf_files_object(fuse->files, id, &list->directory->object) : -ENOMEM;

	if (rc == 0 && !list->directory->object.directory)
		rc = -ENOTDIR;
	if (rc == 0 && !is_owner(req))
		rc = -EACCES;
	if (rc < 0) {
		if (list)
			destroy_list(&list->errand);
		fuse_reply_err(req, -rc);
		return;
	}
	late = begin_late(req, id, file, answer_opendir);
	if (late)
		pf_files_run(fuse->files, &list->errand, &late->call);
	else
		destroy_list(&list->errand);
}

static void on_readdir(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
	const struct directory *d = (const struct directory *)(uintptr_t)file->fh;
	char *out = malloc(size);
	size_t used = 0;

	if (!out) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (size_t i = (size_t)offset; i < d->count; i++) {
		const struct name *name = &d->names[i];
		struct stat st = {.st_ino = name->ino, .st_mode = name->mode};
		size_t need = fuse_add_direntry(
		    req, out + used, size - used, d->texts.at + name->text, &st, (off_t)i + 1);

		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, out, used);
	free(out);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	free_directory((struct directory *)(uintptr_t)file->fh);
	fuse_reply_err(req, 0);
}

/* Only a list may let go of its names. */
static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pf_fuse *fuse = fuse_of(req);
	struct pf_object object;
	int rc = pf_files_object(fuse->files, parent, &object);

	if (rc == 0 && !is_owner(req))
		rc = -EACCES;
	else if (rc == 0 && object.fixed && object.entry->list && object.entry->list->remove)
		rc = object.entry->list->remove(fuse->live, name);
	else if (rc == 0)
		rc = -EPERM;
	fuse_reply_err(req, -rc);
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

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
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
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .release = on_release,
    .poll = on_poll,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .releasedir = on_releasedir,
    .unlink = on_unlink,
    .statfs = on_statfs,
    .create = on_create,
    .mkdir = on_mkdir,
    .mknod = on_mknod,
    .symlink = on_symlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .link = on_link,
};

/* ---- of our own accord ---- */

void pf_fuse_store(struct pf_fuse *fuse, uint64_t id, const struct pf_snapshot *snapshot)
{
	size_t length = snapshot->text.length;
	struct fuse_bufvec last = FUSE_BUFVEC_INIT(1);

	if (length == 0)
		return;
	last.buf[0].mem = snapshot->text.at + length - 1;
	fuse_lowlevel_notify_store(fuse->session, id, (off_t)length - 1, &last, 0);
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
	fuse->uid = geteuid();
	fuse->gid = getegid();
	fuse->buffer = malloc(BUFFER_BYTES);
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
	if (fuse->session)
		fuse_session_destroy(fuse->session);
	free(fuse->buffer);
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
