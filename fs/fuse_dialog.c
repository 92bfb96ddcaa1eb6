/* Dialogs (dialog.h), for the kernel. */
#include "fs/dialog.h"
#include "fs/fuse_op.h"
#include "fs/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct pf_dialog *dialog_of(const struct fuse_file_info *file)
{
	return (struct pf_dialog *)(uintptr_t)file->fh;
}

void pf_fuse_dialog_open(fuse_req_t req, struct fuse_file_info *file)
{
	struct pf_dialog *dialog = pf_dialog_open();

	if (!dialog) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	file->fh = (uint64_t)(uintptr_t)dialog;
	file->direct_io = 1;
	if (fuse_reply_open(req, file) == -ENOENT)
		pf_dialog_drop(dialog);
}

void pf_fuse_dialog_release(struct fuse_file_info *file)
{
	pf_dialog_drop(dialog_of(file));
}

void pf_fuse_dialog_read(
    fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, const struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	const struct pf_entry *entry = pf_tree_entry(fuse->live->tree, id);
	PF_SCOPED(pf_buf) unasked = PF_BUF_INIT;
	PF_SCOPED(pf_buf) part = PF_BUF_INIT;

	entry->show(&unasked, fuse->live, entry->arg);
	pf_buf_char(&unasked, '\0');
	if (unasked.error || pf_dialog_read(dialog_of(file), unasked.at, size, offset, &part) < 0)
		fuse_reply_err(req, ENOMEM);
	else
		fuse_reply_buf(req, part.at, part.length);
}

/* ---- writes ---- */

struct question {
	struct pf_errand errand;
	struct pf_live *live;
	const struct pf_entry *entry;
	struct pf_dialog *dialog; /* held: its file may be closed before it is answered */
	off_t at;
	size_t length;
	char text[];
};

static int work(struct pf_errand *errand)
{
	struct question *q = (struct question *)errand;
	int rc =
	    pf_dialog_write(q->dialog, q->live, q->entry->plain->ask, q->text, q->length, q->at);
	char path[NAME_MAX + 1];

	if (rc == 0)
		return (int)q->length;
	pf_tree_name(q->live->tree, q->entry, path, sizeof(path));
	pf_control_refuse(q->live, path, q->text, q->length, rc);
	return rc;
}

static void destroy(struct pf_errand *errand)
{
	pf_dialog_drop(((struct question *)errand)->dialog);
	free(errand);
}

void pf_fuse_dialog_write(fuse_req_t req, fuse_ino_t id, const char *text, size_t length,
    off_t offset, const struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct question *q = calloc(1, sizeof(*q) + length);
	struct pf_late *late = q ? pf_late_begin(req, id, NULL, pf_late_answer_write) : NULL;

	if (!late) {
		if (!q)
			fuse_reply_err(req, ENOMEM);
		free(q);
		return;
	}
	q->errand.work = work;
	q->errand.destroy = destroy;
	q->live = fuse->live;
	q->entry = pf_tree_entry(fuse->live->tree, id);
	q->dialog = pf_dialog_hold(dialog_of(file));
	q->at = offset;
	q->length = length;
	memcpy(q->text, text, length);
	pf_files_run(fuse->files, &q->errand, &late->call);
}
