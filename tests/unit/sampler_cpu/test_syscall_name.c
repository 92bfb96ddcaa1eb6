#include "sampler/feed.h"
#include "sampler/syscall_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>

#include <cmocka.h>

static void numbers_have_the_kernels_names(void **state)
{
	assert_string_equal(pf_syscall_name(SYS_read), "read");
	assert_string_equal(pf_syscall_name(SYS_futex), "futex");
	assert_string_equal(pf_syscall_name(SYS_epoll_pwait), "epoll_pwait");
	assert_string_equal(pf_syscall_name(SYS_clock_nanosleep), "clock_nanosleep");
	assert_string_equal(pf_syscall_name(SYS_openat), "openat");
}

static void numbers_from_the_future_are_unknown(void **state)
{
	assert_string_equal(pf_syscall_name(100000), "unknown");
	assert_string_equal(pf_syscall_name(-1), "unknown");
	assert_string_equal(pf_syscall_state(100000), "unknown");
}

static void calls_of_one_kind_have_one_state(void **state)
{
	assert_string_equal(pf_syscall_state(SYS_nanosleep), "sleep");
	assert_string_equal(pf_syscall_state(SYS_clock_nanosleep), "sleep");
	assert_string_equal(pf_syscall_state(SYS_ppoll), "poll");
	assert_string_equal(pf_syscall_state(SYS_epoll_pwait), "epoll_wait");
	assert_string_equal(pf_syscall_state(SYS_futex), "futex");
	assert_string_equal(pf_syscall_state(SYS_read), "read");
}

static void what_is_no_call_has_a_state_too(void **state)
{
	assert_string_equal(pf_syscall_state(PF_STATE_RUNNING), "running");
	assert_string_equal(pf_syscall_state(PF_STATE_FAULT), "fault");
	assert_string_equal(pf_syscall_state(PF_STATE_ASLEEP), "asleep");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_have_the_kernels_names),
	    cmocka_unit_test(numbers_from_the_future_are_unknown),
	    cmocka_unit_test(calls_of_one_kind_have_one_state),
	    cmocka_unit_test(what_is_no_call_has_a_state_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
