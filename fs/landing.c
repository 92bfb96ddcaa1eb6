#include "fs/landing.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/utc.h"
#include "fs/capture.h"
#include "fs/chart.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/make.h"
#include "fs/proc.h"
#include "fs/snapshot.h"
#include "render/render.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LISTED_OPEN = 20 }; /* longer lists are folded */

/* ---- words ---- */

static void text(struct pf_buf *out, const char *what)
{
	pf_page_text(out, what);
}

/* A path as a link's target: what a URL would take for something else is escaped. */
static void add_target(struct pf_buf *out, const char *path)
{
	for (; *path; path++)
		if (strchr("%?#&\"'<> \\", *path) || (signed char)*path < 0x20)
			pf_buf_printf(out, "%%%02X", (unsigned char)*path);
		else
			pf_buf_char(out, *path);
}

static void add_link(struct pf_buf *out, const char *path, const char *shown)
{
	pf_buf_str(out, "<a href=\"");
	add_target(out, path);
	pf_buf_str(out, "\">");
	text(out, shown);
	pf_buf_str(out, "</a>");
}

/* A text: as a page, where it has one, and as it is. */
static void add_text_links(
    struct pf_buf *out, const struct pf_live *live, const char *path, const char *shown)
{
	char page[PF_TREE_PAGE_PATH];

	pf_tree_page_path(path, page);
	if (!live->served || !pf_tree_path(live->tree, page)) {
		add_link(out, path, shown);
		return;
	}
	add_link(out, page, shown);
	pf_buf_str(out, " <span class=\"soft\">");
	add_link(out, path, "file");
	pf_buf_str(out, "</span>");
}

static void add_badge(struct pf_buf *out, const char *state)
{
	pf_buf_printf(out, "<span class=\"badge %s\">%s</span>", state, state);
}

/* ---- who it is, and how it is ---- */

static void add_fact(struct pf_buf *out, const char *name, const char *value)
{
	pf_buf_printf(out, "<span>%s <b>", name);
	text(out, value);
	pf_buf_str(out, "</b></span>\n");
}

static void add_feature(struct pf_buf *out, enum pf_feature id)
{
	uint32_t state = __atomic_load_n(&pf_features[id].state, __ATOMIC_ACQUIRE);
	const char *why = __atomic_load_n(&pf_features[id].reason, __ATOMIC_ACQUIRE);

	pf_buf_str(out, "<tr><th scope=\"row\">");
	text(out, pf_feature_name(id));
	pf_buf_str(out, "</th><td>");
	add_badge(out, pf_feature_state_name(state));
	pf_buf_str(out, "</td><td>");
	text(out, why ? why : "");
	pf_buf_str(out, "</td></tr>\n");
}

static bool is_loss(const char *counter)
{
	static const char *const words[] = {
	    "lost", "full", "missed", "dropped", "failed", "refused"};

	for (size_t i = 0; i < PF_COUNT(words); i++)
		if (strstr(counter, words[i]))
			return true;
	return false;
}

static size_t add_losses(struct pf_buf *out)
{
	size_t count = 0;

	for (int i = 0; i < PF_COUNTER_COUNT; i++) {
		enum pf_counter counter = (enum pf_counter)i;
		uint64_t value = pf_counter_get(counter);

		if (!value || !is_loss(pf_counter_name(counter)))
			continue;
		pf_buf_printf(out,
		    "<tr><th scope=\"row\">%s</th><td class=\"number\">%" PRIu64 "</td><td>",
		    pf_counter_name(counter), value);
		text(out, pf_counter_what(counter));
		pf_buf_str(out, "</td></tr>\n");
		count++;
	}
	return count;
}

static void add_health(struct pf_buf *out)
{
	pf_buf_str(out, "<h2 id=\"health\">Health</h2>\n<table>\n");
	for (int i = 0; i < PF_FEATURE_COUNT; i++)
		add_feature(out, (enum pf_feature)i);
	pf_buf_str(out, "</table>\n<h2 id=\"lost\">Lost</h2>\n<table>\n");
	if (add_losses(out) == 0)
		pf_buf_str(out, "<tr><td class=\"soft\">nothing</td></tr>\n");
	pf_buf_str(out, "</table>\n");
}

/* How it is, in a word, and where to read more. */
static void add_summary(struct pf_buf *out)
{
	PF_SCOPED(pf_buf) losses = PF_BUF_INIT;
	size_t lost = add_losses(&losses), ill = 0;

	pf_buf_fail(out, losses.error);
	for (int i = 0; i < PF_FEATURE_COUNT; i++)
		ill += __atomic_load_n(&pf_features[i].state, __ATOMIC_ACQUIRE) > PF_FEATURE_OK;
	if (ill + lost == 0) {
		add_fact(out, "health", "all well");
		return;
	}
	pf_buf_printf(out, "<span>health <b><a href=\"#%s\">", ill ? "health" : "lost");
	if (ill)
		pf_buf_printf(out, "%zu not as it should be", ill);
	else
		pf_buf_str(out, "nothing missing");
	if (lost)
		pf_buf_printf(out, ", %zu kind%s of loss", lost, lost == 1 ? "" : "s");
	pf_buf_str(out, "</a></b></span>\n");
}

