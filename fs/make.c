#include "fs/make.h"
#include "base/clock.h"
#include "base/knob.h"
#include "fs/control.h"
#include "fs/focus.h"
#include "fs/live.h"
#include "fs/snapshot.h"
#include "fs/stats.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

const struct pf_profile_row *pf_make_row(enum pf_source source)
{
	for (size_t i = 0; i < pf_table.profile_count; i++)
		if (pf_table.profiles[i].source == source)
			return &pf_table.profiles[i];
	return &pf_table.profiles[0];
}

/* How long something has been so is of one moment: a thread that sleeps on has not changed. */
static void drop_ages(struct pf_profile *p)
{
	static const char *const ages[] = {"age_ns", "oldest", "youngest"};

	for (size_t i = 0; i < PF_COUNT(ages); i++)
		pf_profile_drop_label(p, ages[i]);
}

/* Before and after, and the one subtracted from the other. */
static int make_difference(struct pf_live *live, enum pf_source source,
    const struct pf_query *query, struct pf_wait *wait, struct pf_profile *out)
{
	pf_collect_fn *collect = live->door->collect[source];
	struct pf_query moment = *query;
	struct pf_profile before;
	int64_t start_ns;
	int rc;

	moment.seconds_ns = 0;
	pf_profile_init(&before);
	rc = collect(&before, &moment, wait);
	start_ns = pf_clock_now_ns();
	if (rc == 0)
		rc = pf_wait_until(wait, start_ns + query->seconds_ns);
	if (rc >= 0) /* 1: ended early, keep what there is */
		rc = collect(out, &moment, NULL);
	if (rc == 0) {
		drop_ages(&before);
		drop_ages(out);
		pf_profile_subtract(out, &before);
		/* Not the times of the two: that of heap_peak is when it was. */
		out->duration_ns = pf_clock_now_ns() - start_ns;
	}
	pf_profile_finish(&before);
	return rc;
}

/* Go honours gc for the heap only. Done here and not by the collector, so that the file `gc` says
 * what came of it: a heap that could not be collected can be read all the same. */
static int release_if_asked(
    struct pf_live *live, enum pf_source source, struct pf_query *query, struct pf_wait *wait)
{
	bool asked = query->gc && source == PF_SOURCE_HEAP;
	int rc;

	query->gc = false;
	rc = asked ? pf_control_release_memory(live, true, wait) : 0;
	return rc == -EINTR ? rc : 0;
}

/* What the process, or the kernel, has refused us: a reader sees no more than an errno, and no shell says
 * which call it was. The other errors are answers, and `status` has the reasons. */
static void tell(struct pf_live *live, enum pf_source source, int error)
{
	static const char what[] = "(read)";

	if (error == -EPERM || error == -EACCES || error == -ENOSYS || error == -EMFILE ||
	    error == -ENFILE)
		pf_control_refuse(live, pf_make_row(source)->stem, what, sizeof(what) - 1, error);
}

int pf_make_profile(struct pf_live *live, enum pf_source source, const struct pf_query *query,
    struct pf_wait *wait, struct pf_profile *out)
{
	pf_collect_fn *collect = live->door->collect[source];
	struct pf_query asked = *query;
	int rc;

	pf_profile_init(out);
	if (!collect)
		return -EOPNOTSUPP;
	rc = release_if_asked(live, source, &asked, wait);
	if (rc == 0 && asked.seconds_ns && !pf_make_row(source)->window)
		rc = make_difference(live, source, &asked, wait, out);
	else if (rc == 0)
		rc = collect(out, &asked, wait);
	if (rc < 0) {
		tell(live, source, rc);
		return rc;
	}
	pf_profile_comment(out, "proffs %s", PF_VERSION);
	pf_profile_comment(out, "stack_depth %lld", (long long)pf_knob_get(PF_KNOB_STACK_DEPTH));
	if (out->error == 0)
		pf_live_resolve(live, out);
	return out->error;
}

/* ---- drawing ---- */

static pf_render_fn *choose_render(const struct pf_object *object)
{
	const struct pf_entry *e = object->entry;
	bool bare = *e->view->suffix == '\0';

	/* Go's profile knows no debug. */
	if (bare && !e->profile->window && object->query.debug == 1)
		return pf_render_legacy;
	if (bare && !e->profile->window && object->query.debug > 1)
		return e->profile->debug_2;
	return e->view->render ? e->view->render : e->profile->text;
}

/* A count has its profile's name as its column's; under debug/pprof/ that is the name which Go's
 * tools and dashboards know: goroutine, not threads. */
static bool bears_go_name(const struct pf_entry *e)
{
	return e->view == &pf_table.go_view && e->profile->collector == PF_COLLECTOR_COUNT &&
	       strcmp(e->profile->go_name, e->profile->stem) != 0;
}

static bool wants_lines(const struct pf_object *object)
{
	return object->query.lines || pf_knob_get(PF_KNOB_SYMBOLS) == 1;
}

uint64_t pf_make_which(const struct pf_object *object)
{
	uint64_t render = (uint64_t)(uintptr_t)choose_render(object);
	uint64_t row = (uint64_t)(object->entry->profile - pf_table.profiles);

	uint64_t which = (render * 31 + row) * 1000003 + (uint64_t)object->query.rows;

	which = which * 1000003 + (uint64_t)object->query.least;
	which = which * 2 + object->entry->framed;
	which = which * 16 + object->query.all_frames * 8u + bears_go_name(object->entry) * 4u +
		wants_lines(object) * 2u + object->query.sort_cum;
	for (const char *c = object->query.focus; *c; c++)
		which = which * 1000003 + (unsigned char)*c;
	return which;
}

