/* Tree: the table grown into names. Finds what a name means, lists what may be listed, writes the
 * README. Knows nothing of FUSE, of open files or of who is asking.
 *
 *     pf_table --pf_tree_create()--> entries, the root first; an entry's number is its nodeid
 *     (parent, name) --pf_tree_find()--> object: an entry, or something behind one
 *
 * Built once, never changed: any thread, no lock.
 */
#pragma once
#include "base/query.h"
#include "fs/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_TREE_ROOT = 1 };

enum pf_kind {
	PF_KIND_DIRECTORY,
	PF_KIND_LIST, /* a directory with names known at run time */
	PF_KIND_LINK,
	PF_KIND_CONTROL, /* written and read in place */
	PF_KIND_PRINT,   /* made at open by a plain row */
	PF_KIND_STREAM,  /* read as things happen */
	PF_KIND_DIALOG,  /* written, and its answer read on the same open */
	PF_KIND_PROFILE, /* made at open: collect, name, draw */
};

struct pf_entry {
	char *name;
	uint64_t id; /* PF_TREE_ROOT + its place: nodeid and st_ino */
	uint64_t parent;
	enum pf_kind kind;
	bool listed;
	const char *help; /* NULL: README says it elsewhere */
	char *target;     /* of a link */
	uint64_t to;      /* the entry it leads to */
	const struct pf_plain_row *plain;
	pf_show_fn *show;
	pf_answer_fn *answer;
	pf_store_fn *store;
	int arg;
	const struct pf_profile_row *profile;
	const struct pf_view_row *view;
	int64_t seconds_ns; /* what the bare name captures; 0: what there is (cpu.pprof) */
	const struct pf_list_row *list;
	/* Of a page, NULL of everything else: its size before it is opened, up to which it is filled with
	 * blanks. Browsers ask for the size, then open, and show no more (Chromium shows nothing of size
	 * 0). Grows when a page has been larger. Atomic. */
	uint64_t *room;
	bool framed; /* its text stands in a page, for browsers */
};

/* Where the page of a text is: ".page/debug.stats.html". */
enum { PF_TREE_PAGE_PATH = 160 };
void pf_tree_page_path(const char *path, char out[PF_TREE_PAGE_PATH]);

#ifdef PF_SMALL
enum { PF_PAGE_ROOM = 64 };
#else
enum { PF_PAGE_ROOM = 256 * 1024 };
#endif

struct pf_tree {
	struct pf_entry
	    *entries; /* the last: what the program's own profiles are, in no directory */
	size_t count, capacity;
};

/* What a name means. */
struct pf_object {
	const struct pf_entry *entry; /* a file or directory, or the list it was found in */
	bool fixed;                   /* the entry itself: nodeid entry->id, nothing to remember */
	bool directory;
	int key;                           /* in a list: a thread, a snapshot, a profile */
	int64_t time_ns;                   /* of a list's directory; 0: as old as the tree */
	const struct pf_plain_row *member; /* a file in such a directory */
	struct pf_snapshot *snapshot;      /* a file whose bytes are known already: held */
	struct pf_query query;
	uint64_t ino; /* st_ino: the same for the same path */
};

/* For what this sampler can collect (tree_growth.c). NULL: no memory. */
struct pf_tree *pf_tree_create(const struct pf_sampler *door);
void pf_tree_destroy(struct pf_tree *tree);

/* The object that an entry itself is. */
struct pf_object pf_tree_object(const struct pf_entry *entry);

/* NULL: there is none. */
const struct pf_entry *pf_tree_entry(const struct pf_tree *tree, uint64_t id);
/* The child of a directory, listed or not; NULL: none. Written to while the tree grows. */
struct pf_entry *pf_tree_child(
    const struct pf_tree *tree, uint64_t parent, const char *name, size_t length);
/* By path from the root, "cpu/hz"; NULL. */
const struct pf_entry *pf_tree_path(const struct pf_tree *tree, const char *path);
/* The path of an entry, without a leading slash; always ended. */
void pf_tree_name(const struct pf_tree *tree, const struct pf_entry *entry, char *out, size_t size);

/* 0; -ENOENT; -EINVAL a bad value in a query; -ENAMETOOLONG. Starts nothing. */
int pf_tree_find(const struct pf_tree *tree, struct pf_live *live, const struct pf_object *parent,
    const char *name, struct pf_object *out);

struct pf_listing {
	/* mode: the file type bits. */
	void (*add)(struct pf_listing *to, const char *name, uint64_t ino, uint32_t mode);
};
/* Everything of a directory that may be listed, "." and ".." first. 0, or -ENOMEM: not everything. */
int pf_tree_list(const struct pf_tree *tree, struct pf_live *live, const struct pf_object *parent,
    struct pf_listing *to);

/* What a file that nobody has opened yet is said to have: 0, or a page's room. */
int64_t pf_tree_size(const struct pf_object *object);

/* Room for where a link in a list's directory leads. */
enum { PF_LINK_TARGET = 64 };

/* Mode bits with the type. */
uint32_t pf_tree_mode(const struct pf_object *object);

/* The README's part about the files. */
void pf_tree_describe(const struct pf_tree *tree, struct pf_buf *out);
