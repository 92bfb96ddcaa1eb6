/* The right answers are those of the kernel, which is asked itself in the_kernel_answers_the_same. */
#include "base/forbid.h"
#include "sampler/filter.h"
#include "sampler/filter_call.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__x86_64__)
#define OURS AUDIT_ARCH_X86_64
#else
#define OURS AUDIT_ARCH_AARCH64
#endif

#define NR                 offsetof(struct seccomp_data, nr)
#define ARCH               offsetof(struct seccomp_data, arch)
#define ARG(i)             (offsetof(struct seccomp_data, args) + 8 * (i))
#define LOAD(at)           BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define IF(op, k, yes, no) BPF_JUMP(BPF_JMP | op | BPF_K, k, yes, no)
#define RETURN(what)       BPF_STMT(BPF_RET | BPF_K, what)
#define KILL               RETURN(SECCOMP_RET_KILL_PROCESS)
#define ALLOW              RETURN(SECCOMP_RET_ALLOW)
#define REFUSE             RETURN(SECCOMP_RET_ERRNO | EPERM)

static const struct pf_filter_call ours = {SYS_timer_create, 0, 0};

#define ENDS(...)                                                                                  \
	({                                                                                         \
		const struct sock_filter program[] = {__VA_ARGS__};                                \
		pf_filter_ends(program, sizeof(program) / sizeof(program[0]), &ours);              \
	})

static void each_action_has_its_meaning(void **state)
{
	assert_false(ENDS(ALLOW));
	assert_false(ENDS(REFUSE));
	assert_false(ENDS(RETURN(SECCOMP_RET_LOG)));
	assert_true(ENDS(KILL));
	assert_true(ENDS(RETURN(SECCOMP_RET_KILL_THREAD)));
	assert_true(ENDS(RETURN(SECCOMP_RET_TRAP)));
	assert_true(ENDS(RETURN(SECCOMP_RET_TRACE)));
	assert_true(ENDS(RETURN(SECCOMP_RET_USER_NOTIF)));
	assert_true(ENDS(RETURN(0x12340000)));        /* unknown to the kernel: it kills */
	assert_true(ENDS(RETURN(SECCOMP_RET_ERRNO))); /* done, it says, and it was not */
}

static void a_number_is_told_from_others(void **state)
{
	assert_true(ENDS(LOAD(NR), IF(BPF_JEQ, SYS_timer_create, 0, 1), KILL, ALLOW));
	assert_false(ENDS(LOAD(NR), IF(BPF_JEQ, SYS_timer_create + 1, 0, 1), KILL, ALLOW));
	assert_false(ENDS(LOAD(NR), IF(BPF_JEQ, SYS_timer_create, 0, 1), ALLOW, KILL));
	assert_true(ENDS(LOAD(NR), IF(BPF_JGE, SYS_timer_create, 0, 1), KILL, ALLOW));
	assert_false(ENDS(LOAD(NR), IF(BPF_JGT, SYS_timer_create, 0, 1), KILL, ALLOW));
	assert_false(ENDS(LOAD(NR), IF(BPF_JSET, 0x40000000, 0, 1), KILL, ALLOW));
	assert_false(ENDS(LOAD(ARCH), IF(BPF_JEQ, OURS, 1, 0), KILL, ALLOW));
	assert_true(ENDS(LOAD(ARCH), IF(BPF_JEQ, AUDIT_ARCH_I386, 1, 0), KILL, ALLOW));
}

static void what_is_not_known_goes_both_ways(void **state)
{
	assert_true(ENDS(LOAD(ARG(1)), IF(BPF_JEQ, 5, 0, 1), KILL, ALLOW));
	assert_true(ENDS(LOAD(ARG(1)), IF(BPF_JEQ, 5, 0, 1), ALLOW, KILL));
	assert_false(ENDS(LOAD(ARG(1)), IF(BPF_JEQ, 5, 0, 1), ALLOW, REFUSE));
	/* The number is loaded anew behind it. */
	assert_false(ENDS(LOAD(ARG(1)), IF(BPF_JEQ, 5, 0, 0), LOAD(NR),
	    IF(BPF_JEQ, SYS_timer_create, 0, 1), ALLOW, KILL));
	/* Read back from the filter's memory, it may be anything. */
	assert_true(ENDS(LOAD(NR), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3),
	    IF(BPF_JEQ, SYS_timer_create, 0, 1), ALLOW, KILL));
	/* Two ways that agree, and two that do not. */
	assert_false(ENDS(LOAD(ARG(2)), IF(BPF_JEQ, 1, 0, 2), BPF_STMT(BPF_LD | BPF_IMM, 7),
	    BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_LD | BPF_IMM, 7), IF(BPF_JEQ, 7, 0, 1),
	    ALLOW, KILL));
	assert_true(ENDS(LOAD(ARG(2)), IF(BPF_JEQ, 1, 0, 2), BPF_STMT(BPF_LD | BPF_IMM, 7),
	    BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_LD | BPF_IMM, 8), IF(BPF_JEQ, 7, 0, 1),
	    ALLOW, KILL));
	assert_true(ENDS(LOAD(ARG(0)), BPF_STMT(BPF_RET | BPF_A, 0)));
}

