/* Opening, reading and writing, for the kernel. */
#include "fs/fuse_op.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- requests answered later ---- */

/* libfuse holds the request's own lock here, so a late request cannot go away meanwhile. */
static void on_interrupt(fuse_req_t req, void *late)
{
	pf_files_interrupt(pf_fuse_of(req)->files, &((struct pf_late *)late)->call);
}

void pf_late_end(struct pf_late *late)
{
	fuse_req_interrupt_func(late->req, NULL, NULL);
}

void pf_late_answer_write(struct pf_call *call, int rc)
{
	struct pf_late *late = (struct pf_late *)call;

	pf_late_end(late);
	if (rc < 0)
		fuse_reply_err(late->req, -rc);
	else
		fuse_reply_write(late->req, (size_t)rc);
	free(late);
}

struct pf_late *pf_late_begin(fuse_req_t req, uint64_t id, const struct fuse_file_info *file,
    void (*answer)(struct pf_call *call, int rc))
{
	struct pf_late *late = calloc(1, sizeof(*late));

	if (!late) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	late->call.answer = answer;
	late->fuse = pf_fuse_of(req);
	late->req = req;
	late->id = id;
	if (file)
		late->file = *file;
	fuse_req_interrupt_func(req, on_interrupt, late);
	return late;
}

/* ---- files ---- */

static void answer_open(struct pf_call *call, int rc)
{
	struct pf_late *late = (struct pf_late *)call;

	pf_late_end(late);
	late->file.fh = (uint64_t)(uintptr_t)call->snapshot;
	/* What a node shows never changes; and pf_fuse_store() has been here, if it could. */
	late->file.keep_cache = !call->sizeless;
	late->file.direct_io = call->sizeless;
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

void pf_fuse_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	bool writes = (file->flags & O_ACCMODE) != O_RDONLY || (file->flags & O_TRUNC);
	struct pf_object object;
	struct pf_late *late;
	int rc = pf_files_object(fuse->files, id, &object);

	if (rc == 0 && (!pf_fuse_is_owner(req) || (writes && !pf_fuse_is_control(&object) &&
						      !pf_fuse_is_dialog(fuse, id))))
		rc = -EACCES;
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	if (pf_fuse_is_control(&object)) {
		open_control(req, file);
		return;
	}
	if (object.entry->kind == PF_KIND_DIALOG) {
		pf_fuse_dialog_open(req, file);
		return;
	}
	if (object.entry->kind == PF_KIND_STREAM) {
		pf_fuse_stream_open(req, file);
		return;
	}
	late = pf_late_begin(req, id, file, answer_open);
	if (late)
		pf_files_open(fuse->files, id, &late->call);
}

void pf_fuse_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	if (pf_fuse_is_stream(pf_fuse_of(req), id))
		pf_fuse_stream_release(pf_fuse_of(req), file);
	else if (pf_fuse_is_dialog(pf_fuse_of(req), id))
		pf_fuse_dialog_release(file);
	else if (file->fh)
		pf_files_release(
		    pf_fuse_of(req)->files, id, (struct pf_snapshot *)(uintptr_t)file->fh);
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
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_buf text = PF_BUF_INIT;
	struct pf_object object;
	int rc = pf_files_object(fuse->files, id, &object);

	if (rc == 0 && !pf_fuse_is_control(&object))
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

void pf_fuse_read(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
	const struct pf_snapshot *snapshot = (const struct pf_snapshot *)(uintptr_t)file->fh;

	if (pf_fuse_is_stream(pf_fuse_of(req), id))
		pf_fuse_stream_read(req, id, size, file);
	else if (pf_fuse_is_dialog(pf_fuse_of(req), id))
		pf_fuse_dialog_read(req, id, size, offset, file);
	else if (snapshot)
		reply_part(req, &snapshot->text, size, offset);
	else
		read_control(req, id, size, offset);
}

void pf_fuse_poll(
    fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct fuse_pollhandle *handle)
{
	if (pf_fuse_is_stream(pf_fuse_of(req), id)) {
		pf_fuse_stream_poll(req, file, handle);
		return;
	}
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
	int rc = pf_control_write(w->live, w->entry, w->text, w->length, &errand->wait);

	return rc < 0 ? rc : (int)w->length;
}

static void destroy_errand(struct pf_errand *errand)
{
	free(errand);
}

static int start_write(
    fuse_req_t req, const struct pf_entry *entry, const char *text, size_t length)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct write_errand *w = calloc(1, sizeof(*w) + length);
	struct pf_late *late;

	if (!w)
		return -ENOMEM;
	w->errand.work = do_write;
	w->errand.destroy = destroy_errand;
	w->live = fuse->live;
	w->entry = entry;
	w->length = length;
	memcpy(w->text, text, length);
	late = pf_late_begin(req, entry->id, NULL, pf_late_answer_write);
	if (late)
		pf_files_run(fuse->files, &w->errand, &late->call);
	else
		free(w);
	return 0;
}

/* Each WRITE is one value; where in the file it is written means nothing. */
void pf_fuse_write(fuse_req_t req, fuse_ino_t id, const char *text, size_t length, off_t offset,
    struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_object object;
	int rc = pf_files_object(fuse->files, id, &object);
	bool dialog = pf_fuse_is_dialog(fuse, id);

	if (rc == 0 && !dialog && !pf_fuse_is_control(&object))
		rc = -EBADF;
	if (rc == 0 && !pf_fuse_is_owner(req)) {
		rc = -EACCES;
		pf_control_refuse(fuse->live, object.entry->name, text, length, rc);
	}
	if (rc == 0 && dialog)
		pf_fuse_dialog_write(req, id, text, length, offset, file);
	else if (rc == 0)
		rc = start_write(req, object.entry, text, length);
	if (rc < 0)
		fuse_reply_err(req, -rc);
}
