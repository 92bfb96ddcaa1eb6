/* Proc: what the kernel tells of this process in /proc. */
#pragma once
#include "fs/table.h"

/* Adds a whole file. 0 or -errno; later errors stick in `out`. */
int pf_proc_read(struct pf_buf *out, const char *path);

/* Adds the program's name, of at most 15 bytes that may be any. */
void pf_proc_name(struct pf_buf *out);

/* Rows of fs/table.c: `cmdline`, the same as Go sends it. */
pf_show_fn pf_proc_cmdline_show;
pf_show_fn pf_proc_go_cmdline_show;
