#include "fs/file.h"
#include "base/clock.h"
#include "base/counter.h"
#include "fs/defined.h"
#include "fs/live.h"
#include "fs/make.h"
#include "fs/node.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <stddef.h>

/* So long an interrupted call may go on when it only waits for work, which is soon done: a signal
 * that means nothing to its process (a timer's, a child's) must not cost it the answer. */
static const int64_t GRACE_NS = 300ll * PF_NS_PER_MS;

/* ---- calls ---- */

static void link_call_locked(struct pf_files *files, struct pf_call *call)
{
	call->next = files->calls;
	if (call->next)
		call->next->at = &call->next;
	call->at = &files->calls;
	call->since_ns = pf_clock_now_ns();
	if (call->interrupted)
		call->interrupted_ns = call->since_ns;
	files->calls = call;
	files->interrupted += call->interrupted;
}

/* Whoever unlinks a call answers it. */
static void unlink_call_locked(struct pf_files *files, struct pf_call *call)
{
	*call->at = call->next;
	if (call->next)
		call->next->at = call->at;
	call->at = NULL;
	files->interrupted -= call->interrupted;
}

void pf_files_interrupt(struct pf_files *files, struct pf_call *call)
{
	bool waiting;

	pf_lock_take(&files->lock);
	waiting = call->at && !call->interrupted;
	files->interrupted += waiting;
	if (waiting)
		call->interrupted_ns = pf_clock_now_ns();
	call->interrupted = true;
	pf_lock_give(&files->lock);
	if (waiting)
		files->kernel.hurry(files->kernel.to);
}

static void answer_all(struct pf_call *call, int rc)
{
	while (call) {
		struct pf_call *next = call->next;

		call->answer(call, rc);
		call = next;
	}
}

/* ---- opening ---- */

static void give_locked(struct pf_node *node, struct pf_call *call)
{
	call->snapshot = pf_snapshot_hold(node->snapshot);
	call->sizeless = node->sizeless;
}

/* Takes every call for a node out of the waiting ones, each with its part of the result. */
static struct pf_call *take_calls_locked(struct pf_files *files, struct pf_node *node, int rc)
{
	struct pf_call *taken = NULL;
	struct pf_call *next;

	for (struct pf_call *call = files->calls; call; call = next) {
		next = call->next;
		if (call->node != node)
			continue;
		unlink_call_locked(files, call);
		pf_capture_count(files->live->captures, &node->waiter, -1);
		if (rc == 0)
			give_locked(node, call);
		else
			node->opens--;
		call->next = taken;
		taken = call;
	}
	return taken;
}

/* The end of making: everybody who waits gets it, or the reason why not. Takes `snapshot` over. */
static void finish_node(struct pf_node *node, struct pf_snapshot *snapshot, int rc)
{
	struct pf_files *files = node->files;
	struct pf_capture *capture = node->capture;
	struct pf_call *calls;
	bool hurry, sizeless = false;

	/* The size must be known before anybody is told that it is open: else it would be empty. */
	if (rc == 0)
		sizeless = files->kernel.store(files->kernel.to, node->id, snapshot) < 0;
	pf_lock_take(&files->lock);
	node->snapshot = snapshot;
	node->sizeless = sizeless;
	node->capture = NULL;
	node->state = rc == 0 ? PF_NODE_READY : PF_NODE_EMPTY;
	node->used_ns = pf_clock_now_ns();
	calls = take_calls_locked(files, node, rc);
	hurry = pf_node_put_locked(files, node);
	pf_lock_give(&files->lock);
	if (capture)
		pf_capture_drop(files->live->captures, capture);
	answer_all(calls, rc);
	if (hurry)
		files->kernel.hurry(files->kernel.to);
}

static int draw_capture(struct pf_node *node, struct pf_snapshot **out)
{
	struct pf_captures *captures = node->files->live->captures;
	uint64_t which = pf_make_which(&node->object);
	int rc;

	*out = pf_capture_drawn(captures, node->capture, which);
	if (*out)
		return 0;
	rc = pf_make_drawing(
	    node->files->live, &node->object, pf_capture_profile(node->capture), out);
	if (rc == 0)
		pf_capture_add_drawn(captures, node->capture, which, *out);
	return rc;
}

