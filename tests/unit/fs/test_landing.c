/* The landing page and the charts' data, from a tree whose answers are known. The fake renderer puts
 * text from outside into {}, and strings into "". */
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "fake_door.h"
#include "fs/capture.h"
#include "fs/chart.h"
#include "fs/history.h"
#include "fs/kept.h"
#include "fs/landing.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct pf_live live;

static int setup(void **state)
{
	int rc;

	fake_door_reset(true);
	rc = pf_live_init(&live, &fake.door);
	live.where = "/tmp/<tree>";
	live.served = true;
	return rc;
}

static int teardown(void **state)
{
	pf_live_finish(&live);
	return 0;
}

static void has(const char *text, const char *piece)
{
	if (!text || !strstr(text, piece))
		print_message("no %s\n", piece);
	assert_true(text && strstr(text, piece));
}

static void every_link_leads_somewhere(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;
	size_t links = 0;
	char path[256];

	pf_landing_show(&page, &live, 0);
	for (const char *at = pf_buf_text(&page); (at = strstr(at, "href=\"")); links++) {
		const char *end = strchr(at += 6, '"');

		snprintf(path, sizeof(path), "%.*s", (int)(end - at), at);
		if (path[0] != '#' && strncmp(path, "thread/", 7) != 0 &&
		    !pf_tree_path(live.tree, path))
			fail_msg("no %s", path);
	}
	assert_true(links > pf_table.profile_count * (pf_table.view_count - 1));
}

static void plain_files_are_linked_as_they_are(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;

	pf_landing_show(&page, &live, 0);
	has(pf_buf_text(&page), "<a href=\".page/heap.txt.html\">");
	pf_buf_clear(&page);
	live.served = false;
	pf_landing_show(&page, &live, 0);
	assert_null(strstr(pf_buf_text(&page), ".page/"));
	has(pf_buf_text(&page), "<a href=\"heap.txt\">");
}

static void every_listed_file_is_linked(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;
	char path[128], link[160];

	pf_landing_show(&page, &live, 0);
	for (size_t i = 0; i < live.tree->count; i++) {
		const struct pf_entry *e = &live.tree->entries[i];

		if (!e->listed || !e->help)
			continue;
		pf_tree_name(live.tree, e, path, sizeof(path));
		snprintf(link, sizeof(link), "<a href=\"%s\">", path);
		has(pf_buf_text(&page), link);
	}
}

static void names_of_captures_cannot_leave_their_link(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;
	PF_SCOPED(pf_buf) bytes = PF_BUF_INIT;
	struct pf_snapshot *snapshot;
	struct pf_kept *kept = pf_captures_kept(live.captures);

	pf_buf_str(&bytes, "12345");
	snapshot = pf_snapshot_create(&bytes);
	assert_int_equal(
	    pf_kept_add_directory(kept, "a<b\"c'd?e#f%g&h", 1, pf_kept_file_create("x", snapshot)),
	    0);
	assert_int_equal(pf_kept_add(kept, "cpu", 1795240800000000000, 0, snapshot), 0);
	pf_snapshot_drop(snapshot);
	pf_landing_show(&page, &live, 0);
	has(pf_buf_text(&page), "<a href=\"captures/a%3Cb%22c%27d%3Fe%23f%25g%26h/\">"
				"{a<b\"c'd?e#f%g&h/}</a>");
	has(pf_buf_text(&page), "<a href=\"captures/cpu-20261121T060000.pprof\">"
				"{cpu-20261121T060000.pprof}</a></td>"
				"<td class=\"number soft\">5 bytes</td>");
}

static void threads_have_their_names_and_nothing_else_of_them(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;
	char row[160];

	pf_landing_show(&page, &live, 0);
	snprintf(row, sizeof(row), "<a href=\"thread/%d/\">{%d/}</a></td><td>", getpid(), getpid());
	has(pf_buf_text(&page), row);
	has(strstr(pf_buf_text(&page), row), "{ma?in}</td>");
	assert_null(strchr(pf_buf_text(&page), '\x1b'));
}