static int32_t column_of(const struct pf_profile *p, const char *column)
{
	for (uint32_t i = 0; column && i < p->type_count; i++)
		if (strcmp(p->types[i].type, column) == 0)
			return (int32_t)i;
	return p->default_type;
}

static uint32_t shown_type(const struct pf_object *object, const struct pf_profile *p)
{
	int32_t column = column_of(p, object->entry->profile->column);

	return column >= 0 ? (uint32_t)column : pf_profile_default_type(p);
}

void pf_make_footer(struct pf_live *live, const struct pf_object *object, struct pf_profile *p)
{
	if (object->query.debug == 1 && choose_render(object) == pf_render_legacy &&
	    object->entry->profile->source == PF_SOURCE_HEAP)
		pf_stats_comment(p, live->door);
}

bool pf_make_wants_balance(const struct pf_object *object)
{
	return object->entry->profile->balance && choose_render(object) == pf_render_text;
}

/* Up to the size that was told before it was opened; the next one is told more when this is more. */
static void fill_page(const struct pf_object *object, struct pf_buf *text)
{
	size_t room = (size_t)pf_tree_size(object);
	char *blanks;

	if (room == 0)
		return;
	if (text->length > room) {
		room = (text->length + text->length / 4) / PF_PAGE_ROOM + 1;
		__atomic_store_n(object->entry->room, room * PF_PAGE_ROOM, __ATOMIC_RELAXED);
		return;
	}
	room -= text->length;
	blanks = pf_buf_room(text, room);
	if (!blanks)
		return;
	memset(blanks, ' ', room);
	text->length += room;
}

/* Its text as a page that shows it. */
static void frame(const struct pf_object *object, struct pf_buf *text)
{
	struct pf_buf page = PF_BUF_INIT;
	char title[NAME_MAX + 1];

	snprintf(title, sizeof(title), "%s", object->entry->name);
	*strrchr(title, '.') = '\0'; /* ".html" */
	pf_page_plain(&page, title, pf_buf_text(text), text->length);
	pf_buf_fail(&page, text->error);
	pf_buf_finish(text);
	*text = page;
}

/* What a renderer made, as a snapshot, or why it failed. */
static int finish_text(
    const struct pf_object *object, struct pf_buf *text, struct pf_snapshot **out)
{
	int rc;

	if (object->entry->framed && !object->member)
		frame(object, text);
	fill_page(object, text);
	rc = text->error;
	*out = rc == 0 ? pf_snapshot_create(text) : NULL;
	pf_buf_finish(text);
	return rc == 0 && !*out ? -ENOMEM : rc;
}

static int draw(
    const struct pf_object *object, const struct pf_profile *p, struct pf_snapshot **out)
{
	struct pf_buf text = PF_BUF_INIT;
	struct pf_profile shown = *p; /* the same arrays under another name and column */
	struct pf_query query = object->query;

	query.lines = wants_lines(object);
	if (object->entry->profile->stem)
		shown.name = object->entry->profile->stem;
	if (bears_go_name(object->entry)) {
		shown.name = object->entry->profile->go_name;
		shown.types[0].type = shown.name;
		shown.period_type.type = shown.name;
	}
	shown.default_type = column_of(p, object->entry->profile->column);
	if (query.all_frames)
		shown.drop_frames = NULL;
	choose_render(object)(&text, &shown, &query);
	return finish_text(object, &text, out);
}

/* Formats for tools say what need not be seen, and have it; people do not see it. */
static bool is_for_tools(const struct pf_object *object)
{
	pf_render_fn *render = choose_render(object);

	return render == pf_render_pprof || render == pf_render_legacy;
}

static int draw_short(
    const struct pf_object *object, const struct pf_profile *p, struct pf_snapshot **out)
{
	struct pf_profile dropped;
	int rc;

	if (!p->drop_frames || object->query.all_frames || is_for_tools(object))
		return draw(object, p, out);
	*out = NULL;
	rc = pf_drop_take(p, &dropped);
	if (rc == 0)
		rc = draw(object, &dropped, out);
	pf_drop_finish(&dropped);
	return rc;
}

static int draw_focused(
    const struct pf_object *object, const struct pf_profile *p, struct pf_snapshot **out)
{
	struct pf_profile part;
	int rc;

	if (!pf_focus_wanted(&object->query))
		return draw_short(object, p, out);
	*out = NULL;
	rc = pf_focus_take(p, &object->query, shown_type(object, p), &part);
	if (rc == 0)
		rc = draw_short(object, &part, out);
	pf_focus_finish(&part);
	return rc;
}

int pf_make_drawing(struct pf_live *live, const struct pf_object *object,
    const struct pf_profile *p, struct pf_snapshot **out)
{
	struct pf_profile lined;
	int rc;

	if (!wants_lines(object))
		return draw_focused(object, p, out);
	*out = NULL;
	rc = pf_lookup_take(&live->lookup, p, &lined);
	if (rc == 0)
		rc = draw_focused(object, &lined, out);
	pf_lines_finish(&lined);
	return rc;
}

int pf_make_print(struct pf_live *live, const struct pf_object *object, struct pf_snapshot **out)
{
	struct pf_buf text = PF_BUF_INIT;

	if (object->member)
		object->member->show(&text, live, object->key);
	else if (object->entry->answer)
		object->entry->answer(&text, live, object->entry->arg, &object->query);
	else
		object->entry->show(&text, live, object->entry->arg);
	return finish_text(object, &text, out);
}
