/* Dialog: a file that is asked and answers on the same open: write 0xA+0xB, read their names.
 *
 *     open --> dialog --write--> asked so far --ask(), by a worker--> answer --read-->
 *
 * What one write did not hold goes on in the next (the kernel cuts at 64 KiB). An answer is read
 * from its beginning by who goes on reading where the write ended, as shells must, and by who
 * seeks to the beginning.
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_LEAF.
 */
#pragma once
#include "base/buf.h"
#include "base/lock.h"
#include "fs/table.h"

#include <sys/types.h>

enum { PF_DIALOG_ASKED_MAX = 1 << 20 };

struct pf_dialog {
	uint32_t holders; /* atomic: the open file, and a write that is being answered */

	struct pf_lock lock;
	struct pf_buf asked; /* guarded by lock, as all below */
	struct pf_buf answer;
	bool answered; /* else it reads as if nobody had asked */
	bool read;     /* since it was asked */
	off_t end;     /* where in the file the last write ended */
	off_t origin;  /* where the answer begins, for its reader */
};

struct pf_dialog *pf_dialog_open(void); /* NULL: no memory */
struct pf_dialog *pf_dialog_hold(struct pf_dialog *dialog);
void pf_dialog_drop(struct pf_dialog *dialog); /* NULL is fine */

/* A write: 0; -EINVAL and the like as `ask` says; -EFBIG; -ENOMEM. Not on the thread that serves. */
int pf_dialog_write(struct pf_dialog *dialog, struct pf_live *live, pf_ask_fn *ask,
    const char *text, size_t length, off_t at);
/* A read, appended to `out`; `unasked` is what there is before the first question. 0 or -ENOMEM. */
int pf_dialog_read(
    struct pf_dialog *dialog, const char *unasked, size_t size, off_t at, struct pf_buf *out);
