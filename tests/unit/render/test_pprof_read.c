#include "base/buf.h"
#include "profiles.h"
#include "render/gzip.h"
#include "render/profile.pb-c.h"
#include "render/render.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef Perftools__Profiles__Profile message;

static void write_known(struct pf_buf *out, const char *name)
{
	PF_SCOPED(pf_profile) p = {0};

	assert_true(make_profile(&p, name));
	pf_render_pprof(out, &p, &(struct pf_query){0});
	assert_int_equal(out->error, 0);
}

static void written_read_and_written_again_is_the_same_bytes(void **state)
{
	static const char *const names[] = {
	    "empty", "one", "cpu", "heap", "mutex", "threads", "many", "nasty"};

	for (size_t i = 0; i < PF_COUNT(names); i++) {
		PF_SCOPED(pf_profile) p = {0};
		PF_SCOPED(pf_buf) first = PF_BUF_INIT;
		PF_SCOPED(pf_buf) second = PF_BUF_INIT;

		write_known(&first, names[i]);
		pf_profile_init(&p);
		assert_int_equal(pf_pprof_read(&p, first.at, first.length), 0);
		pf_render_pprof(&second, &p, &(struct pf_query){0});
		assert_int_equal(first.length, second.length);
		assert_memory_equal(first.at, second.at, first.length);
	}
}

static void every_view_is_the_same_as_of_the_original(void **state)
{
	static pf_render_fn *const views[] = {
	    pf_render_text, pf_render_folded, pf_render_legacy, pf_render_stacks};
	static const char *const names[] = {"cpu", "heap", "mutex", "threads"};

	for (size_t n = 0; n < PF_COUNT(names); n++) {
		PF_SCOPED(pf_profile) original = {0};
		PF_SCOPED(pf_profile) p = {0};
		PF_SCOPED(pf_buf) file = PF_BUF_INIT;

		write_known(&file, names[n]);
		assert_true(make_profile(&original, names[n]));
		pf_profile_init(&p);
		assert_int_equal(pf_pprof_read(&p, file.at, file.length), 0);
		p.name = names[n];
		assert_int_equal(p.leaf_is_return, strcmp(names[n], "cpu") != 0);
		for (size_t v = 0; v < PF_COUNT(views); v++) {
			PF_SCOPED(pf_buf) one = PF_BUF_INIT;
			PF_SCOPED(pf_buf) two = PF_BUF_INIT;

			views[v](&one, &original, &(struct pf_query){0});
			views[v](&two, &p, &(struct pf_query){0});
			assert_string_equal(pf_buf_text(&one), pf_buf_text(&two));
		}
	}
}

static void plain_protobuf_is_read_too(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) file = PF_BUF_INIT;
	PF_SCOPED(pf_buf) plain = PF_BUF_INIT;

	write_known(&file, "heap");
	assert_int_equal(pf_gzip_unpack(&plain, file.at, file.length, SIZE_MAX), 0);
	pf_profile_init(&p);
	assert_int_equal(pf_pprof_read(&p, plain.at, plain.length), 0);
	assert_int_equal(p.sample_count, 3);
	assert_string_equal(p.types[3].type, "inuse_space");
	assert_int_equal(p.samples[0].value[1], 3000);
}

static void the_default_column_comes_back(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_profile) q = {0};
	PF_SCOPED(pf_buf) file = PF_BUF_INIT;

	assert_true(make_profile(&p, "heap"));
	p.default_type = 1;
	pf_render_pprof(&file, &p, &(struct pf_query){0});
	pf_profile_init(&q);
	assert_int_equal(pf_pprof_read(&q, file.at, file.length), 0);
	assert_int_equal(q.default_type, 1);
}

/* ---- what others write ---- */

/* Reads `m`, after a change to it, as a plain file. */
static int read_again(struct pf_profile *p, const message *m)
{
	size_t size = protobuf_c_message_get_packed_size(&m->base);
	uint8_t *bytes = malloc(size + 1);
	int rc;

	assert_non_null(bytes);
	protobuf_c_message_pack(&m->base, bytes);
	pf_profile_finish(p);
	pf_profile_init(p);
	rc = pf_pprof_read(p, bytes, size);
	free(bytes);
	return rc;
}

static message *known_message(const char *name)
{
	PF_SCOPED(pf_buf) file = PF_BUF_INIT;
	PF_SCOPED(pf_buf) plain = PF_BUF_INIT;
	message *m;

	write_known(&file, name);
	assert_int_equal(pf_gzip_unpack(&plain, file.at, file.length, SIZE_MAX), 0);
	m = perftools__profiles__profile__unpack(NULL, plain.length, (const uint8_t *)plain.at);
	assert_non_null(m);
	return m;
}

