#include "base/buf.h"
#include "base/clock.h"
#include "render/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ADD(...) pf_numbers_add(&numbers, &(struct pf_number){__VA_ARGS__})

static struct pf_numbers numbers;
static struct pf_buf out;

static int fill(void **state)
{
	ADD(.key = "pid", .value = 7);
	ADD(.key = "user", .metric = "cpu_seconds_total", .label = "mode", .label_value = "user",
	    .unit = "seconds", .help = "CPU time.", .counter = true, .value = 1500001,
	    .per = 1000000);
	ADD(.key = "rss", .metric = "rss_bytes", .unit = "bytes", .help = "Resident.",
	    .value = 4096);
	ADD(.key = "system", .metric = "cpu_seconds_total", .label = "mode",
	    .label_value = "sys\"tem", .unit = "seconds", .help = "CPU time.", .counter = true,
	    .value = -2500000, .per = 1000000);
	ADD(.key = "allocator", .text = "gl\"ibc");
	ADD(.metric = "on", .help = "Only a metric.", .value = 1);
	return 0;
}

static int empty(void **state)
{
	pf_numbers_finish(&numbers);
	pf_buf_finish(&out);
	return 0;
}

static void text_is_a_line_for_each_key(void **state)
{
	pf_render_numbers_text(&out, &numbers);
	assert_string_equal(pf_buf_text(&out), "pid 7\n"
					       "user 1.500001\n"
					       "rss 4096\n"
					       "system -2.5\n"
					       "allocator gl\"ibc\n");
}

static void json_has_the_same_keys(void **state)
{
	pf_render_numbers_json(&out, &numbers);
	assert_string_equal(pf_buf_text(&out), "{\n"
					       "\"pid\": 7,\n"
					       "\"user\": 1.500001,\n"
					       "\"rss\": 4096,\n"
					       "\"system\": -2.5,\n"
					       "\"allocator\": \"gl\\\"ibc\"\n"
					       "}\n");
}

static void a_family_stands_together_under_one_help_and_type(void **state)
{
	pf_render_numbers_prometheus(&out, &numbers);
	assert_string_equal(pf_buf_text(&out), "# HELP cpu_seconds_total CPU time.\n"
					       "# TYPE cpu_seconds_total counter\n"
					       "cpu_seconds_total{mode=\"user\"} 1.500001\n"
					       "cpu_seconds_total{mode=\"sys\\\"tem\"} -2.5\n"
					       "# HELP rss_bytes Resident.\n"
					       "# TYPE rss_bytes gauge\n"
					       "rss_bytes 4096\n"
					       "# HELP on Only a metric.\n"
					       "# TYPE on gauge\n"
					       "on 1\n");
}

static void openmetrics_names_counters_without_total_knows_units_and_its_end(void **state)
{
	pf_render_numbers_openmetrics(&out, &numbers);
	assert_string_equal(pf_buf_text(&out), "# HELP cpu_seconds CPU time.\n"
					       "# TYPE cpu_seconds counter\n"
					       "# UNIT cpu_seconds seconds\n"
					       "cpu_seconds_total{mode=\"user\"} 1.500001\n"
					       "cpu_seconds_total{mode=\"sys\\\"tem\"} -2.5\n"
					       "# HELP rss_bytes Resident.\n"
					       "# TYPE rss_bytes gauge\n"
					       "# UNIT rss_bytes bytes\n"
					       "rss_bytes 4096\n"
					       "# HELP on Only a metric.\n"
					       "# TYPE on gauge\n"
					       "on 1\n"
					       "# EOF\n");
}

static void no_memory_is_no_half_list(void **state)
{
	numbers.error = -12;
	pf_render_numbers_text(&out, &numbers);
	assert_int_equal(out.error, -12);
}

/* ---- history ---- */

static struct pf_history_rows two_rows(struct pf_history_row row[2])
{
	memset(row, 0, 2 * sizeof(*row));
	for (int i = 0; i < 2; i++) {
		row[i].time_ns = (1795244340ll + i) * PF_NS_PER_SECOND;
		row[i].value[PF_HISTORY_CPU_USER] = 100 + i;
		row[i].value[PF_HISTORY_BLOCK_RECORDS] = i ? 3 : PF_HISTORY_UNKNOWN;
	}
	return (struct pf_history_rows){.row = row, .count = 2, .step_seconds = 1};
}

static void history_is_a_row_a_moment_with_a_dash_for_what_is_not_known(void **state)
{
	struct pf_history_row row[2];
	struct pf_history_rows rows = two_rows(row);
	const char *text;

	pf_render_history_text(&out, &rows);
	text = strstr(pf_buf_text(&out), "\n#time ");
	assert_non_null(text);
	assert_non_null(strstr(text, "#time cpu_user cpu_system context_switches"));
	assert_non_null(strstr(text, "\n2026-11-21T06:59:00Z 100 0 0 0 0 0 0 0 0 0 0 - 0\n"
				     "2026-11-21T06:59:01Z 101 0 0 0 0 0 0 0 0 0 0 3 0\n"));
}

static void history_as_json_has_an_array_for_each_column(void **state)
{
	struct pf_history_row row[2];
	struct pf_history_rows rows = two_rows(row);
	const char *text;

	pf_render_history_json(&out, &rows);
	text = pf_buf_text(&out);
	assert_non_null(
	    strstr(text, "{\"step_seconds\": 1,\n\"time\": [1795244340,1795244341],\n"));
	assert_non_null(strstr(text, "{\"name\": \"cpu_user\", \"unit\": \"milliseconds\","
				     " \"counter\": true, \"what\": "));
	assert_non_null(strstr(text, "\"value\": [100,101]}"));
	assert_non_null(strstr(text, "\"value\": [null,3]}"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fill, empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(text_is_a_line_for_each_key),
	    TEST(json_has_the_same_keys),
	    TEST(a_family_stands_together_under_one_help_and_type),
	    TEST(openmetrics_names_counters_without_total_knows_units_and_its_end),
	    TEST(no_memory_is_no_half_list),
	    TEST(history_is_a_row_a_moment_with_a_dash_for_what_is_not_known),
	    TEST(history_as_json_has_an_array_for_each_column),
	};

	return cmocka_run_group_tests_name("render/number", tests, NULL, NULL);
}