static void a_first_argument_that_is_told_is_used(void **state)
{
	const struct pf_filter_call asks = {SYS_prctl, 1, PR_GET_SECCOMP};
	const struct sock_filter only_that[] = {LOAD(ARG(0) + 4), IF(BPF_JEQ, 0, 0, 2),
	    LOAD(ARG(0)), IF(BPF_JEQ, PR_GET_SECCOMP, 1, 0), KILL, ALLOW};

	assert_false(pf_filter_ends(only_that, 6, &asks));
	assert_true(pf_filter_ends(only_that, 6, &ours));
}

#define FORBIDS(...)                                                                               \
	({                                                                                         \
		const struct sock_filter program[] = {__VA_ARGS__};                                \
		pf_filter_forbids(program, sizeof(program) / sizeof(program[0]));                  \
	})
#define KILLS_FUTEX(operation)                                                                     \
	FORBIDS(LOAD(NR), IF(BPF_JEQ, SYS_futex, 0, 3), LOAD(ARG(1)),                              \
	    IF(BPF_JEQ, operation, 0, 1), KILL, ALLOW)

static void a_futex_operation_is_told_from_others(void **state)
{
	uint32_t all = PF_FORBIDDEN_FUTEX | PF_FORBIDDEN_HOST | PF_FORBIDDEN_CREW;

	assert_int_equal(KILLS_FUTEX(FUTEX_WAIT | FUTEX_PRIVATE_FLAG), all);
	assert_int_equal(KILLS_FUTEX(FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG), all);
	assert_int_equal(KILLS_FUTEX(FUTEX_WAKE | FUTEX_PRIVATE_FLAG), all);
	assert_int_equal(KILLS_FUTEX(FUTEX_CMP_REQUEUE_PI), 0);
	assert_int_equal(KILLS_FUTEX(FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG), 0);
}

static void what_our_threads_make_is_known(void **state)
{
	static const struct {
		uint32_t number, forbids;
	} calls[] = {
	    {SYS_getpgid, 0},
	    {SYS_getresuid, PF_FORBIDDEN_CREW},
	    {SYS_memfd_create, PF_FORBIDDEN_CREW},
	    {SYS_renameat2, PF_FORBIDDEN_CREW},
	    {SYS_socketpair, PF_FORBIDDEN_MOUNT},
	    {SYS_pidfd_open, PF_FORBIDDEN_SPAWN},
	    {SYS_setsid, PF_FORBIDDEN_SPAWN},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_int_equal(FORBIDS(LOAD(NR), IF(BPF_JEQ, calls[i].number, 0, 1), KILL, ALLOW),
		    calls[i].forbids);
}

static void sums_are_done_as_in_the_kernel(void **state)
{
#define SUM(a, op, k, is)                                                                          \
	assert_false(ENDS(BPF_STMT(BPF_LD | BPF_IMM, a), BPF_STMT(BPF_ALU | (op) | BPF_K, k),      \
	    IF(BPF_JEQ, (uint32_t)(is), 1, 0), KILL, ALLOW))
	SUM(5, BPF_ADD, 7, 12);
	SUM(5, BPF_SUB, 7, -2);
	SUM(5, BPF_MUL, 7, 35);
	SUM(35, BPF_DIV, 4, 8);
	SUM(12, BPF_AND, 6, 4);
	SUM(12, BPF_OR, 3, 15);
	SUM(12, BPF_XOR, 10, 6);
	SUM(3, BPF_LSH, 4, 48);
	SUM(48, BPF_RSH, 4, 3);
	SUM(5, BPF_NEG, 0, -5);
#undef SUM
	assert_false(ENDS(BPF_STMT(BPF_LDX | BPF_IMM, 9), BPF_STMT(BPF_MISC | BPF_TXA, 0),
	    IF(BPF_JEQ, 9, 1, 0), KILL, ALLOW));
	assert_false(ENDS(BPF_STMT(BPF_LD | BPF_IMM, 9), BPF_STMT(BPF_MISC | BPF_TAX, 0),
	    BPF_STMT(BPF_LD | BPF_IMM, 9), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0), KILL,
	    ALLOW));
	assert_false(ENDS(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	    IF(BPF_JEQ, sizeof(struct seccomp_data), 1, 0), KILL, ALLOW));
	/* Division by nothing is a filter's end with 0. */
	assert_true(
	    ENDS(BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ALLOW));
}

