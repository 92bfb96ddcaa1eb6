#include "base/counter.h"
#include "base/profile.h"
#include "life.h"
#include "sampler/label.h"
#include "sampler/sampler.h"
#include "sampler/thread.h"
#include "sampler/threadcreate_hook.h"
#include "sampler/threads.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* The labels of the calling thread, as a sample would show them: "k=v k=v". */
static const char *worn(void)
{
	static char text[1024];
	static const uint64_t pc = 0x1000;
	static const int64_t one = 1;
	struct pf_profile p;

	text[0] = '\0';
	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_sample(&p, &pc, 1, &one);
	pf_label_fill(pf_thread_enrol_self()->labels, &p);
	for (size_t i = 0; i < p.label_count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%s", i ? " " : "",
		    p.labels[i].key, p.labels[i].str);
	pf_profile_finish(&p);
	return text;
}

static int clear_all(void **state)
{
	return pf_label_clear(NULL);
}

static void set_labels_are_worn_in_the_order_of_their_keys(void **state)
{
	assert_string_equal(worn(), "");
	assert_int_equal(pf_label_set("user", "ann"), 0);
	assert_int_equal(pf_label_set("request", "/checkout"), 0);
	assert_int_equal(pf_label_set("zone", "b"), 0);
	assert_string_equal(worn(), "request=/checkout user=ann zone=b");
}

static void a_new_value_replaces_the_old_one(void **state)
{
	assert_int_equal(pf_label_set("request", "/a"), 0);
	assert_int_equal(pf_label_set("request", "/b"), 0);
	assert_string_equal(worn(), "request=/b");
}

static void clearing_takes_one_or_all(void **state)
{
	assert_int_equal(pf_label_set("a", "1"), 0);
	assert_int_equal(pf_label_set("b", "2"), 0);
	assert_int_equal(pf_label_set("c", "3"), 0);
	assert_int_equal(pf_label_clear("b"), 0);
	assert_int_equal(pf_label_clear("b"), 0);
	assert_string_equal(worn(), "a=1 c=3");
	assert_int_equal(pf_label_clear(NULL), 0);
	assert_string_equal(worn(), "");
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
	char text[PF_LABEL_TEXT_MAX + 1];
	char key[2] = "a";

	memset(text, 'x', sizeof(text));
	text[PF_LABEL_TEXT_MAX] = '\0';
	assert_int_equal(pf_label_set("a", text), -EINVAL);
	assert_int_equal(pf_label_set(text, "v"), -EINVAL);
	assert_int_equal(pf_label_set("", "v"), -EINVAL);
	assert_int_equal(pf_label_set(NULL, "v"), -EINVAL);
	assert_int_equal(pf_label_set("a", NULL), -EINVAL);
	assert_string_equal(worn(), "");
	text[PF_LABEL_TEXT_MAX - 1] = '\0';
	assert_int_equal(pf_label_set("long", text), 0);
	assert_int_equal(pf_label_clear(NULL), 0);
	for (int i = 0; i < PF_LABEL_KEYS_MAX; i++, key[0]++)
		assert_int_equal(pf_label_set(key, "1"), 0);
	assert_int_equal(pf_label_set(key, "1"), -E2BIG);
	assert_int_equal(pf_label_set("a", "2"), 0);
	assert_string_equal(worn(), "a=2 b=1 c=1 d=1 e=1 f=1 g=1 h=1");
}

static void the_same_set_is_stored_once(void **state)
{
	uint32_t first;

	assert_int_equal(pf_label_set("a", "1"), 0);
	assert_int_equal(pf_label_set("b", "2"), 0);
	first = pf_thread_enrol_self()->labels;
	assert_int_equal(pf_label_clear(NULL), 0);
	assert_int_equal(pf_label_set("b", "2"), 0);
	assert_int_equal(pf_label_set("a", "1"), 0);
	assert_int_equal(pf_thread_enrol_self()->labels, first);
}

static sem_t seen, done;
static pid_t child_tid;
static char inherited[64];

static void *wait_to_be_seen(void *unused)
{
	snprintf(inherited, sizeof(inherited), "%s", worn());
	child_tid = (pid_t)syscall(SYS_gettid);
	sem_post(&done);
	sem_wait(&seen);
	return unused;
}

static void a_new_thread_inherits_and_its_samples_show_it(void **state)
{
	const struct pf_sample *s;
	struct life dump;
	pthread_t thread;

	assert_int_equal(pf_label_set("request", "/cart"), 0);
	assert_int_equal(pf_threadcreate_pthread(&thread, NULL, wait_to_be_seen, NULL), 0);
	assert_int_equal(pf_label_clear(NULL), 0);
	sem_wait(&done);
	assert_string_equal(inherited, "request=/cart");
	assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
	s = life_of_thread(&dump.profile, child_tid);
	assert_non_null(s);
	assert_string_equal(life_text(&dump.profile, s, "request"), "/cart");
	pf_profile_finish(&dump.profile);
	sem_post(&seen);
	pthread_join(thread, NULL);
}

/* Last: nothing is ever taken out of the store. */
static void a_full_store_keeps_what_is_worn_and_counts(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_LABEL_LOST);
	char value[PF_LABEL_TEXT_MAX], last[PF_LABEL_TEXT_MAX + 8];
	int rc = 0;

	for (int i = 0; rc == 0; i++) {
		snprintf(last, sizeof(last), "%s", worn());
		snprintf(value, sizeof(value), "value-%d", i);
		rc = pf_label_set("k", value);
		assert_true(i < 100000);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_string_equal(worn(), last);
	assert_int_equal(pf_counter_get(PF_COUNTER_LABEL_LOST), before + 1);
	assert_int_equal(pf_label_clear(NULL), 0);
	assert_string_equal(worn(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(set_labels_are_worn_in_the_order_of_their_keys, clear_all),
	    cmocka_unit_test_teardown(a_new_value_replaces_the_old_one, clear_all),
	    cmocka_unit_test_teardown(clearing_takes_one_or_all, clear_all),
	    cmocka_unit_test_teardown(what_does_not_fit_is_refused_and_changes_nothing, clear_all),
	    cmocka_unit_test_teardown(the_same_set_is_stored_once, clear_all),
	    cmocka_unit_test_teardown(a_new_thread_inherits_and_its_samples_show_it, clear_all),
	    cmocka_unit_test(a_full_store_keeps_what_is_worn_and_counts),
	};

	sem_init(&seen, 0, 0);
	sem_init(&done, 0, 0);
	life_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
