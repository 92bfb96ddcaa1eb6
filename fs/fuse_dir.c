/* Directories, for the kernel. */
#include "fs/fuse_op.h"
#include "fs/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
	struct directory *d = PF_WHOLE(listing, struct directory, listing);
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
	int rc = pf_tree_list(d->live->tree, d->live, &d->object, &d->listing);

	return rc < 0 ? rc : d->texts.error;
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
	struct pf_late *late = (struct pf_late *)call;
	struct list_errand *list = (struct list_errand *)call->errand;
	struct directory *d;

	pf_late_end(late);
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

void pf_fuse_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct list_errand *list = new_list(fuse);
	struct pf_late *late;
	int rc = list ? pf_files_object(fuse->files, id, &list->directory->object) : -ENOMEM;

	if (rc == 0 && !list->directory->object.directory)
		rc = -ENOTDIR;
	if (rc == 0 && !pf_fuse_is_owner(req))
		rc = -EACCES;
	if (rc < 0) {
		if (list)
			destroy_list(&list->errand);
		fuse_reply_err(req, -rc);
		return;
	}
	late = pf_late_begin(req, id, file, answer_opendir);
	if (late)
		pf_files_run(fuse->files, &list->errand, &late->call);
	else
		destroy_list(&list->errand);
}

void pf_fuse_readdir(
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

void pf_fuse_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);

	free_directory((struct directory *)(uintptr_t)file->fh);
	fuse_reply_err(req, 0);
	if (id == PF_TREE_ROOT && fuse->root_listed)
		fuse->root_listed(fuse->root_listed_to);
}

/* Only a list may let go of its names. Of a directory, too: the kernel has seen to it that unlink
 * comes for files and rmdir for directories. */
void pf_fuse_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_object object;
	int rc = pf_files_object(fuse->files, parent, &object);

	if (rc == 0 && !pf_fuse_is_owner(req))
		rc = -EACCES;
	else if (rc == 0 && object.directory && object.entry->list && object.entry->list->remove)
		rc = object.entry->list->remove(fuse->live, object.key, name);
	else if (rc == 0)
		rc = -EPERM;
	fuse_reply_err(req, -rc);
}
