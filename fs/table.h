/* THE table: everything that stands in the tree, one row each. Start reading here.
 *
 *     profile rows x view rows     heap x {"", .txt, .pprof, .folded}; under debug/pprof/ as Go sends it
 *     knob rows                    PF_KNOBS (base/knob.h): a path and a setting
 *     plain rows                   a path, how to print it, perhaps how to write it
 *     window rows                  the same, once in the directory of each profile that takes time
 *     list rows                    names known at run time
 *     other rows, link rows        gperftools' names
 *
 * Listing, attributes, README and the test that walks the tree come from here. A new profile is
 * one row (and its collector), a new view is one row (and its renderer).
 */
#pragma once
#include "render/render.h"
#include "sampler/sampler.h"

struct pf_live;
struct pf_snapshot;

/* Prints a file. Errors stick in `out` (pf_buf_fail). No lock is held. */
typedef void pf_show_fn(struct pf_buf *out, struct pf_live *live, int arg);
/* The same for files that may be asked something: `stats?json=1`. */
typedef void pf_answer_fn(
    struct pf_buf *out, struct pf_live *live, int arg, const struct pf_query *query);
/* One written value: 0, or the -errno that the writer gets. `wait` ends when the writer has had
 * enough: then nothing must come of it, if that can still be helped. Our own threads, no lock
 * held. */
typedef int pf_store_fn(
    struct pf_live *live, int arg, const char *text, size_t length, struct pf_wait *wait);

/* What is asked in a file that answers on the same open (dialog.h): 0 and the answer in `out`, or
 * -errno. Our own threads, no lock held. */
typedef int pf_ask_fn(struct pf_live *live, const char *text, size_t length, struct pf_buf *out);

/* Where a link in a list's directory leads now, into `out`: 0, or -ENOENT, it is not there. On the
 * thread that serves. */
typedef int pf_link_fn(struct pf_live *live, int key, char *out, size_t size);

struct pf_profile_row {
	const char *stem;
	enum pf_source source;
	const char *column;    /* what its text shows; NULL: as the collector says */
	pf_render_fn *text;    /* how people read it */
	pf_render_fn *debug_2; /* ?debug=2 */
	const char *go_name;   /* under debug/pprof/ */
	const char *alias;     /* another listed name, or NULL */
	bool window;           /* takes time: links into .now/, and a directory of controls */
	enum pf_collector collector;
	enum pf_feature feature;
	const char *help;
	bool balance; /* its text ends with where all of the process's memory is */
};

struct pf_view_row {
	const char *suffix;   /* "": the bare name, which obeys ?debug= */
	pf_render_fn *render; /* NULL: the profile's own text */
	const char *help;
	bool page; /* for browsers: see pf_entry.room */
};

struct pf_plain_row {
	const char *path;
	pf_show_fn *show;
	pf_store_fn *store; /* NULL: read only, a snapshot; else a control */
	int arg;            /* given to both; window rows get their profile row's index */
	const char *help;
	pf_answer_fn *answer; /* instead of show */
	pf_ask_fn *ask;       /* a dialog; show: what there is before the first question */
	bool stream;          /* read as things happen (event.h): listed as a link into .now/ */
	bool waits;  /* its open waits for the running capture: listed as a link into .now/ */
	bool page;   /* for browsers: see pf_entry.room */
	bool living; /* numbers of a process that only a living one has */
	bool frozen; /* part of what `echo NAME > snapshot` keeps */
	pf_link_fn
	    *link; /* a member of a list that is a link, and there while it leads somewhere */
};

/* What a name in a list is: a file whose bytes are known, or a directory with a number. */
struct pf_found {
	struct pf_snapshot *snapshot;      /* a file, held for the caller */
	const struct pf_plain_row *member; /* a file, made at open */
	const struct pf_view_row
	    *view;             /* one of the program's own profiles; all NULL: a directory */
	struct pf_query query; /* of it */
	int key;               /* of a directory, a profile; the argument of `member` */
	int64_t time_ns;       /* of a directory, since the epoch; 0: as old as the tree */
};

typedef void pf_add_fn(void *to, const char *name, bool directory);

/* A directory whose names come and go; key: 0, or that of a directory in it. A directory in it has
 * `members` as its files, or, without those, names that come and go too. */
struct pf_list_row {
	const char *path;
	/* 0, or -ENOMEM: these are not all. */
	int (*list)(struct pf_live *live, int key, pf_add_fn *add, void *to);
	/* 0; -ENOENT, or why that is not known. */
	int (*find)(struct pf_live *live, int key, const char *name, struct pf_found *out);
	/* -ENOENT; -ENOTEMPTY a directory with something in it. NULL: nobody may. */
	int (*remove)(struct pf_live *live, int key, const char *name);
	const struct pf_plain_row *members; /* path is a name, arg the key */
	size_t member_count;
	const char *help;
	bool living; /* only a living process has these */
};

/* A profile under a name of its own, in a form of its own. */
struct pf_other_row {
	const char *path;
	enum pf_source source;
	struct pf_view_row view; /* its suffix only says that ?debug= means nothing here */
};

/* Another name of a file. */
struct pf_link_row {
	const char *path, *target;
};

struct pf_table {
	const struct pf_profile_row *profiles;
	size_t profile_count;
	const struct pf_view_row *views;
	size_t view_count;
	const struct pf_plain_row *plains;
	size_t plain_count;
	const struct pf_plain_row *windows;
	size_t window_count;
	const struct pf_list_row *lists;
	size_t list_count;
	const struct pf_other_row *others;
	size_t other_count;
	const struct pf_link_row *links;
	size_t link_count;
	struct pf_view_row go_view; /* of every profile under debug/pprof/ */
	int64_t go_seconds_ns;      /* of debug/pprof/profile */
};

extern const struct pf_table pf_table;
