/* Slots of every kind are pointed at a hook and back. The patched function is getppid, which nobody
 * else calls meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "sampler/gate.h"
#include "sampler/patch.h"
#include "sampler/patch_poke.h"
#include "tests/unit/sampler_heap/fake.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOOKED = 4711, OTHER = 4712 };

static int hook(void)
{
	return HOOKED;
}

static int other_hook(void)
{
	return OTHER;
}

static void *real;
static const struct pf_patch patches[] = {{"getppid", (void *)hook, &real, NULL}};
static struct pf_patch_set set = {.patches = patches, .count = 1};

static int (*volatile table_entry)(void) = getppid; /* a relocated word in our data */

static int off(void **state)
{
	set.patches = patches;
	return pf_patch_off(&set);
}

/* ---- what a module looks like in memory ---- */

static int hash_protected_parts(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint64_t *hash = arg;
	const ElfW(Phdr) *segment = info->dlpi_phdr;

	/* What is protected after relocation must be as it was; the rest is the program's. */
	for (int i = 0; i < info->dlpi_phnum; i++, segment++) {
		const unsigned char *at = (const void *)(info->dlpi_addr + segment->p_vaddr);

		if (segment->p_type != PT_GNU_RELRO)
			continue;
		for (size_t k = 0; k < segment->p_memsz; k++)
			*hash = (*hash ^ at[k]) * 0x100000001b3ull;
	}
	return 0;
}

static uint64_t hash_of_protected_memory(void)
{
	uint64_t hash = 1;

	dl_iterate_phdr(hash_protected_parts, &hash);
	return hash;
}

/* How many mappings of this file may be written. */
static int writable_mappings(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int count = 0;

	while (fgets(line, sizeof(line), maps))
		if (strstr(line, name) && strstr(line, " rw"))
			count++;
	fclose(maps);
	return count;
}

static int (*open_module(const char *file, int flags, void **handle))(void)
{
	*handle = dlopen(file, flags);
	assert_non_null(*handle);
	return (int (*)(void))dlsym(*handle, "module_getppid");
}

/* ---- tests ---- */

static void our_own_calls_are_hooked_and_back(void **state)
{
	uint64_t before = hash_of_protected_memory();

	assert_int_equal(getppid(), getppid()); /* bound, if it is bound lazily */
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(getppid(), HOOKED);
	assert_int_equal(table_entry(), HOOKED);
	assert_true(pf_counter_get(PF_COUNTER_PATCH_SLOTS) >= 2);
	assert_int_equal(off(NULL), 0);
	assert_int_not_equal(getppid(), HOOKED);
	assert_int_not_equal(table_entry(), HOOKED);
	assert_true(before == hash_of_protected_memory());
}

static void on_and_off_again_change_nothing_more(void **state)
{
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(getppid(), HOOKED);
	assert_int_equal(off(NULL), 0);
	assert_int_equal(off(NULL), 0);
	assert_int_not_equal(getppid(), HOOKED);
}

static void slots_follow_to_other_hooks_and_find_back(void **state)
{
	static const struct pf_patch others[] = {{"getppid", (void *)other_hook, &real, NULL}};
	int before = getppid();

	assert_int_equal(pf_patch_on(&set), 0);
	set.patches = others;
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(getppid(), OTHER);
	assert_int_equal(table_entry(), OTHER);
	set.patches = patches;
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(getppid(), HOOKED);
	assert_int_equal(off(NULL), 0);
	assert_int_equal(getppid(), before);
	assert_int_equal(table_entry(), before);
}

static void a_table_that_holds_something_else_is_left_alone(void **state)
{
	int (*was)(void) = table_entry;

	table_entry = other_hook;
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(table_entry(), OTHER);
	assert_int_equal(off(NULL), 0);
	assert_int_equal(table_entry(), OTHER);
	table_entry = was;
}

static void what_somebody_wrote_meanwhile_is_left_alone(void **state)
{
	int (*was)(void) = table_entry;

	assert_int_equal(pf_patch_on(&set), 0);
	table_entry = other_hook;
	assert_int_equal(off(NULL), 0);
	assert_int_equal(table_entry(), OTHER);
	table_entry = was;
}

static void a_weak_function_that_is_not_there_stays_away(void **state)
{
	static const struct pf_patch weak[] = {{"nobody_has_this", (void *)hook, &real, NULL}};
	static struct pf_patch_set weak_set = {.patches = weak, .count = 1};
	void *handle = dlopen("libheap_module_now.so", RTLD_NOW);
	int (*has_it)(void) = (int (*)(void))dlsym(handle, "module_has_what_nobody_has");

	assert_int_equal(has_it(), 0);
	assert_int_equal(pf_patch_on(&weak_set), 0);
	assert_int_equal(has_it(), 0);
	assert_int_equal(pf_patch_off(&weak_set), 0);
	dlclose(handle);
}

