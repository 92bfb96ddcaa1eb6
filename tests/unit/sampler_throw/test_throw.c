#include "base/knob.h"
#include "sampler/stack.h"
#include "sampler/throw.h"
#include "sampler/throw_last.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static __attribute__((noinline)) void throw_here(const char *name, enum pf_throw_how how)
{
	struct pf_throw seen = {.name = name, .how = how};

	pf_throw_note(&seen);
	__asm__ volatile("");
}

static __attribute__((noinline)) void throw_there(const char *name, enum pf_throw_how how)
{
	struct pf_throw seen = {.name = name, .how = how};

	pf_throw_note(&seen);
	__asm__ volatile("");
}

static const char *label(const struct pf_profile *p, const struct pf_sample *s, const char *key)
{
	for (uint32_t i = 0; i < s->label_count; i++)
		if (strcmp(p->labels[s->label_first + i].key, key) == 0)
			return p->labels[s->label_first + i].str;
	return "";
}

/* How many of this type and kind; `marker` != 0: only those whose leaf it is. */
static int64_t count(const struct pf_profile *p, const char *type, const char *how, uint64_t marker)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];

		if (strcmp(label(p, s, "type"), type) == 0 &&
		    strcmp(label(p, s, "how"), how) == 0 &&
		    (!marker || p->pcs[s->pc_first] == marker))
			sum += s->value[0];
	}
	return sum;
}

static void collect(struct pf_profile *out)
{
	pf_profile_init(out);
	assert_int_equal(pf_throw_collect(out, &(struct pf_query){.seconds_ns = 0}, NULL), 0);
}

static void every_throw_is_counted_by_type_and_kind(void **state)
{
	struct pf_profile p;

	for (int i = 0; i < 30; i++)
		throw_here("3one", PF_THROW_THROWN);
	for (int i = 0; i < 12; i++)
		throw_there("3two", PF_THROW_RETHROWN);
	throw_here("[Rust panic]", PF_THROW_THROWN);
	collect(&p);
	assert_int_equal(count(&p, "_ZTI3one", "throw", 0), 30);
	assert_int_equal(count(&p, "_ZTI3one", "rethrow", 0), 0);
	assert_int_equal(count(&p, "_ZTI3two", "rethrow", 0), 12);
	assert_int_equal(count(&p, "[Rust panic]", "throw", 0), 1);
	assert_int_equal(pf_profile_total(&p, 0), 43);
	pf_profile_finish(&p);
}

enum { STORM = 50000 };

static void beyond_the_limit_no_throw_is_lost_and_few_have_no_stack(void **state)
{
	struct pf_profile p;

	pf_knob_put(PF_KNOB_EXCEPTION_STACKS, 100);
	for (int i = 0; i < STORM; i++)
		throw_here("5storm", PF_THROW_THROWN);
	throw_there("4rare", PF_THROW_THROWN); /* of another type: what was left is not its */
	collect(&p);
	assert_int_equal(count(&p, "_ZTI5storm", "throw", 0), STORM);
	assert_int_equal(count(&p, "_ZTI4rare", "throw", 0), 1);
	assert_true(count(&p, "_ZTI5storm", "throw", PF_PC_NOT_SAMPLED) < STORM / 2);
	pf_profile_finish(&p);
}

static void the_last_one_is_remembered(void **state)
{
	struct pf_profile p;

	throw_here("4last", PF_THROW_RETHROWN);
	pf_profile_init(&p);
	assert_int_equal(pf_throw_last_collect(&p), 0);
	assert_int_equal(p.sample_count, 1);
	assert_int_equal(count(&p, "_ZTI4last", "rethrow", 0), 1);
	assert_string_equal(label(&p, &p.samples[0], "state"), "");
	pf_profile_finish(&p);
	throw_here("5storm", PF_THROW_THROWN);
	pf_throw_last_fatal(0, false);
	throw_here("4last", PF_THROW_THROWN); /* of another thread, while this one dies */
	pf_profile_init(&p);
	assert_int_equal(pf_throw_last_collect(&p), 0);
	assert_int_equal(count(&p, "_ZTI5storm", "throw", 0), 1);
	assert_string_equal(label(&p, &p.samples[0], "state"), "fatal");
	assert_true(p.samples[0].pc_count > 1); /* its stack, taken or not when it was thrown */
	pf_profile_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_throw_is_counted_by_type_and_kind),
	    cmocka_unit_test(beyond_the_limit_no_throw_is_lost_and_few_have_no_stack),
	    cmocka_unit_test(the_last_one_is_remembered),
	};

	pf_stack_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