static void add_head(struct pf_buf *out, struct pf_live *live, const char *program)
{
	char value[64], time[PF_UTC_TEXT];
	int64_t now = pf_clock_real_ns();

	pf_buf_str(out, "<header><h1>");
	text(out, program);
	pf_buf_printf(out, " <span>%d</span></h1>\n<span class=\"space\"></span>", (int)getpid());
	pf_buf_str(out,
	    "<button type=\"button\" id=\"theme\" aria-label=\"Dark mode\" "
	    "aria-pressed=\"false\" title=\"Dark mode\">\xe2\x97\x90</button></header>\n"
	    "<main>\n<p class=\"facts\">");
	pf_utc_text(live->door->started_ns, time);
	add_fact(out, "watched since", time);
	snprintf(value, sizeof(value), "%" PRId64 " s",
	    (now - live->door->started_ns) / PF_NS_PER_SECOND);
	add_fact(out, "for", value);
	add_fact(out, "tree", live->where);
	add_fact(out, "proffs", PF_VERSION);
	pf_utc_text(now, time);
	add_fact(out, "this page", time);
	add_summary(out);
	pf_buf_str(out, "</p>\n<div id=\"charts\"></div>\n<p class=\"more\">");
	add_link(out, "debug/charts.html", "All charts, live");
	pf_buf_str(out, "</p>\n");
}

/* ---- profiles ---- */

static const char *collector_state(const struct pf_live *live, enum pf_collector id)
{
	const struct pf_collector_ops *ops;

	if (id >= PF_COLLECTOR_COUNT)
		return "on";
	ops = &live->door->collectors[id];
	return ops->enabled && ops->enabled() ? "on" : "off";
}

static void add_profile(
    struct pf_buf *out, const struct pf_live *live, const struct pf_profile_row *row)
{
	char path[80];

	snprintf(path, sizeof(path), "%s.html", row->stem);
	pf_buf_str(out, "<tr><th scope=\"row\">");
	add_link(out, path, row->stem);
	pf_buf_str(out, "</th><td>");
	add_badge(out, collector_state(live, row->collector));
	pf_buf_str(out, "</td><td>");
	text(out, row->help);
	pf_buf_str(out, "</td><td class=\"links\">");
	for (size_t i = 0; i < pf_table.view_count; i++) {
		const char *suffix = pf_table.views[i].suffix;

		if (!*suffix)
			continue;
		snprintf(path, sizeof(path), "%s%s", row->stem, suffix);
		add_text_links(out, live, path, suffix + 1);
	}
	pf_buf_str(out, "</td></tr>\n");
}

static void add_profiles(struct pf_buf *out, struct pf_live *live)
{
	pf_buf_str(out, "<h2 id=\"profiles\">Profiles</h2>\n<table>\n");
	for (size_t i = 0; i < pf_table.profile_count; i++)
		if (live->door->collect[pf_table.profiles[i].source])
			add_profile(out, live, &pf_table.profiles[i]);
	pf_buf_str(out, "</table>\n");
}

/* ---- names that come and go ---- */

struct names {
	struct pf_buf text; /* each ended by NUL, a directory's with a slash */
	size_t count;
};

/* A lock of the list may be held. */
static void add_name(void *to, const char *name, bool directory)
{
	struct names *names = to;

	pf_buf_str(&names->text, name);
	pf_buf_add(&names->text, directory ? "/" : "", directory ? 2 : 1);
	names->count++;
}

/* What a directory is about: its first member says it, as the name of a thread. */
static void add_about(
    struct pf_buf *out, struct pf_live *live, const struct pf_list_row *row, int key)
{
	PF_SCOPED(pf_buf) said = PF_BUF_INIT;

	if (!row->member_count || !row->members[0].show)
		return;
	row->members[0].show(&said, live, key);
	if (said.error || said.length == 0) /* it may have ended meanwhile */
		return;
	said.length--; /* the line's end, which would be shown as one that cannot be */
	text(out, pf_buf_text(&said));
}

static void add_listed(
    struct pf_buf *out, struct pf_live *live, const struct pf_list_row *row, const char *name)
{
	struct pf_found found = {.key = 0};
	char path[NAME_MAX + 32], bare[NAME_MAX + 1];

