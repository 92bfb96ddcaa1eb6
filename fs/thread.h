/* Thread: the directories thread/TID/ of the program's threads. */
#pragma once
#include "fs/table.h"

enum { PF_THREAD_MEMBER_COUNT = 8 };

/* Rows of fs/table.c. */
extern const struct pf_plain_row pf_thread_members[PF_THREAD_MEMBER_COUNT];
int pf_thread_list(struct pf_live *live, int key, pf_add_fn *add, void *to);
int pf_thread_find(struct pf_live *live, int key, const char *name, struct pf_found *out);
