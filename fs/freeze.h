/* Freeze: `echo NAME > snapshot` keeps every instant profile, in every form, of one moment, as the
 * files of captures/NAME/: of real sizes, for tar and backups.
 */
#pragma once
#include "fs/table.h"

/* Collects, draws and keeps. 0; -EINVAL not a name; -EEXIST; -ENOMEM; -EINTR: `wait` was cancelled
 * and nothing is kept; -errno of a collector. */
int pf_freeze(struct pf_live *live, const char *name, size_t length, struct pf_wait *wait);

/* Rows of fs/table.c. The store trims white space; the name of the last one is read back. */
pf_show_fn pf_freeze_show;
pf_store_fn pf_freeze_store;
