#include "agent/dump.h"
#include "agent/heir.h"
#include "agent/library.h"
#include "agent/stderr.h"
#include "base/counter.h"
#include "base/forbid.h"
#include "base/glibc.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t rung;          /* atomic; a futex word: counts reasons to look around */
static uint32_t dumps_asked;   /* atomic */
static uint32_t toggles_asked; /* atomic */
static uint32_t stopping;      /* atomic */
static pid_t program;          /* whose files they are; a dump may be another process's work */

/* ---- signals ---- */

PF_SIGSAFE static void ring(uint32_t *asked)
{
	__atomic_fetch_add(asked, 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&rung, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&rung, 1);
}

PF_SIGSAFE static void on_dump_signal(int sig)
{
	ring(&dumps_asked);
}

PF_SIGSAFE static void on_toggle_signal(int sig)
{
	ring(&toggles_asked);
}

static void catch_if_free(int sig, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK};
	struct sigaction now;

	sigfillset(&action.sa_mask);
	if (sig && sigaction(sig, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
	    now.sa_handler == SIG_DFL)
		sigaction(sig, &action, NULL);
}

static void let_go(int sig, void (*handler)(int))
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	struct sigaction now;

	if (sig && sigaction(sig, NULL, &now) == 0 && now.sa_handler == handler)
		sigaction(sig, &standard, NULL);
}

void pf_dump_catch_signals(const struct pf_option *option)
{
	catch_if_free(option->dump_signal, on_dump_signal);
	catch_if_free(option->toggle_signal, on_toggle_signal);
}

/* ---- files ---- */

/* At the end there is no `status` any more that could tell: this is said instead, by the program's
 * thread or by the heir. The first failure, in words. Written by our first thread, or by the heir. */
static char complaint[PATH_MAX + 128];

static void note_failure(const struct pf_fs_dump *dump, const char *why)
{
	if (!complaint[0])
		snprintf(complaint, sizeof(complaint), "proffs: %s: %s", dump->directory, why);
}

static void write_dump(const struct pf_option *option, const struct pf_fs_dump *dump)
{
	struct pf_fs_dump whole = *dump;
	char lines[PATH_MAX];
	const char *why;
	int rc;

	whole.lines = pf_library_file(option->private_dir, "proffs-lines", lines);
	rc = pf_library_open(option->private_dir, &why);
	if (rc < 0) {
		pf_count(PF_COUNTER_DUMPS_FAILED);
		note_failure(dump, why);
		return;
	}
	rc = pf_library.dump(pf_sampler_door(), &whole); /* counts its failures */
	if (rc < 0)
		note_failure(dump, strerrordesc_np(-rc));
}

const char *pf_dump_complaint(void)
{
	return complaint[0] ? complaint : NULL;
}

/* The first is DIR/1, the next DIR/2. */
static void dump_now(const struct pf_option *option, uint32_t number)
{
	char base[PATH_MAX], place[PATH_MAX + 16];

	pf_option_fill(option->dump_dir, base);
	snprintf(place, sizeof(place), "%s/%u", base, number);
	mkdir(base, 0700); /* or it is there; or the dump says why not */
	write_dump(option, &(struct pf_fs_dump){.directory = place, .pid = program});
}

static void write_at_end(const struct pf_option *option, bool dead)
{
	struct pf_fs_dump dump = {.dead = dead, .pid = program};
	char place[PATH_MAX];

	dump.directory = place;
	if (option->dump_at_exit) {
		pf_option_fill_for(option->dump_dir, program, place);
		write_dump(option, &dump);
	}
	dump.command = option->command;
	dump.profiles = option->profiles;
	for (int i = 0; i < PF_COLLECTOR_COUNT; i++)
		if (option->profiles[i]) {
			pf_option_fill_for(option->profile_dir, program, place);
			write_dump(option, &dump);
			return;
		}
}

static void write_as_heir(const struct pf_option *option)
{
	complaint[0] = '\0'; /* our threads may have been at it when they ended */
	write_at_end(option, true);
	if (complaint[0])
		pf_stderr_say_afterwards(complaint, ": not all files are written", "\n");
}

/* Switching off forgets what was recorded: whoever wants the CPU profile gets it first. */
static void write_stretch(const struct pf_option *option)
{
	static const bool cpu_only[PF_COLLECTOR_COUNT] = {[PF_COLLECTOR_CPU] = true};
	char place[PATH_MAX];

	pf_option_fill(option->profile_dir, place);
	write_dump(option, &(struct pf_fs_dump){.directory = place,
			       .command = option->command,
			       .profiles = cpu_only,
			       .pid = program});
}

static void toggle_recorder(const struct pf_option *option)
{
	const struct pf_collector_ops *cpu = &pf_sampler_door()->collectors[PF_COLLECTOR_CPU];
	bool on = cpu->enabled();

	if (on && option->profiles[PF_COLLECTOR_CPU])
		write_stretch(option);
	cpu->enable(!on);
}

/* ---- the thread ---- */

static void *listen(void *option)
{
	uint32_t dumps = 0, toggles = 0;

	for (;;) {
		uint32_t seen = __atomic_load_n(&rung, __ATOMIC_ACQUIRE);

		while (dumps != __atomic_load_n(&dumps_asked, __ATOMIC_ACQUIRE))
			dump_now(option, ++dumps);
		for (; toggles != __atomic_load_n(&toggles_asked, __ATOMIC_ACQUIRE); toggles++)
			toggle_recorder(option);
		if (__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
			return NULL;
		pf_futex_wait(&rung, seen, -1);
	}
}

int pf_dump_start(const struct pf_option *option)
{
	program = getpid();
	if (pf_option_wants_files_at_end(option))
		pf_heir_appoint(option, write_as_heir);
	if (!option->dump_signal && !option->toggle_signal)
		return 0;
	return pf_crew_start("dump", listen, (void *)option);
}

static void hush(void)
{
	__atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&rung, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&rung, INT_MAX);
}

void pf_dump_finish(const struct pf_option *option)
{
	hush();
	complaint[0] = '\0'; /* what was written meanwhile failed into `status` */
	if (!pf_option_wants_files_at_end(option))
		return;
	write_at_end(option, false);
	pf_heir_dismiss();
}

void pf_dump_fork_child(struct pf_option *option)
{
	/* By a filter's word sigaction may be no call of ours; then they only ring for nobody. */
	if (!pf_is_forbidden(PF_FORBIDDEN_CREW | PF_FORBIDDEN_HOST)) {
		let_go(option->dump_signal, on_dump_signal);
		let_go(option->toggle_signal, on_toggle_signal);
	}
	rung = 0;
	dumps_asked = 0;
	toggles_asked = 0;
	stopping = 0;
	if (strstr(option->dump_dir, "%p") == NULL) {
		option->dump_at_exit = false;
		option->dump_signal = 0;
	}
	if (strstr(option->profile_dir, "%p") == NULL)
		memset(option->profiles, 0, sizeof(option->profiles));
	pf_heir_fork_child();
}