	snprintf(path, sizeof(path), "%s/%s", row->path, name);
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(name, "/"), name);
	pf_buf_str(out, "<tr><td>");
	add_link(out, path, name);
	if (row->find(live, 0, bare, &found) == 0 && found.snapshot) {
		pf_buf_printf(
		    out, "</td><td class=\"number soft\">%zu bytes", found.snapshot->text.length);
		pf_snapshot_drop(found.snapshot);
	} else {
		pf_buf_str(out, "</td><td>");
		add_about(out, live, row, found.key);
	}
	pf_buf_str(out, "</td></tr>\n");
}

static void add_list(struct pf_buf *out, struct pf_live *live, const struct pf_list_row *row)
{
	struct names names = {.count = 0};
	const char *name, *end;

	pf_buf_fail(out, row->list(live, 0, add_name, &names));
	pf_buf_printf(out, "<h2 id=\"%s\">", row->path);
	add_link(out, row->path, row->path);
	pf_buf_printf(
	    out, " <span class=\"soft\">%zu</span></h2>\n<p class=\"soft\">", names.count);
	text(out, row->help);
	pf_buf_str(out, "</p>\n");
	if (names.count && !names.text.error) {
		pf_buf_printf(out, "<details%s><summary>names</summary><table>\n",
		    names.count <= LISTED_OPEN ? " open" : "");
		name = names.text.at;
		end = name + names.text.length;
		for (; name < end; name += strlen(name) + 1)
			add_listed(out, live, row, name);
		pf_buf_str(out, "</table></details>\n");
	}
	pf_buf_fail(out, names.text.error);
	pf_buf_finish(&names.text);
}

static void add_running(struct pf_buf *out, struct pf_live *live)
{
	PF_SCOPED(pf_buf) running = PF_BUF_INIT;

	pf_captures_describe(live->captures, &running, -1);
	pf_buf_fail(out, running.error);
	if (!running.length)
		return;
	pf_buf_str(out, "<pre>");
	pf_page_lines(out, running.at, running.length);
	pf_buf_str(out, "</pre>\n");
}

/* ---- files ---- */

/* What a file says now. Only what is printed at once, and is text. */
static void add_content(struct pf_buf *out, struct pf_live *live, const struct pf_entry *e)
{
	struct pf_object object = pf_tree_object(e);
	struct pf_snapshot *snapshot = NULL;

	int rc = pf_make_print(live, &object, &snapshot);

	pf_buf_str(out, "<pre>");
	if (rc < 0)
		pf_buf_str(out, strerrordesc_np(-rc));
	else
		pf_page_lines(out, snapshot->text.at, snapshot->text.length);
	pf_buf_str(out, "</pre>");
	pf_snapshot_drop(snapshot);
}

static void add_file(struct pf_buf *out, struct pf_live *live, const struct pf_entry *e)
{
	bool told = e->kind == PF_KIND_CONTROL ||
		    (e->kind == PF_KIND_PRINT && e->plain && e->plain->frozen);
	char path[128];

	pf_tree_name(live->tree, e, path, sizeof(path));
	pf_buf_str(out, "<tr><th scope=\"row\">");
	add_text_links(out, live, path, path);
	pf_buf_str(out, "</th><td>");
	text(out, e->help);
	if (told) {
		pf_buf_str(out, "<details><summary>now</summary>");
		add_content(out, live, e);
		pf_buf_str(out, "</details>");
	}
	pf_buf_str(out, "</td></tr>\n");
}

static void add_files(struct pf_buf *out, struct pf_live *live)
{
	pf_buf_str(out, "<h2 id=\"files\">Files</h2>\n<table>\n");
	for (size_t i = 0; i < live->tree->count; i++) {
		const struct pf_entry *e = &live->tree->entries[i];

		if (e->listed && e->help && e->kind != PF_KIND_LIST)
			add_file(out, live, e);
	}
	pf_buf_str(out, "</table>\n");
	if (live->served)
		pf_buf_str(out,
		    "<p class=\"soft\">Browsers ask for a file's size before they open it, and "
		    "files of a live tree have none until then: Chromium shows what is linked as "
		    "<i>file</i> as empty. Names lead to pages with the same text.</p>\n");
}

void pf_landing_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	PF_SCOPED(pf_buf) program = PF_BUF_INIT;

	pf_proc_name(&program);
	pf_page_open(out, PF_PAGE_LANDING, pf_buf_text(&program));
	add_head(out, live, pf_buf_text(&program));
	add_profiles(out, live);
	for (size_t i = 0; i < pf_table.list_count; i++) {
		add_list(out, live, &pf_table.lists[i]);
		if (strcmp(pf_table.lists[i].path, "captures") == 0)
			add_running(out, live);
	}
	add_health(out);
	add_files(out, live);
	pf_buf_str(out, "</main>\n<script type=\"application/json\" id=\"data\">");
	pf_chart_data(out, live, true);
	pf_buf_str(out, "</script>\n");
	pf_page_close(out, PF_PAGE_LANDING);
	pf_buf_fail(out, program.error);
}