static int collect_and_draw(struct pf_node *node, struct pf_snapshot **out)
{
	const struct pf_object *object = &node->object;
	struct pf_live *live = node->files->live;
	struct pf_query query = object->query;
	struct pf_profile profile;
	int rc;

	query.balance = pf_make_wants_balance(object);
	if (object->entry->profile == &pf_defined_row)
		rc = pf_defined_make(live, (uint32_t)object->key, &profile);
	else
		rc = pf_make_profile(live, object->entry->profile->source, &query, NULL, &profile);
	if (rc == 0) {
		pf_make_footer(live, object, &profile);
		rc = profile.error;
	}
	if (rc == 0)
		rc = pf_make_drawing(live, object, &profile, out);
	pf_profile_finish(&profile);
	return rc;
}

static void make_node(struct pf_node *node)
{
	struct pf_snapshot *snapshot = NULL;
	int rc;

	if (node->capture && node->object.entry->kind == PF_KIND_PROFILE)
		rc = draw_capture(node, &snapshot);
	else if (node->object.entry->kind == PF_KIND_PROFILE)
		rc = collect_and_draw(node, &snapshot);
	else
		rc = pf_make_print(node->files->live, &node->object, &snapshot);
	finish_node(node, snapshot, rc);
}

static void run_node(struct pf_job *job, int refused)
{
	struct pf_node *node = PF_WHOLE(job, struct pf_node, job);

	if (refused) {
		finish_node(node, NULL, refused);
		return;
	}
	/* Whoever has looked it up by now asked before this moment, and shares what is made of it,
	 * however late the OPEN comes. Whoever looks it up from now on gets another. */
	pf_lock_take(&node->files->lock);
	pf_node_consume_locked(node->files, node);
	pf_lock_give(&node->files->lock);
	make_node(node);
}

/* The capture is done: this is its thread, which has nothing else to do, so it draws. */
static void capture_ready(struct pf_capture_waiter *waiter, struct pf_capture *capture, int rc)
{
	struct pf_node *node = PF_WHOLE(waiter, struct pf_node, waiter);

	node->capture = capture;
	if (rc == 0)
		make_node(node);
	else
		finish_node(node, NULL, rc);
}

/* The same, of the one that runs: what has ended needs no waiting for. */
static int join_running(struct pf_node *node, enum pf_source source)
{
	struct pf_captures *captures = node->files->live->captures;
	int rc = pf_capture_join_any(captures, source, &node->waiter, &node->capture);

	return rc == -ENODATA ? 0 : rc;
}

/* 1: wait for node->waiter; 0: node->capture is there, or none is needed; -errno. */
static int join_capture(struct pf_node *node)
{
	const struct pf_object *object = &node->object;
	const struct pf_entry *e = object->entry;
	struct pf_captures *captures = node->files->live->captures;
	struct pf_capture_key key;
	int rc;

	if (e->kind == PF_KIND_PRINT && e->plain && e->plain->waits)
		return join_running(node, pf_table.profiles[e->arg].source);
	if (e->kind != PF_KIND_PROFILE)
		return 0;
	key = (struct pf_capture_key){
	    .source = e->profile->source,
	    .seconds_ns = object->query.seconds_ns ? object->query.seconds_ns : e->seconds_ns,
	    .hz = object->query.hz,
	    .gc = object->query.gc,
	};
	if (key.seconds_ns)
		return pf_capture_join(captures, &key, &node->waiter, &node->capture);
	if (!e->profile->window)
		return 0;
	rc = pf_capture_join_any(captures, key.source, &node->waiter, &node->capture);
	return rc == -ENODATA ? 0 : rc; /* then the recorder's, which says ENODATA itself */
}

static bool somebody_waits_locked(struct pf_files *files, const struct pf_node *node)
{
	for (struct pf_call *call = files->calls; call; call = call->next)
		if (call->node == node)
			return true;
	return false;
}

/* What is made for nobody else is not waited for either: the capture lives on by itself for a
 * while. */
static void leave_capture_locked(struct pf_files *files, struct pf_node *node)
{
	if (!somebody_waits_locked(files, node) &&
	    pf_capture_leave(files->live->captures, &node->waiter))
		node->state = PF_NODE_EMPTY;
}

