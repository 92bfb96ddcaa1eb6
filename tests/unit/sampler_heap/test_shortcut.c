/* The hooks' last jumps are made direct, and nothing else is changed; where that is refused, nothing is.
 * It is done once in a process: each test is a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/feature.h"
#include "base/knob.h"
#include "sampler/heap.h"
#include "sampler/real.h"
#include "sampler/shortcut.h"
#include "tests/unit/sampler_heap/fake.h"
#include "tests/unit/sampler_heap/sums.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <link.h>

/* Memory is the program's own business here: what cmocka allocates would be in the way. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "# %s:%d: %s\n", __FILE__, __LINE__, #condition);   \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void in_a_child(void (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define IN_A_CHILD(name)                                                                           \
	static void name(void **state)                                                             \
	{                                                                                          \
		in_a_child(child_##name);                                                          \
	}

/* ---- the library's code, before and after ---- */

static struct {
	const uint8_t *at;
	size_t size;
	uint8_t *was;
} text;

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t wanted = (uintptr_t)arg - info->dlpi_addr;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
		    wanted - segment->p_vaddr >= segment->p_memsz)
			continue;
		text.at = (const uint8_t *)(info->dlpi_addr + segment->p_vaddr);
		text.size = segment->p_memsz;
		return 1;
	}
	return 0;
}

static void remember_text(void)
{
	void *here;

	CHECK(pf_real_resolve() == 0);
	/* Any function of the library will do. */
	*(void (**)(const struct pf_patch *, size_t, const void *)) & here = pf_shortcut_make;
	CHECK(dl_iterate_phdr(find_text, here) == 1);
	text.was =
	    mmap(NULL, text.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(text.was != MAP_FAILED);
	memcpy(text.was, text.at, text.size);
}

/* Where it leads, after a check that this difference is a jump by a pointer that became a direct one. */
static const void *changed_jump(size_t i)
{
	const uint8_t *was = text.was + i, *is = text.at + i;
	void *const *pointer;
	int32_t distance;

	CHECK(i + 6 <= text.size);
	CHECK(was[0] == 0xff && was[1] == 0x25);
	memcpy(&distance, was + 2, sizeof(distance));
	pointer = (void *const *)(const void *)(is + 6 + distance);
	CHECK(is[0] == 0xe9 && is[5] == 0x90);
	memcpy(&distance, is + 1, sizeof(distance));
	CHECK((const void *)(is + 5 + distance) == *pointer);
	return *pointer;
}

/* Is this difference, one byte in at most, a load that became what it loaded? */
static bool is_changed_load(size_t i)
{
	const uint8_t *was = text.was + i, *is = text.at + i;
	int32_t distance, number;
	int64_t loaded;

	if (i + 7 > text.size || was[1] != 0x8b)
		return false;
	CHECK((was[0] == 0x48 || was[0] == 0x4c) && (was[2] & 0xc7) == 0x05);
	CHECK(is[0] == (was[0] == 0x48 ? 0x48 : 0x49));
	CHECK(is[1] == 0xc7 && is[2] == (0xc0 | (was[2] >> 3 & 7)));
	memcpy(&distance, was + 3, sizeof(distance));
	memcpy(&loaded, is + 7 + distance, sizeof(loaded));
	memcpy(&number, is + 3, sizeof(number));
	CHECK(loaded == number && loaded < 0);
	return true;
}

/* How many jumps that changed lead there; NULL: anywhere. How many loads changed. */
static int changed_jumps(const void *real, int *loads)
{
	int count = 0;

	*loads = 0;
	for (size_t i = 0; i < text.size; i++) {
		if (text.at[i] == text.was[i])
			continue;
		/* The prefix of a load stays what it was, or one bit of it moves. */
		if (is_changed_load(i) ||
		    (i > 0 && text.was[i] == 0x8b && is_changed_load(i - 1))) {
			i += text.was[i] == 0x8b ? 5 : 6;
			++*loads;
			continue;
		}
		count += changed_jump(i) == real || !real;
		i += 5;
	}
	return count;
}

static int code_that_may_be_written(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int count = 0;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, " rwx") != NULL;
	fclose(maps);
	return count;
}

/* What the program does is counted as ever. */
static void check_that_it_counts(void)
{
	void *at[2];

	CHECK(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1) == 0);
	fake_stack(1);
	at[0] = malloc(100);
	at[1] = calloc(10, 20);
	free(at[0]);
	fake_stack(0);
	CHECK(sums_of(1).alloc_objects == 2);
	CHECK(sums_of(1).live_bytes == 200);
	free(at[1]);
	CHECK(sums_of(1).live_bytes == 0);
	/* And with the hooks that only count. */
	CHECK(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 4096) == 0);
	fake_stack(2);
	for (int i = 0; i < 100000; i++) {
		void *volatile block = malloc(1000);

		block = realloc(block, 2000);
		free(block);
	}
	fake_stack(0);
	CHECK(sums_of(2).alloc_bytes > 100000000);
	CHECK(sums_of(2).live_bytes == 0);
}

/* ---- made ---- */

