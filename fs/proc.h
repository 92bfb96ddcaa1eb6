/* Proc: what the kernel tells of this process in /proc. */
#pragma once
#include "fs/table.h"

/* Adds a whole file. 0 or -errno; but for that of the opening it sticks in `out`, too. */
int pf_proc_read(struct pf_buf *out, const char *path);
/* The same of one about our own memory (base/own_file.h), by its name. */
int pf_proc_read_own(struct pf_buf *out, const char *name);
/* Does the -errno mean that this kernel, or its rules, do not tell? Anything else is of this moment. */
bool pf_proc_is_withheld(int rc);

/* Adds the program's name, of at most 15 bytes that may be any. */
void pf_proc_name(struct pf_buf *out);

/* Rows of fs/table.c: `cmdline`, the same as Go sends it. */
pf_show_fn pf_proc_cmdline_show;
pf_show_fn pf_proc_go_cmdline_show;