/* Does opening it mean to wait for time to pass, and not only for work that is being done? */
static bool takes_time(const struct pf_object *object)
{
	const struct pf_entry *e = object->entry;

	if (e->kind == PF_KIND_PROFILE)
		return e->profile->window || e->seconds_ns || object->query.seconds_ns;
	return e->plain && e->plain->waits;
}

/* Somebody waits for this node and nothing is under way yet. The caller has it open once more for
 * us, so that it lives until we have looked again. */
static void begin_node(struct pf_node *node)
{
	struct pf_files *files = node->files;
	int rc;

	node->waiter.ready = capture_ready;
	rc = join_capture(node);
	if (rc < 0) {
		finish_node(node, NULL, rc);
	} else if (rc == 0) {
		node->job.run = run_node;
		pf_workers_add(files->workers, &node->job);
	}
	pf_lock_take(&files->lock);
	node->opens--;
	leave_capture_locked(files, node); /* all may have been interrupted meanwhile */
	pf_node_put_locked(files, node);
	pf_lock_give(&files->lock);
}

/* True when the call must wait and nobody has begun to make what it waits for. */
static bool open_locked(struct pf_files *files, struct pf_node *node, struct pf_call *call)
{
	bool begin = node->state == PF_NODE_EMPTY;

	node->opens++;
	node->used_ns = pf_clock_now_ns();
	/* It may wait for a capture that is over when the next one looks it up. */
	if (takes_time(&node->object))
		pf_node_consume_locked(files, node);
	if (node->state == PF_NODE_READY) {
		give_locked(node, call);
		return false;
	}
	node->state = PF_NODE_MAKING;
	pf_capture_count(files->live->captures, &node->waiter, 1);
	call->node = node;
	link_call_locked(files, call);
	node->opens += begin; /* begin_node()'s own */
	return begin;
}

void pf_files_open(struct pf_files *files, uint64_t id, struct pf_call *call)
{
	struct pf_node *node;
	bool begin = false, hurry = false;
	int rc = 0;

	pf_lock_take(&files->lock);
	node = pf_node_find_locked(files, id);
	if (!node || node->object.directory)
		rc = node ? -EISDIR : -ENOENT;
	else if (files->stopping)
		rc = -EINTR;
	else
		begin = open_locked(files, node, call);
	hurry = rc == 0 && call->at && call->interrupted;
	rc = rc == 0 && call->at ? 1 : rc;
	pf_lock_give(&files->lock);
	if (rc <= 0)
		call->answer(call, rc);
	if (begin)
		begin_node(node);
	if (hurry)
		files->kernel.hurry(files->kernel.to);
}

void pf_files_release(struct pf_files *files, uint64_t id, struct pf_snapshot *snapshot)
{
	struct pf_node *node;
	bool hurry = false;

	pf_snapshot_drop(snapshot);
	pf_lock_take(&files->lock);
	node = pf_node_find_locked(files, id);
	if (node) {
		node->opens--;
		node->used_ns = pf_clock_now_ns();
		hurry = pf_node_put_locked(files, node);
	}
	pf_lock_give(&files->lock);
	if (hurry)
		files->kernel.hurry(files->kernel.to);
}

/* ---- errands ---- */

static void run_errand(struct pf_job *job, int refused)
{
	struct pf_errand *errand = PF_WHOLE(job, struct pf_errand, job);
	struct pf_files *files = errand->files;
	int rc = refused ? refused : errand->work(errand);
	struct pf_call *call;

	pf_lock_take(&files->lock);
	call = errand->call;
	if (call)
		unlink_call_locked(files, call);
	pf_lock_give(&files->lock);
	if (call)
		call->answer(call, rc);
	errand->destroy(errand);
}

void pf_files_run(struct pf_files *files, struct pf_errand *errand, struct pf_call *call)
{
	bool hurry;

	errand->files = files;
	errand->call = call;
	errand->job.run = run_errand;
	pf_lock_take(&files->lock);
	call->errand = errand;
	link_call_locked(files, call);
	hurry = call->interrupted;
	pf_lock_give(&files->lock);
	pf_workers_add(files->workers, &errand->job);
	if (hurry)
		files->kernel.hurry(files->kernel.to);
}

