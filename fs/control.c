#include "fs/control.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/mark.h"
#include "base/resident.h"
#include "base/utc.h"
#include "fs/capture.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t FIRST_SECONDS_NS = 30ll * PF_NS_PER_SECOND; /* what Go's profile takes */

struct pf_control *pf_control_create(void)
{
	struct pf_control *control = malloc(sizeof(*control));

	if (!control)
		return NULL;
	*control = (struct pf_control){.lock = PF_LOCK_INIT(PF_LOCK_LEAF)};
	for (int i = 0; i < PF_SOURCE_COUNT; i++)
		control->seconds_ns[i] = FIRST_SECONDS_NS;
	return control;
}

void pf_control_destroy(struct pf_control *control)
{
	if (control)
		pf_buf_finish(&control->gc_said);
	free(control);
}

/* ---- writes and their log ---- */

/* The beginning of what was written, without what a terminal might obey. */
static void copy_plain(char *out, size_t size, const char *text, size_t length)
{
	size_t n = 0;

	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	for (; n + 4 < size && n < length; n++)
		out[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
	strcpy(out + n, n < length ? "..." : "");
}

void pf_control_refuse(
    struct pf_live *live, const char *path, const char *text, size_t length, int error)
{
	struct pf_control *control = live->control;
	struct pf_refused_write *entry, copy;

	pf_count(PF_COUNTER_FS_REFUSED_WRITES);
	pf_lock_take(&control->lock);
	entry = &control->refused[control->refused_next++ % PF_ERROR_LOG_LINES];
	entry->time_ns = pf_clock_real_ns();
	entry->error = error;
	snprintf(entry->path, sizeof(entry->path), "%s", path);
	copy_plain(entry->value, sizeof(entry->value), text, length);
	copy = *entry;
	pf_lock_give(&control->lock);
	pf_event_add(
	    &live->events, "refused %s \"%s\": %s", copy.path, copy.value, strerrordesc_np(-error));
}

int pf_control_write(struct pf_live *live, const struct pf_entry *entry, const char *text,
    size_t length, struct pf_wait *wait)
{
	char path[64];
	int rc = entry->store(live, entry->arg, text, length, wait);

	if (rc < 0) {
		pf_tree_name(live->tree, entry, path, sizeof(path));
		pf_control_refuse(live, path, text, length, rc);
		return rc;
	}
	pf_captures_outdate(live->captures);
	return rc;
}

static const char *reason(int error)
{
	switch (error) {
	case -EINVAL:
		return "not a value this file takes";
	case -ERANGE:
		return "out of range";
	case -EBUSY:
		return "a capture, or another such write, is under way";
	case -EOPNOTSUPP:
		return "not possible in this process (see status)";
	case -EACCES:
		return "not the owner of this tree";
	case -EPERM:
	case -ENOSYS:
		return "a system call was refused (a seccomp filter?): see status";
	case -EEXIST:
		return "there is one of that name";
	case -EINTR:
		return "its writer had enough: nothing was done";
	default:
		return strerrordesc_np(-error);
	}
}

static void show_time(struct pf_buf *out, int64_t time_ns)
{
	char stamp[PF_UTC_TEXT];

	pf_utc_text(time_ns, stamp);
	pf_buf_str(out, stamp);
}

void pf_error_log_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	struct pf_control *control = live->control;

	pf_lock_take(&control->lock);
	for (uint32_t i = 0; i < PF_ERROR_LOG_LINES; i++) {
		uint32_t at = (control->refused_next + i) % PF_ERROR_LOG_LINES;
		const struct pf_refused_write *entry = &control->refused[at];

		if (!entry->time_ns)
			continue;
		show_time(out, entry->time_ns);
		pf_buf_printf(out, " %s: \"%s\": %s: %s\n", entry->path, entry->value,
		    strerrordesc_np(-entry->error), reason(entry->error));
	}
	pf_lock_give(&control->lock);
}

/* ---- settings ---- */

void pf_knob_show(struct pf_buf *out, struct pf_live *live, int id)
{
	char text[PF_KNOB_TEXT];

	pf_buf_printf(out, "%s\n", pf_knob_text((enum pf_knob_id)id, text));
}

int pf_knob_store(
    struct pf_live *live, int id, const char *text, size_t length, struct pf_wait *wait)
{
	int rc = pf_knob_set((enum pf_knob_id)id, text, length);

	if (rc == 0 && live->captures)
		pf_kept_trim(pf_captures_kept(live->captures));
	return rc;
}

/* ---- captures ---- */