static void another_version_of_the_symbol_is_another_function(void **state)
{
	static struct pf_patch versioned[] = {{"getppid", (void *)hook, &real, "GLIBC_9.99"}};
	static struct pf_patch_set versioned_set = {.patches = versioned, .count = 1};
	int before = getppid();

	assert_int_equal(pf_patch_on(&versioned_set), 0);
	assert_int_equal(getppid(), before);
	assert_int_equal(pf_patch_off(&versioned_set), 0);
#if defined(__x86_64__)
	versioned[0].version = "GLIBC_2.2.5";
#else
	versioned[0].version = "GLIBC_2.17";
#endif
	assert_int_equal(pf_patch_on(&versioned_set), 0);
	assert_int_equal(getppid(), HOOKED);
	assert_int_equal(pf_patch_off(&versioned_set), 0);
}

/* ---- modules that come and go ---- */

static const struct {
	const char *file;
	int flags;
} kinds[] = {
    {"libheap_module_lazy.so", RTLD_LAZY},
    {"libheap_module_lazy.so", RTLD_NOW},
    {"libheap_module_now.so", RTLD_NOW},
    {"libheap_module_noplt.so", RTLD_NOW},
    {"libheap_module_lazy.so", RTLD_LAZY | RTLD_DEEPBIND},
    {"libheap_module_now.so", RTLD_NOW | RTLD_DEEPBIND},
};

static void modules_opened_before_are_reached(void **state)
{
	for (size_t i = 0; i < PF_COUNT(kinds); i++) {
		void *handle;
		int (*call)(void) = open_module(kinds[i].file, kinds[i].flags, &handle);
		int writable = writable_mappings(kinds[i].file);

		assert_int_equal(pf_patch_on(&set), 0);
		assert_int_equal(call(), HOOKED);
		assert_int_equal(pf_counter_get(PF_COUNTER_MODULES_UNASKED), 0);
		assert_int_equal(writable_mappings(kinds[i].file), writable);
		assert_int_equal(off(NULL), 0);
		assert_int_equal(call(), getppid());
		assert_int_equal(writable_mappings(kinds[i].file), writable);
		dlclose(handle);
	}
}

static void modules_opened_after_are_reached_by_the_next_look(void **state)
{
	assert_int_equal(pf_patch_on(&set), 0);
	for (size_t i = 0; i < PF_COUNT(kinds); i++) {
		void *handle;
		int (*call)(void) = open_module(kinds[i].file, kinds[i].flags, &handle);

		/* Looks are kept apart: they take 1/20 of the time at most, and one may have taken long. */
		for (int look = 0; look < 1200 && call() != HOOKED; look++) {
			usleep(50000);
			pf_patch_refresh();
		}
		assert_int_equal(call(), HOOKED);
		/* Nobody waits for it, so it may have run for a while; once found, it is not new. */
		assert_int_equal(pf_counter_get(PF_COUNTER_MODULES_UNASKED), i);
		usleep(110000);
		pf_patch_refresh();
		assert_int_equal(pf_counter_get(PF_COUNTER_MODULES_UNASKED), i + 1);
		for (int look = 0; look < 5; look++) {
			usleep(2000);
			pf_patch_refresh();
		}
		assert_int_equal(pf_counter_get(PF_COUNTER_MODULES_UNASKED), i + 1);
		dlclose(handle);
	}
	assert_int_equal(off(NULL), 0);
}

static void what_we_open_ourselves_is_not_counted_as_found_late(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_MODULES_UNASKED);
	int (*call)(void);
	void *handle;

	assert_int_equal(pf_patch_on(&set), 0);
	pf_gate_open_begin();
	call = open_module("libheap_module_now.so", RTLD_NOW, &handle);
	pf_gate_open_end();
	for (int look = 0; look < 1200 && call() != HOOKED; look++) {
		usleep(50000);
		pf_patch_refresh();
	}
	assert_int_equal(call(), HOOKED);
	assert_int_equal(pf_counter_get(PF_COUNTER_MODULES_UNASKED), before);
	dlclose(handle);
	assert_int_equal(off(NULL), 0);
}

