#include "fs/node.h"
#include "base/clock.h"
#include "base/counter.h"
#include "fs/control.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name that nobody has used for so long is forgotten. */
static const int64_t FORGET_NS = 2ll * PF_NS_PER_SECOND;

struct pf_files *pf_files_create(
    struct pf_live *live, struct pf_workers *workers, const struct pf_kernel *kernel)
{
	struct pf_files *files = calloc(1, sizeof(*files));

	if (!files)
		return NULL;
	files->live = live;
	files->workers = workers;
	files->kernel = *kernel;
	files->lock = (struct pf_lock)PF_LOCK_INIT(PF_LOCK_FILE);
	files->next_id = 1ull << 32; /* far from the entries' */
	files->sweep_due_ns = -1;
	return files;
}

static void free_node(struct pf_node *node)
{
	pf_snapshot_drop(node->snapshot);
	pf_snapshot_drop(node->object.snapshot);
	free(node->name);
	free(node);
}

void pf_files_destroy(struct pf_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < PF_NODE_BUCKETS; i++)
		while (files->buckets[i]) {
			struct pf_node *next = files->buckets[i]->next;

			free_node(files->buckets[i]);
			files->buckets[i] = next;
		}
	free(files);
}

/* ---- who is known ---- */

static struct pf_node **bucket_of(struct pf_files *files, uint64_t id)
{
	return &files->buckets[id % PF_NODE_BUCKETS];
}

static struct pf_node **virgins_of(struct pf_files *files, uint64_t ino)
{
	return &files->virgins[ino % PF_NODE_BUCKETS];
}

struct pf_node *pf_node_find_locked(struct pf_files *files, uint64_t id)
{
	struct pf_node *node = *bucket_of(files, id);

	while (node && node->id != id)
		node = node->next;
	return node;
}

static struct pf_node *find_virgin_locked(
    struct pf_files *files, uint64_t parent, const char *name, uint64_t ino)
{
	struct pf_node *node = *virgins_of(files, ino);

	while (node && (node->parent != parent || strcmp(node->name, name) != 0))
		node = node->next_virgin;
	return node;
}

void pf_node_consume_locked(struct pf_files *files, struct pf_node *node)
{
	struct pf_node **at = virgins_of(files, node->object.ino);

	if (!node->virgin)
		return;
	node->virgin = false;
	while (*at != node)
		at = &(*at)->next_virgin;
	*at = node->next_virgin;
}

/* What a list names exists, be it a thousand files of kept snapshots: no limit is on it, and it takes
 * no room from others. */
static bool is_limited(const struct pf_object *object)
{
	return object->entry->kind != PF_KIND_LIST;
}

static void count_locked(struct pf_files *files, const struct pf_node *node, int change)
{
	files->node_count += (size_t)change;
	if (is_limited(&node->object))
		files->limited_count += (size_t)change;
	__atomic_store_n(&files->live->node_count, files->node_count, __ATOMIC_RELAXED);
}

bool pf_node_put_locked(struct pf_files *files, struct pf_node *node)
{
	struct pf_node **at = bucket_of(files, node->id);

	if (node->opens || node->state == PF_NODE_MAKING)
		return false;
	if (node->lookups)
		return files->sweep_due_ns < 0;
	pf_node_consume_locked(files, node);
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	count_locked(files, node, -1);
	free_node(node);
	return false;
}

static void link_node_locked(struct pf_files *files, struct pf_node *node)
{
	struct pf_node **bucket, **virgins;

	node->id = files->next_id++;
	bucket = bucket_of(files, node->id);
	node->next = *bucket;
	*bucket = node;
	virgins = virgins_of(files, node->object.ino);
	node->virgin = true;
	node->next_virgin = *virgins;
	*virgins = node;
	count_locked(files, node, 1);
}

/* Takes object->snapshot over when it succeeds. */
static struct pf_node *add_node_locked(
    struct pf_files *files, uint64_t parent, const char *name, struct pf_object *object)
{
	struct pf_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->name = strdup(name);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->files = files;
	node->parent = parent;
	node->object = *object;
	if (object->snapshot) {
		node->snapshot = pf_snapshot_hold(object->snapshot);
		node->state = PF_NODE_READY;
	}
	object->snapshot = NULL;
	link_node_locked(files, node);
	return node;
}

/* ---- attributes ---- */

static struct pf_attributes describe(const struct pf_object *object, uint64_t id)
{
	return (struct pf_attributes){
	    .id = id,
	    .ino = object->ino,
	    .mode = pf_tree_mode(object),
	    .fixed = object->fixed,
	    .settled = object->fixed,
	};
}

