/* What the fuse_*.c share: fuse.c is names and the session, fuse_file.c opens, reads and writes,
 * fuse_dir.c lists. Nobody else looks in.
 */
#pragma once
#define FUSE_USE_VERSION 35
#include "fs/fuse.h"
#include "fs/live.h"

#include <fuse_lowlevel.h>

struct pf_fuse {
	struct pf_live *live;
	struct pf_files *files;
	struct fuse_session *session;
	uid_t uid;
	gid_t gid;
	char *buffer;
	bool greeted; /* the kernel's first message has reached us through libfuse */
	void (*root_listed)(void *to); /* see pf_fuse_on_root_listed() */
	void *root_listed_to;
	struct pf_lock stream_lock; /* rank PF_LOCK_SHARD: events' own is taken under it */
	struct pf_stream *streams;  /* guarded by stream_lock */
};

/* A request that is answered later. */
struct pf_late {
	struct pf_call call;
	struct pf_fuse *fuse;
	fuse_req_t req;
	struct fuse_file_info file;
	uint64_t id;
	size_t size; /* of a read */
};

static inline struct pf_fuse *pf_fuse_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The tree shows secrets and takes orders: its owner's alone, whatever the mount lets through. */
bool pf_fuse_is_owner(fuse_req_t req);

/* Will be answered by answer(), which begins with pf_late_end() and frees it; NULL: out of memory,
 * and answered. */
struct pf_late *pf_late_begin(fuse_req_t req, uint64_t id, const struct fuse_file_info *file,
    void (*answer)(struct pf_call *call, int rc));
/* Nobody interrupts it any more once this returns. */
void pf_late_end(struct pf_late *late);
/* The answer() of a write: so many bytes, or -errno. */
void pf_late_answer_write(struct pf_call *call, int rc);

/* Operations, by the file they are in: see struct fuse_lowlevel_ops. */
void pf_fuse_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void pf_fuse_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void pf_fuse_read(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void pf_fuse_write(fuse_req_t req, fuse_ino_t id, const char *text, size_t length, off_t offset,
    struct fuse_file_info *file);
void pf_fuse_poll(
    fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct fuse_pollhandle *handle);

void pf_fuse_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void pf_fuse_readdir(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void pf_fuse_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void pf_fuse_remove(fuse_req_t req, fuse_ino_t parent, const char *name);

/* Files that are read as things happen (fuse_stream.c). */
void pf_fuse_stream_open(fuse_req_t req, struct fuse_file_info *file);
void pf_fuse_stream_release(struct pf_fuse *fuse, struct fuse_file_info *file);
void pf_fuse_stream_read(
    fuse_req_t req, fuse_ino_t id, size_t size, const struct fuse_file_info *file);
void pf_fuse_stream_poll(
    fuse_req_t req, struct fuse_file_info *file, struct fuse_pollhandle *handle);
/* Before the end, when nobody reads any more. */
void pf_fuse_stream_finish(struct pf_fuse *fuse);

/* Files that answer what is written into them (fuse_dialog.c). */
void pf_fuse_dialog_open(fuse_req_t req, struct fuse_file_info *file);
void pf_fuse_dialog_release(struct fuse_file_info *file);
void pf_fuse_dialog_read(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, const struct fuse_file_info *file);
void pf_fuse_dialog_write(fuse_req_t req, fuse_ino_t id, const char *text, size_t length,
    off_t offset, const struct fuse_file_info *file);

static inline bool pf_fuse_is_stream(struct pf_fuse *fuse, fuse_ino_t id)
{
	const struct pf_entry *entry = pf_tree_entry(fuse->live->tree, id);

	return entry && entry->kind == PF_KIND_STREAM;
}

static inline bool pf_fuse_is_dialog(struct pf_fuse *fuse, fuse_ino_t id)
{
	const struct pf_entry *entry = pf_tree_entry(fuse->live->tree, id);

	return entry && entry->kind == PF_KIND_DIALOG;
}

static inline bool pf_fuse_is_control(const struct pf_object *object)
{
	return object->fixed && object->entry->kind == PF_KIND_CONTROL;
}