static void who_fetches_a_hooked_function_by_dlsym_is_counted(void **state)
{
	static const struct pf_patch all[] = {{"getppid", (void *)hook, &real, NULL}};
	static struct pf_patch_set counted = {.patches = all, .count = 1, .counts_asking = true};

	assert_int_equal(pf_patch_on(&counted), 0);
	assert_ptr_equal(dlsym(RTLD_DEFAULT, "getppid"), real);
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_FETCHED), 1);
	dlvsym(RTLD_DEFAULT, "getppid", "GLIBC_2.2.5");
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_FETCHED), 2);
	assert_null(dlsym(RTLD_DEFAULT, "getppi"));
	assert_null(dlsym(RTLD_DEFAULT, "getppid_"));
	assert_non_null(dlsym(RTLD_DEFAULT, "getpid"));
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_FETCHED), 2);
	assert_int_equal(pf_patch_off(&counted), 0);
	assert_int_equal(pf_patch_on(&set), 0); /* which does not ask for it */
	dlsym(RTLD_DEFAULT, "getppid");
	assert_int_equal(off(NULL), 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_FETCHED), 2);
}

static void *real_group;
static const struct pf_patch group_patches[] = {{"getpgrp", (void *)other_hook, &real_group, NULL}};
static struct pf_patch_set group_set = {.patches = group_patches, .count = 1};

/* What was found once is looked at alone, until modules or names are others. */
static void a_slot_that_is_bound_late_and_other_names_are_found(void **state)
{
	real_group = (void *)getpgrp;
	assert_int_equal(pf_patch_on(&set), 0);
	for (int i = 0; i < 3; i++) {
		*(void *volatile *)&table_entry = real;
		for (int n = 0; table_entry() != HOOKED && n < 2000; n++) {
			pf_patch_refresh();
			usleep(1000);
		}
		assert_int_equal(table_entry(), HOOKED);
		if (i == 1)
			assert_int_equal(pf_patch_on(&group_set), 0);
		assert_int_equal(getpgrp() == OTHER, i >= 1);
	}
	assert_int_equal(pf_patch_off(&group_set), 0);
	assert_int_not_equal(getpgrp(), OTHER);
	assert_int_equal(getppid(), HOOKED);
}

static void a_module_closed_meanwhile_is_not_touched(void **state)
{
	void *handle;
	int (*call)(void) = open_module("libheap_module_now.so", RTLD_NOW, &handle);

	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(call(), HOOKED);
	dlclose(handle);
	assert_int_equal(off(NULL), 0);
	call = open_module("libheap_module_now.so", RTLD_NOW, &handle);
	assert_int_equal(call(), getppid());
	dlclose(handle);
}

static void a_module_that_is_bound_elsewhere_is_left_alone(void **state)
{
	void *handle;
	int (*call)(void) =
	    open_module("libheap_module_bound.so", RTLD_NOW | RTLD_DEEPBIND, &handle);

	assert_int_equal(call(), 4242);
	assert_int_equal(pf_patch_on(&set), 0);
	assert_int_equal(call(), 4242);
	assert_int_equal(pf_counter_get(PF_COUNTER_PATCH_FOREIGN), 1);
	assert_int_equal(off(NULL), 0);
	dlclose(handle);
}

/* This program has $ORIGIN as its search path; were dlopen called from elsewhere, that would not
 * count, and nothing be found. */
static void dlopen_knows_its_caller_and_says_that_it_was_called(void **state)
{
	uint32_t poke = pf_patch_poke;
	void *handle;

	assert_int_equal(pf_patch_on(&set), 0);
	handle = dlopen("libheap_module_now.so", RTLD_NOW);
	assert_non_null(handle);
	assert_int_equal(pf_patch_poke, poke + 1);
	fake_closes_begun = fake_closes_ended = 0;
	assert_int_equal(dlclose(handle), 0);
	assert_int_equal(pf_patch_poke, poke + 2);
	assert_int_equal(fake_closes_begun, 1); /* and the unwinder knows, before and after */
	assert_int_equal(fake_closes_ended, 1);
	handle = dlmopen(LM_ID_NEWLM, "libheap_module_now.so", RTLD_NOW);
	assert_non_null(handle);
	assert_int_equal(pf_patch_poke, poke + 3);
	dlclose(handle);
	assert_int_equal(off(NULL), 0);
	handle = dlopen("libheap_module_now.so", RTLD_NOW);
	assert_int_equal(pf_patch_poke, poke + 4); /* the dlclose, still hooked */
	dlclose(handle);
	assert_int_equal(pf_patch_poke, poke + 4);
}

static bool stop; /* atomic */
static int parent;

static void *patch_when_poked(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		uint32_t poke = __atomic_load_n(&pf_patch_poke, __ATOMIC_ACQUIRE);
		int64_t again = pf_patch_refresh();

		pf_futex_wait(&pf_patch_poke, poke, pf_clock_now_ns() + again);
	}
	return unused;
}

