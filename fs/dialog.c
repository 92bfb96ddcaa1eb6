#include "fs/dialog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pf_dialog *pf_dialog_open(void)
{
	struct pf_dialog *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->holders = 1;
	d->lock = (struct pf_lock)PF_LOCK_INIT(PF_LOCK_LEAF);
	return d;
}

struct pf_dialog *pf_dialog_hold(struct pf_dialog *d)
{
	__atomic_fetch_add(&d->holders, 1, __ATOMIC_RELAXED);
	return d;
}

void pf_dialog_drop(struct pf_dialog *d)
{
	if (!d || __atomic_sub_fetch(&d->holders, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	pf_buf_finish(&d->asked);
	pf_buf_finish(&d->answer);
	free(d);
}

/* What is asked by now, into `whole`: the new text alone, or behind what it continues. */
static int add_text(
    struct pf_dialog *d, const char *text, size_t length, off_t at, struct pf_buf *whole)
{
	int rc;

	pf_lock_take(&d->lock);
	if (d->read || at != d->end)
		pf_buf_clear(&d->asked);
	if (d->asked.length + length > PF_DIALOG_ASKED_MAX)
		pf_buf_fail(&d->asked, -EFBIG);
	pf_buf_add(&d->asked, text, length);
	pf_buf_add(whole, d->asked.at, d->asked.length);
	rc = d->asked.error ? d->asked.error : whole->error;
	if (rc < 0)
		pf_buf_clear(&d->asked);
	d->answered = d->read = false;
	d->end = at + (off_t)length;
	pf_lock_give(&d->lock);
	return rc;
}

int pf_dialog_write(struct pf_dialog *d, struct pf_live *live, pf_ask_fn *ask, const char *text,
    size_t length, off_t at)
{
	PF_SCOPED(pf_buf) whole = PF_BUF_INIT;
	PF_SCOPED(pf_buf) answer = PF_BUF_INIT;
	struct pf_buf old;
	int rc = add_text(d, text, length, at, &whole);

	if (rc == 0)
		rc = ask(live, whole.at, whole.length, &answer);
	if (rc == 0)
		rc = answer.error;
	if (rc < 0)
		return rc;
	pf_lock_take(&d->lock);
	old = d->answer;
	d->answer = answer;
	d->answered = true;
	pf_lock_give(&d->lock);
	answer = old; /* goes with the scope */
	return 0;
}

int pf_dialog_read(
    struct pf_dialog *d, const char *unasked, size_t size, off_t at, struct pf_buf *out)
{
	const char *text = unasked;
	size_t length = strlen(unasked);

	pf_lock_take(&d->lock);
	if (!d->read && d->answered)
		d->origin = at == d->end ? at : 0;
	if (d->answered) {
		text = d->answer.at;
		length = d->answer.length;
	}
	d->read = true;
	at -= at >= d->origin ? d->origin : at;
	if ((size_t)at < length)
		pf_buf_add(out, text + at, length - (size_t)at < size ? length - (size_t)at : size);
	pf_lock_give(&d->lock);
	return out->error;
}
