/* proffs run: a program with the agent in it.
 *
 * Sets a few variables and executes the program in this very process, so that its process id,
 * standard streams, exit code and signals are its own. Whatever keeps us from watching is said in
 * one line on stderr, and the program runs all the same.
 */
#include "base/knob.h"
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
	const char *mount; /* as given; NULL: detached */
	const char *dump_dir, *profile_dir;
	char profiles[64]; /* "cpu mem": whose files are wanted at the end */
	char **command;
};

static int usage(void)
{
	pf_say("usage: proffs run [-m DIR] [--set NAME=VALUE]... [--dump-on-exit DIR]"
	       " [--cpuprofile] [--memprofile] [--wallprofile] [--mutexprofile] [--blockprofile]"
	       " [--profiledir DIR] -- CMD ARGS");
	return 2;
}

/* NAME=VALUE into the environment, checked by the agent's own table. */
static int apply_set(const char *text)
{
	const char *equals = strchr(text, '=');
	char name[64];
	int64_t value;
	int id, rc;

	if (!equals) {
		pf_say("--set %s: NAME=VALUE is meant", text);
		return -EINVAL;
	}
	if (strncmp(text, "enable=", 7) == 0)
		return setenv("PROFFS_ENABLE", equals + 1, 1) == 0 ? 0 : -errno;
	id = pf_knob_find(text, (size_t)(equals - text));
	if (id < 0) {
		pf_say("--set %s: there is no setting of that name", text);
		return id;
	}
	rc = pf_knob_parse((enum pf_knob_id)id, equals + 1, strlen(equals + 1), &value);
	if (rc < 0 && strpbrk(pf_knobs[id].unit, "|+")) {
		pf_say("--set %s: %s is %s of %s", text, pf_knobs[id].path,
		    strchr(pf_knobs[id].unit, '+') ? "some" : "one", pf_knobs[id].unit);
		return rc;
	}
	if (rc < 0) {
		pf_say("--set %s: %s is a number of %s from %lld to %lld", text, pf_knobs[id].path,
		    pf_knobs[id].unit, (long long)pf_knobs[id].min, (long long)pf_knobs[id].max);
		return rc;
	}
	pf_knob_env_name((enum pf_knob_id)id, name, sizeof(name));
	return setenv(name, equals + 1, 1) == 0 ? 0 : -errno;
}

/* The value of an option: "-m DIR", "-mDIR", "--mount DIR", "--mount=DIR". NULL: not this one. */
static const char *option_value(char ***argv, const char *letter, const char *word)
{
	char *at = **argv;
	size_t length = strlen(word);

	if (strcmp(at, letter) == 0 || strcmp(at, word) == 0)
		return (*argv)[1] ? *++*argv : "";
	if (strncmp(at, word, length) == 0 && at[length] == '=')
		return at + length + 1;
	if (*letter && strncmp(at, letter, 2) == 0 && at[1] != '-')
		return at + 2;
	return NULL;
}

/* "--cpuprofile" and its like; false: that is something else. */
static bool add_profile(struct request *request, const char *text)
{
	static const char *const words[] = {"cpu", "mem", "wall", "mutex", "block"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char option[32];

		snprintf(option, sizeof(option), "--%sprofile", words[i]);
		if (strcmp(text, option) != 0)
			continue;
		if (!strstr(request->profiles, words[i])) {
			strcat(request->profiles, words[i]);
			strcat(request->profiles, " ");
		}
		return true;
	}
	return false;
}

static int parse(struct request *request, char **argv)
{
	for (argv++; *argv && **argv == '-'; argv++) {
		const char *value;

		if (strcmp(*argv, "--") == 0) {
			argv++;
			break;
		}
		if ((value = option_value(&argv, "-m", "--mount")) && *value)
			request->mount = value;
		else if ((value = option_value(&argv, "", "--set")) && *value) {
			if (apply_set(value) < 0)
				return -EINVAL;
		} else if ((value = option_value(&argv, "", "--dump-on-exit")) && *value)
			request->dump_dir = value;
		else if ((value = option_value(&argv, "", "--profiledir")) && *value)
			request->profile_dir = value;
		else if (!add_profile(request, *argv))
			return usage(), -EINVAL;
	}
	request->command = argv;
	return *argv ? 0 : (usage(), -EINVAL);
}

/* DIR for plain files, made now, so that a bad one is refused before anything runs. With %p in it,
 * each process makes its own. */
static int set_directory(const char *variable, const char *dir)
{
	char absolute[PATH_MAX];
	int rc = 0;

	if (strstr(dir, "%p"))
		return setenv(variable, dir, 1) == 0 ? 0 : -errno;
	if ((mkdir(dir, 0700) != 0 && errno != EEXIST) || !realpath(dir, absolute))
		rc = -errno;
	else if (access(absolute, W_OK | X_OK) != 0)
		rc = -errno;
	if (rc < 0)
		pf_say("%s: %s", dir, strerror(-rc));
	return rc < 0 ? rc : setenv(variable, absolute, 1) == 0 ? 0 : -errno;
}