static struct pf_attributes describe_node_locked(const struct pf_node *node)
{
	struct pf_attributes a = describe(&node->object, node->id);

	a.settled = node->state == PF_NODE_READY;
	a.time_ns = node->snapshot ? node->snapshot->time_ns : pf_clock_real_ns();
	if (node->object.directory) /* tar would find that it changed meanwhile */
		a.time_ns = node->object.time_ns ? node->object.time_ns
						 : node->files->live->door->started_ns;
	a.size =
	    node->snapshot ? (int64_t)node->snapshot->text.length : pf_tree_size(&node->object);
	return a;
}

static struct pf_attributes describe_entry(struct pf_files *files, const struct pf_object *object)
{
	struct pf_attributes a = describe(object, object->entry->id);

	a.time_ns = files->live->door->started_ns;
	a.size = object->entry->target ? (int64_t)strlen(object->entry->target) : 0;
	return a;
}

static bool fixed_object(struct pf_files *files, uint64_t id, struct pf_object *out)
{
	const struct pf_entry *entry = pf_tree_entry(files->live->tree, id);

	if (entry)
		*out = pf_tree_object(entry);
	return entry != NULL;
}

int pf_files_link(struct pf_files *files, const struct pf_object *object, char *target, size_t size)
{
	return object->member->link(files->live, object->key, target, size);
}

int pf_files_object(struct pf_files *files, uint64_t id, struct pf_object *out)
{
	struct pf_node *node;

	if (fixed_object(files, id, out))
		return 0;
	pf_lock_take(&files->lock);
	node = pf_node_find_locked(files, id);
	if (node)
		*out = node->object;
	pf_lock_give(&files->lock);
	return node ? 0 : -ENOENT;
}

int pf_files_attributes(struct pf_files *files, uint64_t id, struct pf_attributes *out)
{
	struct pf_object object;
	struct pf_node *node;

	if (fixed_object(files, id, &object)) {
		*out = describe_entry(files, &object);
		return 0;
	}
	pf_lock_take(&files->lock);
	node = pf_node_find_locked(files, id);
	if (node)
		*out = describe_node_locked(node);
	pf_lock_give(&files->lock);
	return node ? 0 : -ENOENT;
}

/* ---- lookup and forget ---- */

/* Names that anybody can invent are limited, and leave room for the readers of the table's own. */
static bool too_many_locked(const struct pf_files *files, const struct pf_object *object)
{
	bool invented = object->ino != object->entry->id;
	size_t most = invented ? PF_FILES_NODES_MAX : 2 * PF_FILES_NODES_MAX;

	return is_limited(object) && files->limited_count >= most;
}

/* The virgin of this name, or a new one. */
static int get_node_locked(struct pf_files *files, uint64_t parent, const char *name,
    struct pf_object *object, struct pf_node **out)
{
	struct pf_node *node = find_virgin_locked(files, parent, name, object->ino);

	if (node &&
	    (node->object.snapshot != object->snapshot || node->object.key != object->key)) {
		pf_node_consume_locked(files, node); /* another thing of the same name */
		node = NULL;
	}
	if (!node && too_many_locked(files, object)) {
		pf_count(PF_COUNTER_FS_LOST_NODES);
		return -ENFILE;
	}
	*out = node ? node : add_node_locked(files, parent, name, object);
	return *out ? 0 : -ENOMEM;
}

static int lookup_node(struct pf_files *files, uint64_t parent, const char *name,
    struct pf_object *object, struct pf_attributes *out)
{
	struct pf_node *node;
	bool hurry = false;
	int rc;

	pf_lock_take(&files->lock);
	rc = get_node_locked(files, parent, name, object, &node);
	if (rc == 0) {
		node->lookups++;
		node->used_ns = pf_clock_now_ns();
		node->asked_to_forget = false;
		*out = describe_node_locked(node);
		hurry = files->sweep_due_ns < 0;
	}
	pf_lock_give(&files->lock);
	pf_snapshot_drop(object->snapshot);
	if (hurry)
		files->kernel.hurry(files->kernel.to);
	return rc;
}

/* heap,n=abc: the reader gets EINVAL, as for a write; here is which of its values it was. */
static void refuse_query(struct pf_live *live, const struct pf_object *directory, const char *name)
{
	char path[128];
	size_t base = strcspn(name, "?,"), length = 0;

	if (directory->entry->id != PF_TREE_ROOT) {
		pf_tree_name(live->tree, directory->entry, path, sizeof(path) / 2);
		length = strlen(path);
		path[length++] = '/';
	}
	snprintf(path + length, sizeof(path) - length, "%.*s", (int)base, name);
	pf_control_refuse(live, path, name + base, strlen(name + base), -EINVAL);
}

