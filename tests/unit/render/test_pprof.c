#include "base/buf.h"
#include "profiles.h"
#include "render/gzip.h"
#include "render/profile.pb-c.h"
#include "render/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef Perftools__Profiles__Profile message;

/* The profile written and decoded again by protobuf-c. */
static message *written(const char *name)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	PF_SCOPED(pf_buf) raw = PF_BUF_INIT;
	message *m;

	assert_true(make_profile(&p, name));
	pf_render_pprof(&out, &p, &(struct pf_query){0});
	assert_int_equal(out.error, 0);
	assert_int_equal(pf_gzip_unpack(&raw, out.at, out.length, SIZE_MAX), 0);
	m = perftools__profiles__profile__unpack(NULL, raw.length, (const uint8_t *)raw.at);
	assert_non_null(m);
	return m;
}

static void release(message *m)
{
	perftools__profiles__profile__free_unpacked(m, NULL);
}

static const char *string(const message *m, int64_t number)
{
	assert_in_range(number, 0, m->n_string_table - 1);
	return m->string_table[number];
}

static void every_id_is_its_place_and_every_reference_exists(void **state)
{
	static const char *const names[] = {"empty", "one", "cpu", "heap", "nasty", "threads"};

	for (size_t n = 0; n < PF_COUNT(names); n++) {
		message *m = written(names[n]);

		assert_string_equal(m->string_table[0], "");
		for (size_t i = 0; i < m->n_mapping; i++)
			assert_int_equal(m->mapping[i]->id, i + 1);
		for (size_t i = 0; i < m->n_function; i++) {
			assert_int_equal(m->function[i]->id, i + 1);
			string(m, m->function[i]->name);
			string(m, m->function[i]->system_name);
		}
		for (size_t i = 0; i < m->n_location; i++) {
			assert_int_equal(m->location[i]->id, i + 1);
			assert_true(m->location[i]->mapping_id <= m->n_mapping);
			for (size_t k = 0; k < m->location[i]->n_line; k++)
				assert_in_range(
				    m->location[i]->line[k]->function_id, 1, m->n_function);
		}
		for (size_t i = 0; i < m->n_sample; i++) {
			assert_int_equal(m->sample[i]->n_value, m->n_sample_type);
			assert_true(m->sample[i]->n_location_id > 0);
			for (size_t k = 0; k < m->sample[i]->n_location_id; k++)
				assert_in_range(m->sample[i]->location_id[k], 1, m->n_location);
		}
		release(m);
	}
}

