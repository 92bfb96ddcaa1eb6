#include "fs/thread.h"
#include "base/buf.h"
#include "base/knob.h"
#include "base/memory.h"
#include "fs/live.h"
#include "fs/make.h"
#include "render/render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All threads now, `count` of them: NULL without memory. The caller frees. */
static struct pf_thread_view *all_threads(struct pf_live *live, size_t *count)
{
	struct pf_thread_view *views = NULL;
	size_t room;

	*count = live->door->threads(NULL, 0);
	do {
		pf_memory_free(views);
		room = *count + 16; /* some may be born meanwhile */
		views = pf_memory_new(room, sizeof(*views));
		if (!views)
			return NULL;
		*count = live->door->threads(views, room);
	} while (*count > room);
	return views;
}

int pf_thread_list(struct pf_live *live, int key, pf_add_fn *add, void *to)
{
	struct pf_thread_view *views;
	char name[16];
	size_t count;

	if (!live->door->threads)
		return 0;
	views = all_threads(live, &count);
	if (!views)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d", (int)views[i].tid);
		add(to, name, true);
	}
	pf_memory_free(views);
	return 0;
}

/* Asks the kernel, not the sampler: this runs on the thread that serves. */
int pf_thread_find(struct pf_live *live, int key, const char *name, struct pf_found *out)
{
	char path[48], plain[16];
	int64_t tid;

	if (!live->door->threads || pf_parse_int(name, strlen(name), &tid) < 0 || tid <= 0 ||
	    tid > INT32_MAX)
		return -ENOENT;
	snprintf(plain, sizeof(plain), "%d", (int)tid);
	if (strcmp(plain, name) != 0)
		return -ENOENT; /* one spelling only: "007" is no thread */
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
	if (access(path, F_OK) != 0)
		return -errno;
	out->key = (int)tid;
	return 0;
}

/* Prints a part of one thread, or fails with ESRCH when it has ended, as /proc does. */
static void show_one(struct pf_buf *out, struct pf_live *live, int tid,
    void (*show)(struct pf_buf *out, const struct pf_thread_view *view))
{
	struct pf_thread_view view;

	if (live->door->thread && live->door->thread(tid, &view))
		show(out, &view);
	else
		pf_buf_fail(out, -ESRCH);
}

static void put_name(struct pf_buf *out, const struct pf_thread_view *view)
{
	char name[sizeof(view->name) + 1] = "";

	memcpy(name, view->name, sizeof(view->name));
	pf_buf_plain(out, name);
	pf_buf_char(out, '\n');
}

static void put_state(struct pf_buf *out, const struct pf_thread_view *view)
{
	pf_buf_plain(out, view->state ? view->state : "unknown");
	pf_buf_char(out, '\n');
}

static void put_cpu(struct pf_buf *out, const struct pf_thread_view *view)
{
	pf_buf_printf(out, "%lld\n", (long long)view->cpu_ns);
}

static void put_age(struct pf_buf *out, const struct pf_thread_view *view)
{
	pf_buf_printf(out, "%lld\n", (long long)view->age_ns);
}

static void show_name(struct pf_buf *out, struct pf_live *live, int tid)
{
	show_one(out, live, tid, put_name);
}

static void show_state(struct pf_buf *out, struct pf_live *live, int tid)
{
	show_one(out, live, tid, put_state);
}

static void show_cpu(struct pf_buf *out, struct pf_live *live, int tid)
{
	show_one(out, live, tid, put_cpu);
}

static void show_age(struct pf_buf *out, struct pf_live *live, int tid)
{
	show_one(out, live, tid, put_age);
}

static void show_labels(struct pf_buf *out, struct pf_live *live, int tid)
{
	struct pf_thread_view view;

	if (!live->door->thread || !live->door->thread(tid, &view))
		pf_buf_fail(out, -ESRCH);
	else if (live->door->print_labels)
		live->door->print_labels(view.labels, out);
}

/* A profile of this thread alone, with names. */
static void show_profile(struct pf_buf *out, struct pf_live *live, enum pf_source source, int tid,
    void (*show)(struct pf_buf *out, const struct pf_profile *one))
{
	struct pf_query query = {.tid = tid};
	struct pf_profile one;
	int rc = pf_make_profile(live, source, &query, NULL, &one);

	if (rc == 0 && one.sample_count == 0)
		rc = -ESRCH; /* it ended while it was looked at */
	if (rc == 0)
		show(out, &one);
	pf_profile_finish(&one);
	if (rc < 0)
		pf_buf_fail(out, rc);
}

static void put_stack(struct pf_buf *out, const struct pf_profile *one)
{
	static const struct pf_query query;

	pf_render_threads(out, one, &query);
}

static int64_t number_of(const struct pf_profile *one, const char *key)
{
	const struct pf_sample *s = &one->samples[0];

	for (uint32_t i = 0; i < s->label_count; i++)
		if (strcmp(one->labels[s->label_first + i].key, key) == 0)
			return one->labels[s->label_first + i].num;
	return 0;
}

/* Who, and the stack on which it did so; "unknown" of a thread that no hook saw being created. */
static void put_creator(struct pf_buf *out, const struct pf_profile *one)
{
	static const struct pf_query query;
	int64_t creator = number_of(one, "creator");

	if (!creator) {
		pf_buf_str(out, "unknown\n");
		return;
	}
	pf_buf_printf(out, "thread %lld\n", (long long)creator);
	pf_render_frames(out, one, &query);
}

static void show_stack(struct pf_buf *out, struct pf_live *live, int tid)
{
	show_profile(out, live, PF_SOURCE_THREADS, tid, put_stack);
}

static void show_creator(struct pf_buf *out, struct pf_live *live, int tid)
{
	if (tid == getpid())
		pf_buf_str(out, "nobody: the main thread\n");
	else
		show_profile(out, live, PF_SOURCE_THREADCREATE, tid, put_creator);
}

/* To the directory of the thread that it waits for. In a circle, and on the way into one, to that
 * one's own link, so that whoever follows goes round and round, and the kernel says ELOOP. */
static int find_owner(struct pf_live *live, int tid, char *out, size_t size)
{
	bool endless = false;
	pid_t owner = live->door->blocked_on ? live->door->blocked_on(tid, &endless) : 0;

	if (owner == 0)
		return -ENOENT;
	snprintf(out, size, "../%d%s", (int)owner, endless ? "/blocked_on" : "");
	return 0;
}

const struct pf_plain_row pf_thread_members[PF_THREAD_MEMBER_COUNT] = {
    {"name", show_name, NULL, 0, "the thread's name"},
    {"state", show_state, NULL, 0, "running, or what it sleeps in"},
    {"cpu_ns", show_cpu, NULL, 0, "CPU time used"},
    {"age_ns", show_age, NULL, 0, "time since it was first seen"},
    {"labels", show_labels, NULL, 0, "what the program says about it: KEY=VALUE lines"},
    {"stack", show_stack, NULL, 0, "where it is now"},
    {"created_by", show_creator, NULL, 0,
	"the thread that created it, and the stack on which it did"},
    {"blocked_on", NULL, NULL, 0,
	"a link to the thread that holds what it waits for, while that is known; in a deadlock it "
	"has no end (ELOOP)",
	.link = find_owner},
};