int pf_files_lookup(
    struct pf_files *files, uint64_t parent, const char *name, struct pf_attributes *out)
{
	struct pf_object directory, object = {.key = 0};
	int rc = pf_files_object(files, parent, &directory);

	if (rc == 0) {
		rc = pf_tree_find(files->live->tree, files->live, &directory, name, &object);
		if (rc == -EINVAL)
			refuse_query(files->live, &directory, name);
	}
	if (rc < 0)
		return rc;
	if (!object.fixed)
		return lookup_node(files, parent, name, &object, out);
	*out = describe_entry(files, &object);
	return 0;
}

void pf_files_forget(struct pf_files *files, uint64_t id, uint64_t count)
{
	struct pf_node *node;

	pf_lock_take(&files->lock);
	node = pf_node_find_locked(files, id);
	if (node) {
		node->lookups -= count < node->lookups ? count : node->lookups;
		pf_node_put_locked(files, node);
	}
	pf_lock_give(&files->lock);
}

/* ---- forgetting ---- */

static bool forgettable(const struct pf_node *node)
{
	return node->lookups && !node->opens && node->state != PF_NODE_MAKING &&
	       !node->asked_to_forget;
}

enum { SWEEP_NAMES = 32 };

struct sweep {
	struct pf_job job;
	struct pf_files *files;
	size_t count;
	uint64_t parents[SWEEP_NAMES];
	char *names[SWEEP_NAMES]; /* copies */
};

static void add_to_sweep(struct sweep *s, struct pf_node *node)
{
	char *copy = strdup(node->name);

	if (!copy)
		return; /* the next round comes */
	node->asked_to_forget = true;
	s->parents[s->count] = node->parent;
	s->names[s->count++] = copy;
}

/* Up to SWEEP_NAMES names to be forgotten; false when there is none. */
static bool fill_sweep(struct sweep *s)
{
	struct pf_files *files = s->files;
	int64_t now = pf_clock_now_ns();

	s->count = 0;
	pf_lock_take(&files->lock);
	for (size_t i = 0; i < PF_NODE_BUCKETS; i++)
		for (struct pf_node *n = files->buckets[i]; n && s->count < SWEEP_NAMES;
		     n = n->next)
			if (forgettable(n) && now - n->used_ns >= FORGET_NS)
				add_to_sweep(s, n);
	files->sweeping = s->count > 0;
	pf_lock_give(&files->lock);
	return s->count > 0;
}

static void end_sweep(struct pf_files *files)
{
	pf_lock_take(&files->lock);
	files->sweeping = false;
	pf_lock_give(&files->lock);
}

static void run_sweep(struct pf_job *job, int refused)
{
	struct sweep *s = PF_WHOLE(job, struct sweep, job);
	const struct pf_kernel *kernel = &s->files->kernel;

	while (!refused && fill_sweep(s))
		for (size_t i = 0; i < s->count; i++) {
			kernel->invalidate(kernel->to, s->parents[i], s->names[i]);
			free(s->names[i]);
		}
	if (refused) /* there is no worker for it: at the next round, then */
		end_sweep(s->files);
	free(s);
}

static int64_t soonest_due_locked(const struct pf_files *files)
{
	int64_t soonest = -1;

	for (size_t i = 0; i < PF_NODE_BUCKETS; i++)
		for (const struct pf_node *node = files->buckets[i]; node; node = node->next) {
			int64_t due = node->used_ns + FORGET_NS;

			if (forgettable(node) && (soonest < 0 || due < soonest))
				soonest = due;
		}
	return soonest;
}

int64_t pf_node_tick(struct pf_files *files, int64_t now_ns)
{
	struct sweep *s = NULL;
	int64_t due;

	pf_lock_take(&files->lock);
	due = soonest_due_locked(files);
	if (due >= 0 && due <= now_ns) {
		due = now_ns + FORGET_NS;
		if (!files->sweeping && !files->stopping)
			s = calloc(1, sizeof(*s));
		files->sweeping |= s != NULL;
	}
	files->sweep_due_ns = due;
	pf_lock_give(&files->lock);
	if (s) {
		s->files = files;
		s->job.run = run_sweep;
		pf_workers_add(files->workers, &s->job);
	}
	return due;
}