void pf_seconds_show(struct pf_buf *out, struct pf_live *live, int row)
{
	enum pf_source source = pf_table.profiles[row].source;
	int64_t ns;

	pf_lock_take(&live->control->lock);
	ns = live->control->seconds_ns[source];
	pf_lock_give(&live->control->lock);
	pf_buf_printf(out, "%.9g\n", (double)ns / PF_NS_PER_SECOND);
}

int pf_seconds_store(
    struct pf_live *live, int row, const char *text, size_t length, struct pf_wait *wait)
{
	const struct pf_profile_row *profile = &pf_table.profiles[row];
	struct pf_capture_key key = {.source = profile->source};
	int rc = pf_query_seconds(text, length, &key.seconds_ns);

	if (rc < 0)
		return rc;
	if (key.seconds_ns == 0) /* no capture takes no time: there must be one to end */
		return pf_capture_end(live->captures, key.source) ? 0 : -ERANGE;
	if (__atomic_load_n(&pf_features[profile->feature].state, __ATOMIC_ACQUIRE) ==
	    PF_FEATURE_NONE)
		return -EOPNOTSUPP;
	rc = pf_capture_begin(live->captures, &key);
	if (rc < 0)
		return rc;
	pf_lock_take(&live->control->lock);
	live->control->seconds_ns[key.source] = key.seconds_ns;
	pf_lock_give(&live->control->lock);
	return 0;
}

/* ---- switches ---- */

enum { SWITCH_KEEP = -1, SWITCH_OFF, SWITCH_ON };

/* What is wanted of each collector. */
struct switches {
	int wanted[PF_COLLECTOR_COUNT];
	bool all; /* "1": those that cannot are no error */
};

static bool collector_on(const struct pf_live *live, int id)
{
	const struct pf_collector_ops *ops = &live->door->collectors[id];

	return ops->enabled && ops->enabled();
}

static int switch_one(struct pf_live *live, int id, bool on)
{
	const struct pf_collector_ops *ops = &live->door->collectors[id];

	return ops->enable ? ops->enable(on) : -EOPNOTSUPP;
}

/* All or nothing: what was changed before the failure is changed back. */
static int switch_all(struct pf_live *live, const struct switches *s)
{
	bool changed[PF_COLLECTOR_COUNT] = {false};
	int rc = 0;

	for (int id = 0; id < PF_COLLECTOR_COUNT && rc == 0; id++) {
		if (s->wanted[id] == SWITCH_KEEP || s->wanted[id] == collector_on(live, id))
			continue;
		rc = switch_one(live, id, s->wanted[id] == SWITCH_ON);
		changed[id] = rc == 0;
		if (rc == -EOPNOTSUPP && s->all)
			rc = 0;
	}
	for (int id = PF_COLLECTOR_COUNT - 1; id >= 0 && rc < 0; id--)
		if (changed[id])
			switch_one(live, id, s->wanted[id] != SWITCH_ON);
	return rc;
}

/* Two writers at once would undo each other: the second is told. */
static int switch_alone(struct pf_live *live, const struct switches *s)
{
	struct pf_control *control = live->control;
	bool busy;
	int rc;

	pf_lock_take(&control->lock);
	busy = control->enable_running;
	control->enable_running = true;
	pf_lock_give(&control->lock);
	if (busy)
		return -EBUSY;
	rc = switch_all(live, s);
	pf_lock_take(&control->lock);
	control->enable_running = false;
	pf_lock_give(&control->lock);
	return rc;
}

static int find_collector(const char *name, size_t length)
{
	static const char *const names[] = {
#define X(id, text) text,
	    PF_COLLECTORS(X)
#undef X
	};

	for (int id = 0; id < PF_COLLECTOR_COUNT; id++)
		if (strlen(names[id]) == length && memcmp(names[id], name, length) == 0)
			return id;
	return -EINVAL;
}

static bool is_word(const char *word, size_t length, const char *text)
{
	return strlen(text) == length && memcmp(word, text, length) == 0;
}

static void want_all(struct switches *s, int how)
{
	for (int id = 0; id < PF_COLLECTOR_COUNT; id++)
		s->wanted[id] = how;
	s->all = true;
}

/* One word of `enable`; *last is the collector named before it, which "on" and "off" are about,
 * so that what was read can be written back. */
static int take_word(struct switches *s, int *last, const char *word, size_t length)
{
	int how = word[0] == '-' ? SWITCH_OFF : SWITCH_ON;

	if (*last >= 0 && (is_word(word, length, "on") || is_word(word, length, "off"))) {
		s->wanted[*last] = length == 2 ? SWITCH_ON : SWITCH_OFF;
		*last = -1;
		return 0;
	}
	*last = -1;
	if (is_word(word, length, "1") || is_word(word, length, "0")) {
		want_all(s, word[0] == '1' ? SWITCH_ON : SWITCH_OFF);
		return 0;
	}
	if (word[0] == '+' || word[0] == '-') {
		word++;
		length--;
	}
	*last = find_collector(word, length);
	if (*last < 0)
		return -EINVAL;
	s->wanted[*last] = how;
	return 0;
}