/* What is to be written at the end, into the environment: 0 or -errno, and that was said. */
static int apply_files(const struct request *request)
{
	bool many = request->mount && strstr(request->mount, "%p");
	int rc = 0;

	if (many && request->dump_dir && !strstr(request->dump_dir, "%p")) {
		pf_say("--dump-on-exit %s: with %%p in -m, every process needs a place of its own:"
		       " %%p here, too",
		    request->dump_dir);
		return -EINVAL;
	}
	if (request->dump_dir)
		rc = set_directory("PROFFS_DUMP_ON_EXIT", request->dump_dir);
	if (!*request->profiles)
		return rc;
	if (rc == 0)
		rc = set_directory(
		    "PROFFS_PROFILE_DIR", request->profile_dir ? request->profile_dir : ".");
	if (rc == 0 && setenv("PROFFS_PROFILES", request->profiles, 1) != 0)
		rc = -errno;
	/* From the start of the program to its end, as far as the recorder can reach. */
	if (rc == 0 && setenv("PROFFS_RECORDER_SECONDS", "3600", 0) != 0)
		rc = -errno;
	return rc;
}

/* Is anything of use without a tree? */
static bool wants_files(const struct request *request)
{
	return request->dump_dir || *request->profiles || getenv("PROFFS_DUMP_SIGNAL");
}

/* libproffs.so: beside this program (a build tree), or where it was installed, be it moved since (to a
 * DESTDIR, a home directory). */
static int find_agent(char *out, size_t size)
{
	static const char *const places[] = {
	    "libproffs.so", PF_LIBDIR_FROM_BIN "/libproffs.so", PF_LIBDIR "/libproffs.so"};
	char self[PATH_MAX], path[2 * PATH_MAX], real[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (length < 0)
		return -errno;
	self[length] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", places[i][0] == '/' ? "" : self, places[i]);
		if (!realpath(path, real) || access(real, R_OK) != 0)
			continue;
		if (strlen(real) >= size)
			return -ENAMETOOLONG;
		strcpy(out, real);
		return strpbrk(real, " :") ? -EINVAL : 0;
	}
	return -ENOENT;
}

/* A list whose items a colon parts. */
static int prepend(const char *variable, const char *item)
{
	const char *before = getenv(variable);
	char *all;
	int rc;

	if (!before || !*before)
		return setenv(variable, item, 1) == 0 ? 0 : -errno;
	if (asprintf(&all, "%s:%s", item, before) < 0)
		return -ENOMEM;
	rc = setenv(variable, all, 1) == 0 ? 0 : -errno;
	free(all);
	return rc;
}

/* A child may be built with AddressSanitizer, whose runtime as a shared library ends the program when it is not the
 * first of all, unless its options tell it not to look. The agent finds it there and does nothing. AFL's fuzzers end
 * when there are options and not all that they want. */
static bool minds_options(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	if (strncmp(name, "afl-", 4) == 0)
		return true;
	for (char **variable = environ; *variable; variable++)
		if (strncmp(*variable, "AFL_", 4) == 0)
			return true;
	return false;
}

/* Everything that makes the agent start in the program; 0, or -errno with *why. */
static int prepare(const struct request *request, const char *program, const char **why)
{
	static char reason[PATH_MAX + 128];
	char place[PATH_MAX] = "none", agent[PATH_MAX], pid[16];
	const char *no_tree = NULL;
	int rc;

	*why = pf_program_obstacle(program);
	if (!*why)
		no_tree = pf_place_obstacle();
	if (no_tree && !wants_files(request))
		*why = no_tree;
	if (*why)
		return -EOPNOTSUPP;
	if (request->mount && !no_tree) {
		rc = pf_place_check_mount(request->mount, place, sizeof(place), why);
		if (rc < 0) {
			snprintf(reason, sizeof(reason), "%s: %s", request->mount, *why);
			*why = reason;
			return rc;
		}
	}
	rc = find_agent(agent, sizeof(agent));
	*why = rc == -EINVAL ? "the path of libproffs.so has a blank or a colon in it"
			     : "libproffs.so is not beside this program and not installed";
	if (rc < 0)
		return rc;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	*why = "no memory for the environment";
	if (setenv("PROFFS_MOUNT", request->mount || no_tree ? place : "auto", 1) != 0)
		return -errno;
	/* Watched from its start; its family, too, if there is a %p in the place. */
	if (setenv("PROFFS_RUN", pid, 1) != 0)
		return -errno;
	rc = prepend("LD_PRELOAD", agent);
	if (rc == 0 && !minds_options(program))
		rc = prepend("ASAN_OPTIONS", "verify_asan_link_order=0");
	if (rc < 0)
		return rc;
	if (no_tree)
		pf_say("no tree: %s; only files are written", no_tree);
	else if (request->mount)
		pf_say("%s", place);
	else
		pf_say("%s/%s", pf_place_published(), pid);
	return 0;
}

/* Only returns with the errno that says why it could not. */
static int execute(char *program, char **command)
{
	execv(program, command);
	if (errno != ENOEXEC)
		return errno;
	/* A script without #!: a shell runs it, as execvp() would. There is an argument before the
	 * command, "run" at the least, and it makes room for the shell's name. */
	command[0] = program;
	command[-1] = (char *)"sh";
	execv("/bin/sh", command - 1);
	return errno;
}

int pf_run_main(int argc, char **argv)
{
	struct request request = {0};
	char program[PATH_MAX];
	const char *why;
	int rc;

	if (parse(&request, argv) < 0 || apply_files(&request) < 0)
		return 2;
	rc = pf_program_find(request.command[0], program, sizeof(program));
	if (rc < 0) {
		pf_say("%s: %s", request.command[0], strerror(-rc));
		return rc == -EACCES ? 126 : 127;
	}
	if (prepare(&request, program, &why) < 0)
		pf_say("%s runs unwatched: %s", request.command[0], why);
	rc = execute(program, request.command);
	pf_say("%s: %s", program, strerror(rc));
	return rc == ENOENT ? 127 : 126;
}