#ifdef __OPTIMIZE__
static void child_the_last_jumps_become_direct_and_nothing_else_changes(void)
{
	int jumps, loads;

	remember_text();
	CHECK(pf_heap_enable(true) == 0);
	CHECK(pf_features[PF_FEATURE_SHORTCUT].state == PF_FEATURE_OK);
	jumps = changed_jumps(NULL, &loads);
	/* And others, where the compiler did not load the pointer into a register first. */
	CHECK(changed_jumps(pf_real_find("malloc"), &loads) >= 1);
	CHECK(changed_jumps(pf_real_find("free"), &loads) >= 1);
	/* malloc, calloc, realloc. */
	CHECK(loads >= 3);
	CHECK(code_that_may_be_written() == 0);
	check_that_it_counts();
	CHECK(pf_heap_enable(false) == 0);
	CHECK(pf_heap_enable(true) == 0);
	CHECK(changed_jumps(NULL, &loads) == jumps);
	check_that_it_counts();
}
#else
static void child_the_last_jumps_become_direct_and_nothing_else_changes(void)
{
	int loads;

	remember_text();
	CHECK(pf_heap_enable(true) == 0);
	CHECK(pf_features[PF_FEATURE_SHORTCUT].state == PF_FEATURE_NONE);
	CHECK(changed_jumps(NULL, &loads) == 0 && loads == 0);
	check_that_it_counts();
}
#endif
IN_A_CHILD(the_last_jumps_become_direct_and_nothing_else_changes)

/* ---- refused ---- */

/* System call `number`, where its argument has one of these bits. */
static void forbid(uint32_t number, int argument, uint32_t bits, uint32_t instead)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		(uint32_t)(offsetof(struct seccomp_data, args) + sizeof(uint64_t) * argument)),
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, instead),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void check_that_nothing_changed(const char *why)
{
	CHECK(pf_heap_enable(true) == 0);
	CHECK(pf_features[PF_FEATURE_SHORTCUT].state == PF_FEATURE_NONE);
#ifdef __OPTIMIZE__
	CHECK(strstr(pf_features[PF_FEATURE_SHORTCUT].reason, why));
#endif
	CHECK(memcmp(text.was, text.at, text.size) == 0);
	check_that_it_counts();
}

static void child_where_memory_may_not_become_executable_nothing_changes(void)
{
	remember_text();
	forbid(SYS_mprotect, 2, PROT_EXEC, SECCOMP_RET_ERRNO | EACCES);
	check_that_nothing_changed("MemoryDenyWriteExecute");
}
IN_A_CHILD(where_memory_may_not_become_executable_nothing_changes)

static void child_where_it_may_not_be_moved_nothing_changes(void)
{
	remember_text();
	forbid(SYS_mremap, 3, UINT32_MAX, SECCOMP_RET_ERRNO | EPERM);
	check_that_nothing_changed("is refused");
}
IN_A_CHILD(where_it_may_not_be_moved_nothing_changes)

static void child_a_filter_of_the_program_that_kills_for_it_is_not_tried(void)
{
	remember_text();
	pf_shortcut_program_runs();
	forbid(SYS_mprotect, 2, PROT_EXEC, SECCOMP_RET_KILL_PROCESS);
	check_that_nothing_changed("punish");
}
IN_A_CHILD(a_filter_of_the_program_that_kills_for_it_is_not_tried)

#if defined(__x86_64__)
/* A number in an instruction that looks like the very jump, and then the jump. */
void *test_pointer;
void *test_hook(void);
__asm__("	.pushsection .text, \"ax\", @progbits\n"
	"	.balign 4096\n"
	"	.type test_hook, @function\n"
	"test_hook:\n"
	"	.byte 0x48, 0xb8, 0xff, 0x25\n"
	"	.long test_pointer - . - 4\n"
	"	.short 0\n"
	"	jmp *test_pointer(%rip)\n"
	"	.balign 4096\n"
	"	.size test_hook, . - test_hook\n"
	"	.popsection\n");

static void *answer(void)
{
	return &test_pointer;
}

static const struct pf_patch *test_patch(void)
{
	static struct pf_patch patch = {.symbol = "test", .real = &test_pointer};

	*(void *(**)(void)) & patch.hook = test_hook;
	return &patch;
}

static void child_only_an_instruction_is_taken_for_a_jump(void)
{
	uint8_t was[16];
	const uint8_t *code = test_patch()->hook;

	*(void *(**)(void)) & test_pointer = answer;
	memcpy(was, code, sizeof(was));
	pf_shortcut_make(test_patch(), 1, NULL);
	CHECK(pf_features[PF_FEATURE_SHORTCUT].state == PF_FEATURE_OK);
	CHECK(memcmp(was, code, 10) == 0);
	CHECK(was[10] == 0xff && code[10] == 0xe9);
	CHECK(test_hook() == &test_pointer);
}
IN_A_CHILD(only_an_instruction_is_taken_for_a_jump)

static void child_a_function_out_of_reach_is_jumped_to_as_before(void)
{
	const uint8_t *code = test_patch()->hook;
	uint8_t *far = (uint8_t *)((uintptr_t)code ^ (uintptr_t)1 << 40);

	test_pointer = mmap(far, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(test_pointer == far);
	memcpy(far, "\x31\xc0\xc3", 3); /* returns NULL */
	pf_shortcut_make(test_patch(), 1, NULL);
	CHECK(pf_features[PF_FEATURE_SHORTCUT].state == PF_FEATURE_NONE);
	CHECK(strstr(pf_features[PF_FEATURE_SHORTCUT].reason, "2 GiB"));
	CHECK(code[10] == 0xff);
	CHECK(test_hook() == NULL);
}
IN_A_CHILD(a_function_out_of_reach_is_jumped_to_as_before)
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_jumps_become_direct_and_nothing_else_changes),
		cmocka_unit_test(where_memory_may_not_become_executable_nothing_changes),
		cmocka_unit_test(where_it_may_not_be_moved_nothing_changes),
		cmocka_unit_test(a_filter_of_the_program_that_kills_for_it_is_not_tried),
#if defined(__x86_64__)
		cmocka_unit_test(only_an_instruction_is_taken_for_a_jump),
		cmocka_unit_test(a_function_out_of_reach_is_jumped_to_as_before),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
