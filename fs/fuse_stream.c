/* Streams, for the kernel: a file that is read as things happen. A reader who waits is a call in
 * file.c, answered by the keeper; who polls is woken by the keeper, too.
 */
#include "fs/fuse_op.h"
#include "fs/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

struct pf_stream {
	struct pf_stream *next;          /* guarded by fuse->stream_lock, as all but `at` */
	struct fuse_pollhandle *polling; /* whom to wake; NULL: nobody */
	struct pf_event_reader at;
};

void pf_fuse_stream_open(fuse_req_t req, struct fuse_file_info *file)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pf_event_join(&fuse->live->events, &stream->at);
	pf_lock_take(&fuse->stream_lock);
	stream->next = fuse->streams;
	fuse->streams = stream;
	pf_lock_give(&fuse->stream_lock);
	file->fh = (uint64_t)(uintptr_t)stream;
	file->direct_io = 1;
	file->nonseekable = 1;
	if (fuse_reply_open(req, file) == -ENOENT)
		pf_fuse_stream_release(fuse, file);
}

static void free_stream(struct pf_stream *stream)
{
	if (stream->polling)
		fuse_pollhandle_destroy(stream->polling);
	free(stream);
}

void pf_fuse_stream_release(struct pf_fuse *fuse, struct fuse_file_info *file)
{
	struct pf_stream *stream = (struct pf_stream *)(uintptr_t)file->fh;
	struct pf_stream **at = &fuse->streams;

	pf_lock_take(&fuse->stream_lock);
	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	pf_lock_give(&fuse->stream_lock);
	pf_event_leave(&fuse->live->events);
	free_stream(stream);
}

void pf_fuse_stream_finish(struct pf_fuse *fuse)
{
	while (fuse->streams) {
		struct pf_stream *next = fuse->streams->next;

		free_stream(fuse->streams);
		fuse->streams = next;
	}
}

/* ---- reading ---- */

static struct pf_stream *stream_of(const struct pf_late *late)
{
	return (struct pf_stream *)(uintptr_t)late->file.fh;
}

static bool is_ready(struct pf_call *call)
{
	struct pf_late *late = (struct pf_late *)call;

	return pf_event_ready(&late->fuse->live->events, &stream_of(late)->at);
}

static void wait_for_more(
    fuse_req_t req, fuse_ino_t id, size_t size, const struct fuse_file_info *file);

/* True: answered. False: there is nothing to read. */
static bool reply_lines(fuse_req_t req, size_t size, const struct fuse_file_info *file)
{
	struct pf_stream *stream = (struct pf_stream *)(uintptr_t)file->fh;
	char lines[4096];
	size_t n = pf_event_read(&pf_fuse_of(req)->live->events, &stream->at, lines,
	    size < sizeof(lines) ? size : sizeof(lines));

	if (n)
		fuse_reply_buf(req, lines, n);
	return n > 0;
}

static void answer_stream(struct pf_call *call, int rc)
{
	struct pf_late *late = (struct pf_late *)call;

	pf_late_end(late);
	if (rc < 0)
		fuse_reply_err(late->req, -rc);
	else if (!reply_lines(late->req, late->size, &late->file))
		/* Another reader of this same open file was quicker. */
		wait_for_more(late->req, late->id, late->size, &late->file);
	free(late);
}

static void wait_for_more(
    fuse_req_t req, fuse_ino_t id, size_t size, const struct fuse_file_info *file)
{
	struct pf_late *late = pf_late_begin(req, id, file, answer_stream);

	if (!late)
		return;
	late->size = size;
	late->call.ready = is_ready;
	pf_files_wait(late->fuse->files, &late->call);
}

void pf_fuse_stream_read(
    fuse_req_t req, fuse_ino_t id, size_t size, const struct fuse_file_info *file)
{
	if (reply_lines(req, size, file))
		return;
	if (file->flags & O_NONBLOCK)
		fuse_reply_err(req, EAGAIN);
	else
		wait_for_more(req, id, size, file);
}

/* ---- polling ---- */

void pf_fuse_stream_poll(
    fuse_req_t req, struct fuse_file_info *file, struct fuse_pollhandle *handle)
{
	struct pf_fuse *fuse = pf_fuse_of(req);
	struct pf_stream *stream = (struct pf_stream *)(uintptr_t)file->fh;
	struct fuse_pollhandle *before = NULL;

	/* First remember whom to wake, then look: what comes in between wakes him once too often. */
	pf_lock_take(&fuse->stream_lock);
	if (handle) {
		before = stream->polling;
		stream->polling = handle;
	}
	pf_lock_give(&fuse->stream_lock);
	if (before)
		fuse_pollhandle_destroy(before);
	fuse_reply_poll(req, pf_event_ready(&fuse->live->events, &stream->at) ? POLLIN : 0);
}

static struct fuse_pollhandle *take_woken(struct pf_fuse *fuse)
{
	struct fuse_pollhandle *handle = NULL;

	pf_lock_take(&fuse->stream_lock);
	for (struct pf_stream *s = fuse->streams; s && !handle; s = s->next)
		if (s->polling && pf_event_ready(&fuse->live->events, &s->at)) {
			handle = s->polling;
			s->polling = NULL;
		}
	pf_lock_give(&fuse->stream_lock);
	return handle;
}

void pf_fuse_wake_polling(struct pf_fuse *fuse)
{
	struct fuse_pollhandle *handle;

	while ((handle = take_woken(fuse)) != NULL) {
		fuse_lowlevel_notify_poll(handle);
		fuse_pollhandle_destroy(handle);
	}
}
