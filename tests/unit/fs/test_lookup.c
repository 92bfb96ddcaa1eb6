/* Who looks lines up: a process of ours, and nothing that the watched program could notice. */
#include "base/counter.h"
#include "base/feature.h"
#include "base/profile.h"
#include "fs/lookup.h"
#include "render/render.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/proffs-test-lookup.XXXXXX";
static struct pf_lookup lookup;

static int setup(void **state)
{
	sigset_t all;

	/* As our own threads are. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (!mkdtemp(folder))
		return -1;
	return pf_lookup_init(&lookup);
}

static int teardown(void **state)
{
	char command[64];

	pf_lookup_finish(&lookup);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

/* A program of this text in place of proffs-lines. */
static void set_program(const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/program", folder);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	dprintf(fd, "#!/bin/sh\n%s\n", text);
	close(fd);
	pf_lookup_set_program(&lookup, path);
}

/* What the program answered, and how it ended: into `out`. */
static void look(char *out, size_t size)
{
	struct pf_profile in, lined;

	pf_profile_init(&in);
	assert_int_equal(pf_lookup_take(&lookup, &in, &lined), 0);
	snprintf(out, size, "%s", lined.comments[0]);
	pf_lines_finish(&lined);
	pf_profile_finish(&in);
}

static void what_is_asked_reaches_the_program_and_its_answer_comes_back(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_LINE_LOOKUPS);
	char text[256];

	set_program("read x <&3; echo \"$x, with $1 bytes\" >&4");
	look(text, sizeof(text));
	assert_string_equal(text, "asked, with 536870912 bytes\n 0");
	assert_int_equal(pf_counter_get(PF_COUNTER_LINE_LOOKUPS), before + 1);
	assert_int_equal(pf_features[PF_FEATURE_LINES].state, PF_FEATURE_OK);
}

static void it_inherits_nothing_of_the_program(void **state)
{
	int inheritable = dup2(0, 7);
	char text[512];

	assert_int_equal(inheritable, 7);
	setenv("LD_PRELOAD_OF_A_TEST", "x", 1);
	/* Above 9 are the shell's own. */
	set_program(
	    "env | grep -v -e ^PWD -e ^_ >&4; pwd >&4\n"
	    "for fd in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd >&4; done; true");
	look(text, sizeof(text));
	close(inheritable);
	assert_string_equal(text, "PATH=/usr/bin:/bin\n/\n3\n4\n 0");
}

static void an_early_end_is_said_and_what_was_answered_counts(void **state)
{
	char text[256];

	set_program("echo half >&4; exit 3");
	look(text, sizeof(text));
	assert_string_equal(text, "half\n -5");
	assert_int_equal(pf_features[PF_FEATURE_LINES].state, PF_FEATURE_DEGRADED);
	set_program("echo half >&4; kill -ALRM $$");
	look(text, sizeof(text));
	assert_string_equal(text, "half\n -110");
	assert_non_null(strstr(pf_features[PF_FEATURE_LINES].reason, "took longer"));
}

static void no_program_no_lines_and_a_reason(void **state)
{
	char text[256];

	pf_lookup_set_program(&lookup, "/nowhere/proffs-lines");
	look(text, sizeof(text));
	assert_string_equal(text, " -2");
	assert_int_equal(pf_features[PF_FEATURE_LINES].state, PF_FEATURE_NONE);
}

static void the_program_gets_no_sigchld_and_has_no_child(void **state)
{
	sigset_t pending;
	char text[256];

	set_program("true");
	look(text, sizeof(text));
	assert_int_equal(sigpending(&pending), 0);
	assert_false(sigismember(&pending, SIGCHLD));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static bool is_alive(int pid)
{
	return kill(pid, 0) == 0;
}

/* A process that is killed while lines are looked up for it: nobody holds its memory any longer. */
static void it_ends_with_whom_it_works_for(void **state)
{
	char place[64], text[256];
	int pid = 0;
	pid_t host;

	snprintf(place, sizeof(place), "%s/pid", folder);
	snprintf(text, sizeof(text), "echo $$ >%s.new; mv %s.new %s; exec sleep 1000", place, place,
	    place);
	set_program(text);
	host = fork();
	if (host == 0) {
		look(text, sizeof(text));
		_exit(1);
	}
	for (int i = 0; i < 3000 && pid == 0; i++) {
		FILE *file = fopen(place, "re");

		if (file) {
			assert_int_equal(fscanf(file, "%d", &pid), 1);
			fclose(file);
		}
		usleep(10000);
	}
	assert_true(pid > 0);
	assert_true(is_alive(pid));
	kill(host, SIGKILL);
	assert_int_equal(waitpid(host, NULL, 0), host);
	for (int i = 0; i < 3000 && is_alive(pid); i++)
		usleep(10000);
	assert_false(is_alive(pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_asked_reaches_the_program_and_its_answer_comes_back),
	    cmocka_unit_test(it_inherits_nothing_of_the_program),
	    cmocka_unit_test(an_early_end_is_said_and_what_was_answered_counts),
	    cmocka_unit_test(no_program_no_lines_and_a_reason),
	    cmocka_unit_test(the_program_gets_no_sigchld_and_has_no_child),
	    cmocka_unit_test(it_ends_with_whom_it_works_for),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