static void strings_appear_once(void **state)
{
	message *m = written("heap");

	for (size_t i = 0; i < m->n_string_table; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(m->string_table[i], m->string_table[k]);
	release(m);
}

static void the_head_says_what_the_profile_says(void **state)
{
	message *m = written("heap");

	assert_int_equal(m->n_sample_type, 4);
	assert_string_equal(string(m, m->sample_type[3]->type), "inuse_space");
	assert_string_equal(string(m, m->sample_type[3]->unit), "bytes");
	assert_string_equal(string(m, m->period_type->type), "space");
	assert_int_equal(m->period, 524288);
	assert_int_equal(m->time_nanos, 1795240800000000000);
	assert_int_equal(m->duration_nanos, 0);
	assert_int_equal(m->default_sample_type, 0);
	assert_int_equal(m->n_comment, 2);
	assert_string_equal(string(m, m->comment[1]), "7 samples lost");
	release(m);
}

static void a_default_column_is_named(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	PF_SCOPED(pf_buf) raw = PF_BUF_INIT;
	message *m;

	assert_true(make_profile(&p, "heap"));
	p.default_type = 1;
	pf_render_pprof(&out, &p, &(struct pf_query){0});
	assert_int_equal(pf_gzip_unpack(&raw, out.at, out.length, SIZE_MAX), 0);
	m = perftools__profiles__profile__unpack(NULL, raw.length, (const uint8_t *)raw.at);
	assert_string_equal(string(m, m->default_sample_type), "alloc_space");
	release(m);
}

static void a_stack_keeps_its_order_values_and_labels(void **state)
{
	message *m = written("cpu");
	const Perftools__Profiles__Sample *s = m->sample[0];
	const Perftools__Profiles__Location *leaf = m->location[s->location_id[0] - 1];

	assert_int_equal(s->n_location_id, 3);
	assert_int_equal(leaf->address, AT_ADD);
	assert_string_equal(
	    string(m, m->mapping[leaf->mapping_id - 1]->filename), "/opt/shop/libcart.so");
	assert_int_equal(m->location[s->location_id[2] - 1]->address, AT_MAIN);
	assert_int_equal(s->value[0], 70);
	assert_int_equal(s->value[1], 70ll * 10309278);
	assert_int_equal(s->n_label, 2);
	assert_string_equal(string(m, s->label[0]->key), "thread");
	assert_string_equal(string(m, s->label[0]->str), "worker");
	assert_int_equal(s->label[1]->num, 1234);
	assert_int_equal(s->label[1]->str, 0);
	release(m);
}

static void a_function_has_the_name_for_people_and_the_linkers(void **state)
{
	message *m = written("cpu");
	bool seen = false;

	for (size_t i = 0; i < m->n_function; i++)
		if (strcmp(string(m, m->function[i]->name), "cart::Cart::add") == 0) {
			seen = true;
			assert_string_equal(
			    string(m, m->function[i]->system_name), "_ZN4cart4Cart3addEv");
		}
	assert_true(seen);
	release(m);
}

static void a_mapping_keeps_bounds_build_id_and_flags(void **state)
{
	message *m = written("heap");

	assert_int_equal(m->n_mapping, 2);
	assert_string_equal(string(m, m->mapping[0]->filename), "/opt/shop/server");
	assert_string_equal(
	    string(m, m->mapping[0]->build_id), "00112233445566778899aabbccddeeff00112233");
	assert_int_equal(m->mapping[1]->memory_start, 0x7f0000000000);
	assert_int_equal(m->mapping[1]->memory_limit, 0x7f0000100000);
	assert_int_equal(m->mapping[1]->file_offset, 0x1000);
	assert_true(m->mapping[0]->has_functions);
	assert_false(m->mapping[0]->has_filenames);
	release(m);
}

static void markers_are_functions_outside_every_mapping(void **state)
{
	message *m = written("nasty");
	int seen = 0;

	for (size_t i = 0; i < m->n_location; i++) {
		const Perftools__Profiles__Location *l = m->location[i];

		if (l->address != PF_PC_TRUNCATED && l->address != PF_PC_UNKNOWN)
			continue;
		seen++;
		assert_int_equal(l->mapping_id, 0);
		assert_int_equal(l->n_line, 1);
		assert_string_equal(string(m, m->function[l->line[0]->function_id - 1]->name),
		    pf_pc_marker_name(l->address));
	}
	assert_int_equal(seen, 2);
	release(m);
}

static void bytes_that_are_not_utf8_and_controls_are_replaced(void **state)
{
	message *m = written("nasty");
	int seen = 0;

	for (size_t i = 0; i < m->n_string_table; i++) {
		seen +=
		    strcmp(m->string_table[i], "bad\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdutf8") == 0;
		seen += strcmp(m->string_table[i], "thr\xef\xbf\xbd?\"ead") == 0;
	}
	assert_int_equal(seen, 2);
	release(m);
}

static void the_same_profile_has_the_same_bytes(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_profile) q = {0};
	PF_SCOPED(pf_buf) one = PF_BUF_INIT;
	PF_SCOPED(pf_buf) two = PF_BUF_INIT;

	assert_true(make_profile(&p, "heap"));
	assert_true(make_profile(&q, "heap"));
	pf_render_pprof(&one, &p, &(struct pf_query){0});
	pf_render_pprof(&two, &q, &(struct pf_query){0});
	assert_int_equal(one.length, two.length);
	assert_memory_equal(one.at, two.at, one.length);
}

static void a_profile_without_looked_up_names_has_bare_addresses(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	PF_SCOPED(pf_buf) raw = PF_BUF_INIT;
	message *m;

	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_mapping(&p, 0x1000, 0x3000, 0, "/bin/x", "");
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000, 0x1500}, 2, (const int64_t[]){1});
	pf_render_pprof(&out, &p, &(struct pf_query){0});
	assert_int_equal(pf_gzip_unpack(&raw, out.at, out.length, SIZE_MAX), 0);
	m = perftools__profiles__profile__unpack(NULL, raw.length, (const uint8_t *)raw.at);
	assert_int_equal(m->n_location, 2);
	assert_int_equal(m->location[0]->address, 0x2000);
	assert_int_equal(m->location[0]->mapping_id, 1);
	assert_int_equal(m->location[0]->n_line, 0);
	assert_int_equal(m->n_function, 0);
	release(m);
}

static void a_hundred_thousand_deep_stacks_fit(void **state)
{
	message *m = written("deep");

	assert_int_equal(m->n_sample, 100000);
	assert_int_equal(m->sample[99999]->n_location_id, 100);
	release(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_id_is_its_place_and_every_reference_exists),
	    cmocka_unit_test(strings_appear_once),
	    cmocka_unit_test(the_head_says_what_the_profile_says),
	    cmocka_unit_test(a_default_column_is_named),
	    cmocka_unit_test(a_stack_keeps_its_order_values_and_labels),
	    cmocka_unit_test(a_function_has_the_name_for_people_and_the_linkers),
	    cmocka_unit_test(a_mapping_keeps_bounds_build_id_and_flags),
	    cmocka_unit_test(markers_are_functions_outside_every_mapping),
	    cmocka_unit_test(bytes_that_are_not_utf8_and_controls_are_replaced),
	    cmocka_unit_test(the_same_profile_has_the_same_bytes),
	    cmocka_unit_test(a_profile_without_looked_up_names_has_bare_addresses),
	    cmocka_unit_test(a_hundred_thousand_deep_stacks_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