static void broken_references_are_refused(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	message *m = known_message("heap");

#define REFUSED_WITH(field, value)                                                                 \
	do {                                                                                       \
		__typeof__(field) was = field;                                                     \
		field = (value);                                                                   \
		assert_int_equal(read_again(&p, m), -EINVAL);                                      \
		field = was;                                                                       \
	} while (0)

	assert_int_equal(read_again(&p, m), 0);
	REFUSED_WITH(m->sample_type[0]->type, 1000);
	REFUSED_WITH(m->sample_type[0]->unit, -1);
	REFUSED_WITH(m->comment[0], INT64_MAX);
	REFUSED_WITH(m->sample[0]->location_id[1], 77);
	REFUSED_WITH(m->sample[0]->location_id[1], 0);
	REFUSED_WITH(m->sample[0]->n_value, 3);
	REFUSED_WITH(m->sample[0]->label[0]->key, 1000);
	REFUSED_WITH(m->location[0]->mapping_id, 9);
	REFUSED_WITH(m->location[0]->line[0]->function_id, 9);
	REFUSED_WITH(m->location[1]->id, 1);
	REFUSED_WITH(m->location[1]->id, 0);
	REFUSED_WITH(m->mapping[1]->id, 1);
	REFUSED_WITH(m->mapping[1]->filename, 1000);
	REFUSED_WITH(m->function[1]->id, 1);
	REFUSED_WITH(m->function[1]->name, -7);
	REFUSED_WITH(m->sample[0]->value[0], INT64_MIN);
	REFUSED_WITH(m->sample[0]->value[0], INT64_MAX); /* and the others are more than 0 */
	REFUSED_WITH(m->n_sample_type, 0);
	REFUSED_WITH(m->n_string_table, 0);
	assert_int_equal(read_again(&p, m), 0);
	perftools__profiles__profile__free_unpacked(m, NULL);
}

static void locations_without_an_address_of_their_own_stay_apart(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;
	message *m = known_message("heap");

	for (size_t i = 0; i < m->n_location; i++)
		m->location[i]->address = i < 2 ? 0 : 0x401010;
	assert_int_equal(read_again(&p, m), 0);
	assert_int_equal(p.location_count, 4);
	pf_render_folded(&text, &p, &(struct pf_query){0});
	assert_string_equal(pf_buf_text(&text), "server;main;handle;alloc 500\n"
						"server;main;handle;cart::Cart::add;alloc 1000\n");
	perftools__profiles__profile__free_unpacked(m, NULL);
}

static void ids_need_not_be_dense(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	message *m = known_message("cpu");

	for (size_t i = 0; i < m->n_location; i++)
		m->location[i]->id += 0x7f0000000000;
	for (size_t i = 0; i < m->n_sample; i++)
		for (size_t k = 0; k < m->sample[i]->n_location_id; k++)
			m->sample[i]->location_id[k] += 0x7f0000000000;
	assert_int_equal(read_again(&p, m), 0);
	assert_int_equal(p.location_count, 3);
	perftools__profiles__profile__free_unpacked(m, NULL);
}

static void more_columns_than_we_have_are_refused(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	message m = PERFTOOLS__PROFILES__PROFILE__INIT;
	Perftools__Profiles__ValueType type = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
	Perftools__Profiles__ValueType *types[] = {&type, &type, &type, &type, &type};
	char *strings[] = {(char[]){""}};

	m.n_sample_type = 5;
	m.sample_type = types;
	m.n_string_table = 1;
	m.string_table = strings;
	assert_int_equal(read_again(&p, &m), -E2BIG);
}

static void nonsense_is_refused(void **state)
{
	static const char *const files[] = {"", "x", "hello world", "\x1f\x8b", "\x1f\x8b\x08",
	    "heap profile: 0: 0 [0: 0] @ heap_v2/1\n", "\x0a\xff\xff\xff\xff\x0f"};

	for (size_t i = 0; i < PF_COUNT(files); i++) {
		PF_SCOPED(pf_profile) p = {0};

		pf_profile_init(&p);
		assert_int_equal(pf_pprof_read(&p, files[i], strlen(files[i])), -EINVAL);
	}
}

static void cut_or_damaged_files_are_no_danger(void **state)
{
	PF_SCOPED(pf_buf) file = PF_BUF_INIT;
	PF_SCOPED(pf_buf) plain = PF_BUF_INIT;
	unsigned seed = 1;

	write_known(&file, "nasty");
	assert_int_equal(pf_gzip_unpack(&plain, file.at, file.length, SIZE_MAX), 0);
	for (int i = 0; i < 4000; i++) {
		PF_SCOPED(pf_profile) p = {0};
		PF_SCOPED(pf_buf) out = PF_BUF_INIT;
		size_t length = plain.length;
		char *bad = malloc(length);

		assert_non_null(bad);
		memcpy(bad, plain.at, length);
		if (i & 1)
			length = (seed = seed * 1103515245 + 12345) % length;
		for (int k = 0; k < i % 4; k++) {
			seed = seed * 1103515245 + 12345;
			bad[(seed >> 8) % 1500] = (char)(seed >> 24);
		}
		pf_profile_init(&p);
		if (pf_pprof_read(&p, bad, length) == 0) {
			pf_render_text(&out, &p, &(struct pf_query){0});
			pf_buf_clear(&out);
			pf_render_pprof(&out, &p, &(struct pf_query){0});
		}
		free(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(written_read_and_written_again_is_the_same_bytes),
	    cmocka_unit_test(every_view_is_the_same_as_of_the_original),
	    cmocka_unit_test(plain_protobuf_is_read_too),
	    cmocka_unit_test(the_default_column_comes_back),
	    cmocka_unit_test(broken_references_are_refused),
	    cmocka_unit_test(locations_without_an_address_of_their_own_stay_apart),
	    cmocka_unit_test(ids_need_not_be_dense),
	    cmocka_unit_test(more_columns_than_we_have_are_refused),
	    cmocka_unit_test(nonsense_is_refused),
	    cmocka_unit_test(cut_or_damaged_files_are_no_danger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