/* ---- streams ---- */

void pf_files_wait(struct pf_files *files, struct pf_call *call)
{
	bool stopping;

	pf_lock_take(&files->lock);
	stopping = files->stopping;
	if (!stopping)
		link_call_locked(files, call);
	pf_lock_give(&files->lock);
	if (stopping)
		call->answer(call, -EINTR);
	else
		files->kernel.hurry(files->kernel.to); /* it may be ready by now */
}

static struct pf_call *take_ready_locked(struct pf_files *files)
{
	struct pf_call *taken = NULL;
	struct pf_call *next;

	for (struct pf_call *call = files->calls; call; call = next) {
		next = call->next;
		if (!call->ready || !call->ready(call))
			continue;
		unlink_call_locked(files, call);
		call->next = taken;
		taken = call;
	}
	return taken;
}

/* ---- the keeper's round ---- */

/* A call ends before what it waits for. */
static void abandon_locked(struct pf_files *files, struct pf_call *call)
{
	struct pf_node *node = call->node;

	unlink_call_locked(files, call);
	if (call->errand) {
		call->errand->call = NULL;
		pf_wait_cancel(&call->errand->wait);
	}
	if (!node)
		return;
	node->opens--;
	pf_capture_count(files->live->captures, &node->waiter, -1);
	leave_capture_locked(files, node);
	pf_node_put_locked(files, node);
}

static bool waits_for_time(const struct pf_call *call)
{
	if (!call->node)
		return !call->errand; /* a stream */
	return takes_time(&call->node->object);
}

/* When it is to be answered though it is not done (monotonic), or -1: not at all. */
static int64_t end_of(const struct pf_files *files, const struct pf_call *call)
{
	int64_t end = -1;

	if (call->interrupted)
		end = call->interrupted_ns + (waits_for_time(call) ? 0 : GRACE_NS);
	if (files->patience_ns && (end < 0 || call->since_ns + files->patience_ns < end))
		end = call->since_ns + files->patience_ns;
	return end;
}

/* A stream's reader who is only kept waiting is not sent away: he gets a line. */
static bool keep_alive_locked(struct pf_files *files, struct pf_call *call)
{
	if (call->interrupted || !call->ready)
		return false;
	if (!call->ready(call))
		pf_event_add(&files->live->events, "nothing new");
	return true;
}

/* Whose time has come, or everybody. *due_ns: when the next one's comes; -1: never. */
static struct pf_call *take_ended_locked(
    struct pf_files *files, int64_t now_ns, bool everybody, int64_t *due_ns)
{
	struct pf_call *taken = NULL;
	struct pf_call *next;

	*due_ns = -1;
	for (struct pf_call *call = files->calls; call; call = next) {
		int64_t end = end_of(files, call);

		next = call->next;
		if (!everybody && (end < 0 || end > now_ns)) {
			*due_ns = pf_clock_sooner(*due_ns, end);
			continue;
		}
		if (!everybody && keep_alive_locked(files, call))
			continue;
		abandon_locked(files, call);
		call->next = taken;
		taken = call;
		pf_count(PF_COUNTER_FS_INTERRUPTED);
	}
	return taken;
}

int64_t pf_files_tick(struct pf_files *files, int64_t now_ns)
{
	struct pf_call *taken = NULL, *ready;
	int64_t due_ns = -1;

	pf_lock_take(&files->lock);
	if (files->interrupted || files->patience_ns)
		taken = take_ended_locked(files, now_ns, false, &due_ns);
	ready = take_ready_locked(files);
	pf_lock_give(&files->lock);
	answer_all(taken, -EINTR);
	answer_all(ready, 0);
	return pf_clock_sooner(due_ns, pf_node_tick(files, now_ns));
}

void pf_files_set_patience(struct pf_files *files, int64_t patience_ns)
{
	files->patience_ns = patience_ns;
}

void pf_files_stop(struct pf_files *files)
{
	struct pf_call *taken;
	int64_t unused;

	pf_lock_take(&files->lock);
	files->stopping = true;
	taken = take_ended_locked(files, 0, true, &unused);
	pf_lock_give(&files->lock);
	answer_all(taken, -EINTR);
}