/* Unless our thread had no processor for as long as anybody waits for it. */
static void what_dlsym_finds_in_a_new_module_is_patched_already(void **state)
{
	static const char *const files[] = {"libheap_module_now.so", "libheap_module_lazy.so"};
	const int64_t patience_ns = 100 * (int64_t)PF_NS_PER_MS;
	pthread_t thread;
	int hooked = 0;

	assert_int_equal(pf_patch_on(&set), 0);
	stop = false;
	pf_patch_poke_listen(true);
	pthread_create(&thread, NULL, patch_when_poked, NULL);
	for (int i = 0; i < 20; i++) {
		void *handle = dlopen(files[i % 2], RTLD_NOW);
		int64_t before_ns = pf_clock_now_ns();
		int (*call)(void) = (int (*)(void))dlsym(handle, "module_getppid");
		int64_t took_ns = pf_clock_now_ns() - before_ns;

		if (call() == HOOKED)
			hooked++;
		else
			assert_true(took_ns >= patience_ns);
		dlclose(handle);
	}
	assert_true(hooked > 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pf_patch_poke_listen(false);
	pthread_join(thread, NULL);
	assert_int_equal(off(NULL), 0);
}

static void nobody_waits_in_dlsym_where_nobody_answers(void **state)
{
	void *handle;

	assert_int_equal(pf_patch_on(&set), 0);
	handle = dlopen("libheap_module_now.so", RTLD_NOW);
	assert_non_null(dlsym(handle, "module_getppid"));
	dlclose(handle);
	assert_int_equal(pf_patch_poke_asked(), 20); /* of the test before */
	assert_int_equal(off(NULL), 0);
}

static void *open_and_close(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		void *handle = dlopen(arg, RTLD_NOW);
		int (*call)(void) = (int (*)(void))dlsym(handle, "module_getppid");
		int got = call();

		if (got != HOOKED && got != parent)
			return &parent; /* wrong */
		dlclose(handle);
	}
	return NULL;
}

static void modules_may_come_and_go_while_we_look(void **state)
{
	static char files[][32] = {"libheap_module_now.so", "libheap_module_lazy.so"};
	int64_t end_ns = pf_clock_now_ns() + 2 * (int64_t)PF_NS_PER_SECOND;
	pthread_t threads[2];
	void *wrong;

	stop = false;
	parent = getppid();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, open_and_close, files[i]);
	while (pf_clock_now_ns() < end_ns) {
		assert_int_equal(pf_patch_on(&set), 0);
		for (int i = 0; i < 10; i++)
			pf_patch_refresh();
		assert_int_equal(off(NULL), 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(our_own_calls_are_hooked_and_back, off),
	    cmocka_unit_test_teardown(on_and_off_again_change_nothing_more, off),
	    cmocka_unit_test_teardown(slots_follow_to_other_hooks_and_find_back, off),
	    cmocka_unit_test_teardown(a_table_that_holds_something_else_is_left_alone, off),
	    cmocka_unit_test_teardown(what_somebody_wrote_meanwhile_is_left_alone, off),
	    cmocka_unit_test_teardown(a_weak_function_that_is_not_there_stays_away, off),
	    cmocka_unit_test_teardown(another_version_of_the_symbol_is_another_function, off),
	    cmocka_unit_test_teardown(modules_opened_before_are_reached, off),
	    cmocka_unit_test_teardown(modules_opened_after_are_reached_by_the_next_look, off),
	    cmocka_unit_test_teardown(what_we_open_ourselves_is_not_counted_as_found_late, off),
	    cmocka_unit_test_teardown(who_fetches_a_hooked_function_by_dlsym_is_counted, off),
	    cmocka_unit_test_teardown(a_slot_that_is_bound_late_and_other_names_are_found, off),
	    cmocka_unit_test_teardown(a_module_closed_meanwhile_is_not_touched, off),
	    cmocka_unit_test_teardown(a_module_that_is_bound_elsewhere_is_left_alone, off),
	    cmocka_unit_test_teardown(dlopen_knows_its_caller_and_says_that_it_was_called, off),
	    cmocka_unit_test_teardown(what_dlsym_finds_in_a_new_module_is_patched_already, off),
	    cmocka_unit_test_teardown(nobody_waits_in_dlsym_where_nobody_answers, off),
	    cmocka_unit_test_teardown(modules_may_come_and_go_while_we_look, off),
	};

	real = dlsym(RTLD_DEFAULT, "getppid");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
