#include "agent/option.h"
#include "base/glibc.h"
#include "proffs/proffs.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The environment as the kernel gave it. getenv() is not used: programs (bash) export their own. */
static const char *variable(const char *name)
{
	size_t length = strlen(name);

	for (char **e = environ; e && *e; e++)
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=')
			return *e + length + 1;
	return NULL;
}

static int copy_text(char *out, size_t size, const char *text)
{
	size_t length = strlen(text);

	if (length >= size)
		return -ENAMETOOLONG;
	memcpy(out, text, length + 1);
	return 0;
}

/* The folder our shared object lies in, absolute: the program may change directory later. */
static int find_private_dir(char *out, size_t size)
{
	char cwd[PATH_MAX] = "";
	const char *slash;
	Dl_info info;
	int length;

	if (!dladdr((void *)proffs_version, &info) || !info.dli_fname)
		return -ENOENT;
	slash = strrchr(info.dli_fname, '/');
	if (info.dli_fname[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	length = snprintf(out, size, "%s%s%.*s", cwd, cwd[0] ? "/" : "",
	    slash ? (int)(slash - info.dli_fname) : 1, slash ? info.dli_fname : ".");
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

static int set_defaults(struct pf_option *option)
{
	memset(option, 0, sizeof(*option));
	for (int id = 0; id < PF_KNOB_COUNT; id++)
		option->knobs[id] = INT64_MIN;
	snprintf(option->command, sizeof(option->command), "%.63s",
	    *program_invocation_short_name ? program_invocation_short_name : "program");
	option->collectors[PF_COLLECTOR_CPU] = true;
	option->collectors[PF_COLLECTOR_HEAP] = true;
	return find_private_dir(option->private_dir, sizeof(option->private_dir));
}

static int set_mount(struct pf_option *option, const char *mount)
{
	option->follow = strstr(mount, "%p") != NULL;
	return copy_text(option->mount, sizeof(option->mount), mount);
}

/* The next word of a list separated by blanks, commas or newlines; its length, 0 at the end. */
static size_t next_word(const char **text)
{
	*text += strspn(*text, " \t\n,");
	return strcspn(*text, " \t\n,");
}

static int parse_set(struct pf_option *option, const char *text)
{
	size_t length;

	for (; (length = next_word(&text)); text += length) {
		const char *equals = memchr(text, '=', length);
		int id = equals ? pf_knob_find(text, (size_t)(equals - text)) : -EINVAL;
		int rc;

		if (id < 0)
			return -EINVAL;
		rc = pf_knob_parse((enum pf_knob_id)id, equals + 1,
		    length - (size_t)(equals + 1 - text), &option->knobs[id]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int find_collector(const char *name, size_t length)
{
	const struct pf_sampler *door = pf_sampler_door();

	for (int i = 0; i < PF_COLLECTOR_COUNT; i++)
		if (door->collectors[i].enable && strlen(door->collectors[i].name) == length &&
		    memcmp(door->collectors[i].name, name, length) == 0)
			return i;
	return -EINVAL;
}

static int parse_enable(struct pf_option *option, const char *text)
{
	size_t length;

	for (; (length = next_word(&text)); text += length) {
		bool on = *text != '-';
		size_t sign = *text == '-' || *text == '+';
		int which;

		if (length == 1 && (*text == '0' || *text == '1')) {
			for (int i = 0; i < PF_COLLECTOR_COUNT; i++)
				option->collectors[i] = *text == '1';
			continue;
		}
		which = find_collector(text + sign, length - sign);
		if (which < 0)
			return which;
		option->collectors[which] = on;
	}
	return 0;
}

int pf_option_from_api(struct pf_option *option, const struct proffs_options *api)
{
	struct proffs_options given = {0};
	int rc = set_defaults(option);

	if (api) {
		if (api->size < offsetof(struct proffs_options, mount) + sizeof(api->mount))
			return -EINVAL;
		memcpy(&given, api, api->size < sizeof(given) ? api->size : sizeof(given));
	}
	if (rc == 0 && given.mount)
		rc = set_mount(option, given.mount);
	if (rc == 0 && given.set)
		rc = parse_set(option, given.set);
	if (rc == 0 && given.enable)
		rc = parse_enable(option, given.enable);
	option->chosen = true;
	return rc;
}

/* ---- plain files ---- */

/* An absolute place: the program may change directory later. */
static int parse_place(char *out, const char *text)
{
	char cwd[PATH_MAX] = "";
	int length;

	if (!*text)
		return -EINVAL;
	if (text[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	length = snprintf(out, PATH_MAX, "%s%s%s", cwd, cwd[0] ? "/" : "", text);
	return length < 0 || length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* "USR2", "SIGUSR2", "RTMIN+3", "12". */
static int parse_signal(int *out, const char *text)
{
	char *end;
	long number;

	if (strncmp(text, "SIG", 3) == 0)
		text += 3;
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name && strcmp(name, text) == 0)
			return *out = sig, 0;
	}
	number = strncmp(text, "RTMIN+", 6) == 0 ? SIGRTMIN : 0;
	number += strtol(number ? text + 6 : text, &end, 10);
	if (*end || end == text || number < 1 || number > SIGRTMAX)
		return -EINVAL;
	*out = (int)number;
	return 0;
}

/* Who wants a profile wants it collected. "mem" is what go test calls the heap's. */
static int parse_profiles(struct pf_option *option, const char *text)
{
	size_t length;

	for (; (length = next_word(&text)); text += length) {
		bool memory = length == 3 && memcmp(text, "mem", 3) == 0;
		int which = memory ? PF_COLLECTOR_HEAP : find_collector(text, length);

		if (which < 0)
			return which;
		option->profiles[which] = option->collectors[which] = true;
	}
	return 0;
}

static void find_file_wishes(struct pf_option *option, const char **complaint)
{
	const char *at_exit = variable("PROFFS_DUMP_ON_EXIT");
	const char *dump_signal = variable("PROFFS_DUMP_SIGNAL");
	const char *toggle_signal = variable("PROFFS_TOGGLE_SIGNAL");
	const char *profile_dir = variable("PROFFS_PROFILE_DIR");
	const char *profiles = variable("PROFFS_PROFILES");

	if (at_exit && parse_place(option->dump_dir, at_exit) < 0)
		*complaint = "PROFFS_DUMP_ON_EXIT";
	option->dump_at_exit = option->dump_dir[0] != '\0';
	if (dump_signal && parse_signal(&option->dump_signal, dump_signal) < 0)
		*complaint = "PROFFS_DUMP_SIGNAL";
	if (option->dump_signal && !option->dump_dir[0])
		parse_place(option->dump_dir, "proffs-%p");
	if (toggle_signal && parse_signal(&option->toggle_signal, toggle_signal) < 0)
		*complaint = "PROFFS_TOGGLE_SIGNAL";
	if (profiles && parse_profiles(option, profiles) < 0)
		*complaint = "PROFFS_PROFILES";
	if (parse_place(option->profile_dir, profile_dir ? profile_dir : ".") < 0)
		*complaint = "PROFFS_PROFILE_DIR";
}

bool pf_option_wants_files_at_end(const struct pf_option *option)
{
	bool any = option->dump_at_exit;

	for (int i = 0; i < PF_COLLECTOR_COUNT; i++)
		any |= option->profiles[i];
	return any;
}

bool pf_option_wants_files(const struct pf_option *option)
{
	return option->dump_signal || option->toggle_signal || pf_option_wants_files_at_end(option);
}

bool pf_option_from_environment(struct pf_option *option, const char **complaint)
{
	static char name[64];
	const char *mount = variable("PROFFS_MOUNT");
	const char *run = variable("PROFFS_RUN");
	const char *enable = variable("PROFFS_ENABLE");
	const char *other = variable("PROFFS_ALLOW_OTHER");
	const char *value;
	bool chosen;

	*complaint = NULL;
	if (!mount || !*mount || getauxval(AT_SECURE))
		return false;
	chosen = run && strtol(run, NULL, 10) == getpid();
	if (run && !chosen && !strstr(mount, "%p"))
		return false;
	if (set_defaults(option) < 0)
		return false;
	option->chosen = chosen;
	option->patient = true;
	find_file_wishes(option, complaint);
	option->treeless = strcmp(mount, "none") == 0;
	option->allow_other = other && strcmp(other, "1") == 0;
	if (other && strcmp(other, "1") != 0 && strcmp(other, "0") != 0)
		*complaint = "PROFFS_ALLOW_OTHER";
	if (!option->treeless && strcmp(mount, "auto") != 0 && set_mount(option, mount) < 0)
		*complaint = "PROFFS_MOUNT";
	if (enable && parse_enable(option, enable) < 0)
		*complaint = "PROFFS_ENABLE";
	for (int id = 0; id < PF_KNOB_COUNT; id++) {
		int64_t number;

		pf_knob_env_name((enum pf_knob_id)id, name, sizeof(name));
		value = variable(name);
		if (!value)
			continue;
		if (pf_knob_parse((enum pf_knob_id)id, value, strlen(value), &number) < 0)
			*complaint = pf_knobs[id].path;
		else
			option->knobs[id] = number;
	}
	return true;
}

void pf_option_apply(const struct pf_option *option)
{
	for (int id = 0; id < PF_KNOB_COUNT; id++)
		if (option->knobs[id] != INT64_MIN)
			pf_knob_put((enum pf_knob_id)id, option->knobs[id]);
}

const char *pf_option_mount(const struct pf_option *option, char *out)
{
	if (!option->mount[0])
		return NULL;
	pf_option_fill(option->mount, out);
	return out;
}

void pf_option_fill(const char *place, char *out)
{
	pf_option_fill_for(place, getpid(), out);
}

void pf_option_fill_for(const char *place, pid_t pid, char *out)
{
	size_t n = 0;

	for (const char *from = place; *from && n + 16 < PATH_MAX; from++) {
		if (from[0] == '%' && from[1] == 'p') {
			n += (size_t)sprintf(out + n, "%d", (int)pid);
			from++;
			continue;
		}
		out[n++] = *from;
	}
	out[n] = '\0';
}