static void what_is_wrong_is_said_on_top(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;
	char summary[96];
	size_t ill = 0;

	pf_feature_set(PF_FEATURE_WALL, PF_FEATURE_NONE, "because <of> it");
	pf_counter_set(PF_COUNTER_WALL_LOST, 77);
	for (int i = 0; i < PF_FEATURE_COUNT; i++)
		ill += pf_features[i].state > PF_FEATURE_OK;
	pf_landing_show(&page, &live, 0);
	snprintf(summary, sizeof(summary), "%zu not as it should be, ", ill);
	has(pf_buf_text(&page), summary);
	has(pf_buf_text(&page), "<span class=\"badge unavailable\">unavailable</span></td>"
				"<td>{because <of> it}</td>");
	has(pf_buf_text(&page), "wall_lost</th><td class=\"number\">77</td>");
	has(pf_buf_text(&page), "tree <b>{/tmp/<tree>}</b>");
	pf_feature_set(PF_FEATURE_WALL, PF_FEATURE_OFF, NULL);
	pf_counter_set(PF_COUNTER_WALL_LOST, 0);
}

static void go_sees_counts(void **state)
{
	PF_SCOPED(pf_buf) page = PF_BUF_INIT;

	pf_landing_go_show(&page, &live, 0);
	has(pf_buf_text(&page), "<td class=\"number\">1</td><td><a href=\"heap\">heap</a></td>"
				"<td><a href=\"heap%3Fdebug=1\">debug=1</a></td>"
				"<td><a href=\"../../heap.html\">flame graph</a></td>");
	/* What takes time is not taken to be counted. */
	has(pf_buf_text(&page),
	    "<td class=\"number\">0</td><td><a href=\"profile\">profile</a></td><td></td>");
	has(pf_buf_text(&page),
	    "<td class=\"number\">0</td><td><a href=\"cmdline\">cmdline</a></td>");
	assert_int_equal(fake.cpu_windows, 0);
}

static void charts_have_rates_of_counters_and_null_for_the_unknown(void **state)
{
	PF_SCOPED(pf_buf) data = PF_BUF_INIT;
	int64_t row[PF_HISTORY_COLUMN_COUNT];
	int64_t now = pf_clock_ns(CLOCK_BOOTTIME) / PF_NS_PER_SECOND * PF_NS_PER_SECOND;

	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++)
		row[i] = PF_HISTORY_UNKNOWN;
	row[PF_HISTORY_CPU_USER] = 1000;
	row[PF_HISTORY_THREADS] = 3;
	pf_history_add(live.history, now - PF_NS_PER_SECOND, row);
	row[PF_HISTORY_CPU_USER] = 1500; /* half a second of CPU time in one */
	row[PF_HISTORY_THREADS] = 4;
	pf_history_add(live.history, now, row);
	pf_chart_data(&data, &live, false);
	has(pf_buf_text(&data), "{\"name\":\"user\",\"values\":[null,50]}");
	has(pf_buf_text(&data), "{\"name\":\"system\",\"values\":[null,null]}");
	has(pf_buf_text(&data), "{\"name\":\"threads\",\"values\":[3,4]}");
	has(pf_buf_text(&data), "\"title\":\"Records in profiles\"");
	pf_buf_clear(&data);
	pf_chart_data(&data, &live, true);
	assert_null(strstr(pf_buf_text(&data), "\"title\":\"Records in profiles\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_link_leads_somewhere, setup, teardown),
	    cmocka_unit_test_setup_teardown(plain_files_are_linked_as_they_are, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_listed_file_is_linked, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		names_of_captures_cannot_leave_their_link, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		threads_have_their_names_and_nothing_else_of_them, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_wrong_is_said_on_top, setup, teardown),
	    cmocka_unit_test_setup_teardown(go_sees_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		charts_have_rates_of_counters_and_null_for_the_unknown, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