static void what_is_no_filter_forbids(void **state)
{
	static struct sock_filter long_one[BPF_MAXINSNS + 1];

	assert_true(pf_filter_ends(long_one, 0, &ours));
	assert_true(pf_filter_ends(long_one, BPF_MAXINSNS + 1, &ours));
	assert_false(pf_filter_is_one(long_one, 0));
	assert_false(pf_filter_is_one(long_one, BPF_MAXINSNS + 1));
	assert_true(ENDS(LOAD(NR))); /* runs out */
	assert_true(ENDS(BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX), ALLOW));
	assert_true(ENDS(IF(BPF_JEQ, 0, 200, 200), ALLOW));
	assert_true(ENDS(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), ALLOW));
	assert_true(ENDS(BPF_STMT(0xffff, 0), ALLOW));
}

/* ---- against the kernel ---- */

/* One that the kernel takes, or perhaps not: of number, architecture and two words of arguments. */
static size_t draw_program(struct sock_filter *code)
{
	static const uint32_t actions[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW,
	    SECCOMP_RET_ERRNO | 5, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP};
	static const uint32_t places[] = {NR, NR, ARCH, ARG(0), ARG(1)};
	static const uint16_t tests[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	size_t count = 4 + rand() % 12;

	for (size_t i = 0; i < count; i++) {
		uint32_t left = (uint32_t)(count - i - 1), k = (uint32_t)(rand() % 4);

		if (i == 0 || (i + 3 < count && rand() % 4 == 0))
			code[i] = (struct sock_filter)LOAD(places[rand() % 5]);
		else if (i + 3 < count && rand() % 4 == 0)
			code[i] = (struct sock_filter)BPF_STMT(
			    BPF_ALU | ((rand() % 8) << 4) | BPF_K, 1 + k);
		else if (i + 1 < count)
			code[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | tests[rand() % 4] | BPF_K,
			    rand() % 2 ? (uint32_t)SYS_getpgid : k, (uint8_t)(rand() % left),
			    (uint8_t)(rand() % left));
		else
			code[i] = (struct sock_filter)RETURN(actions[rand() % 5]);
		if (i && i + 1 < count && rand() % 5 == 0)
			code[i] = (struct sock_filter)RETURN(actions[rand() % 5]);
	}
	return count;
}

enum verdict { LIVES, DIES, REFUSED };

/* In a child, which makes the call under it. */
static enum verdict ask_kernel(const struct sock_filter *code, size_t count, long first)
{
	struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)code};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		/* Its end must be allowed, too, so it is a fault. cmocka would catch both. */
		signal(SIGILL, SIG_DFL);
		signal(SIGSYS, SIG_DFL);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
			_exit(REFUSED);
		syscall(SYS_getpgid, first, 1);
		__builtin_trap();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return REFUSED;
	return WTERMSIG(status) == SIGSYS ? DIES : LIVES;
}

static void the_kernel_answers_the_same(void **state)
{
	size_t agreed = 0;

	srand(20261122);
	for (int i = 0; i < 1500; i++) {
		struct sock_filter code[16];
		size_t count = draw_program(code);
		struct pf_filter_call call = {SYS_getpgid, 1, (uint64_t)(rand() % 4)};
		enum verdict verdict = ask_kernel(code, count, (long)call.argument);

		assert_int_equal(verdict != REFUSED, pf_filter_is_one(code, count));
		if (verdict == REFUSED)
			continue;
		/* The second argument is not told: what it decides may be forbidden needlessly. */
		if (verdict == DIES)
			assert_true(pf_filter_ends(code, count, &call));
		agreed += (verdict == DIES) == pf_filter_ends(code, count, &call);
	}
	assert_true(agreed > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_action_has_its_meaning),
	    cmocka_unit_test(a_number_is_told_from_others),
	    cmocka_unit_test(what_is_not_known_goes_both_ways),
	    cmocka_unit_test(a_first_argument_that_is_told_is_used),
	    cmocka_unit_test(a_futex_operation_is_told_from_others),
	    cmocka_unit_test(what_our_threads_make_is_known),
	    cmocka_unit_test(sums_are_done_as_in_the_kernel),
	    cmocka_unit_test(what_is_no_filter_forbids),
	    cmocka_unit_test(the_kernel_answers_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