static bool parts_words(char c)
{
	return isspace((unsigned char)c) || c == ',';
}

void pf_enable_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	for (int id = 0; id < PF_COLLECTOR_COUNT; id++)
		if (live->door->collectors[id].name)
			pf_buf_printf(out, "%s %s\n", live->door->collectors[id].name,
			    collector_on(live, id) ? "on" : "off");
}

int pf_enable_store(
    struct pf_live *live, int arg, const char *text, size_t length, struct pf_wait *wait)
{
	struct switches s;
	size_t words = 0;
	int last = -1;

	want_all(&s, SWITCH_KEEP);
	s.all = false;
	for (size_t at = 0; at < length;) {
		size_t end = at;
		int rc;

		while (end < length && !parts_words(text[end]))
			end++;
		rc = end > at ? take_word(&s, &last, text + at, end - at) : 0;
		if (rc < 0)
			return rc;
		words += end > at;
		at = end + 1;
	}
	return words ? switch_alone(live, &s) : -EINVAL;
}

void pf_window_enable_show(struct pf_buf *out, struct pf_live *live, int row)
{
	int id = (int)pf_table.profiles[row].collector;

	pf_buf_str(out, collector_on(live, id) ? "1\n" : "0\n");
}

int pf_window_enable_store(
    struct pf_live *live, int row, const char *text, size_t length, struct pf_wait *wait)
{
	struct switches s;
	int64_t value;
	int rc = pf_parse_int(text, length, &value);

	if (rc < 0)
		return rc;
	if (value != 0 && value != 1)
		return -ERANGE;
	want_all(&s, SWITCH_KEEP);
	s.all = false;
	s.wanted[pf_table.profiles[row].collector] = value ? SWITCH_ON : SWITCH_OFF;
	return switch_alone(live, &s);
}

/* ---- memory ---- */

static void add_gc_locked(struct pf_gc_total *total, int64_t released, int64_t took_ns)
{
	total->count++;
	total->time_ns = pf_clock_real_ns();
	total->took_ns += took_ns;
	total->released += released > 0 ? released : 0;
}

struct pf_gc_total pf_control_gc_total(struct pf_live *live)
{
	struct pf_gc_total total;

	pf_lock_take(&live->control->lock);
	total = live->control->gc_total;
	pf_lock_give(&live->control->lock);
	return total;
}

/* 0 where either cannot be had. */
static int64_t released_since(int64_t resident)
{
	int64_t now = pf_resident_bytes();

	return resident < 0 || now < 0 ? 0 : resident - now;
}

int pf_control_release_memory(struct pf_live *live, bool collect, struct pf_wait *wait)
{
	struct pf_control *control = live->control;
	struct pf_buf said = PF_BUF_INIT;
	struct pf_buf before;
	int64_t began_ns = pf_clock_now_ns(), resident = pf_resident_bytes();
	int rc;

	if (!live->door->release_memory)
		return -EOPNOTSUPP;
	rc = live->door->release_memory(collect, &said, wait);
	if (rc < 0 && !said.length) {
		pf_buf_finish(&said);
		return rc;
	}
	pf_event_add(&live->events, "gc %s", pf_buf_text(&said));
	pf_lock_take(&control->lock);
	before = control->gc_said;
	control->gc_said = said;
	add_gc_locked(&control->gc_total, released_since(resident), pf_clock_now_ns() - began_ns);
	pf_lock_give(&control->lock);
	pf_buf_finish(&before);
	return rc;
}

void pf_gc_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	struct pf_control *control = live->control;

	pf_lock_take(&control->lock);
	if (control->gc_total.time_ns) {
		const char *said = pf_buf_text(&control->gc_said);
		size_t length = strlen(said);

		show_time(out, control->gc_total.time_ns);
		pf_buf_printf(out, " %s%s", said, length && said[length - 1] == '\n' ? "" : "\n");
	} else {
		pf_buf_str(out, "never\n");
	}
	pf_lock_give(&control->lock);
}

int pf_gc_store(
    struct pf_live *live, int arg, const char *text, size_t length, struct pf_wait *wait)
{
	int64_t value;
	int rc = pf_parse_int(text, length, &value);

	if (rc < 0)
		return rc;
	return value == 1 ? pf_control_release_memory(live, arg == PF_GC_COLLECT, wait) : -ERANGE;
}
