#include "life.h"
#include "base/clock.h"
#include "base/lock.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/drain.h"
#include "sampler/stack.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t initialised; /* atomic, a futex */

static void *initialise(void *unused)
{
	pf_stack_init();
	if (pf_drain_start() < 0)
		abort();
	__atomic_store_n(&initialised, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&initialised, INT_MAX);
	return unused;
}

void life_start(void)
{
	if (pf_crew_start("test", initialise, NULL) < 0)
		abort();
	while (!__atomic_load_n(&initialised, __ATOMIC_ACQUIRE))
		pf_futex_wait(&initialised, 0, -1);
}

static void *collect(void *arg)
{
	struct life *life = arg;

	__atomic_store_n(&life->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	life->rc = life->collect(&life->profile, &life->query, &life->wait);
	__atomic_store_n(&life->over, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&life->over, INT_MAX);
	return NULL;
}

static void run(struct life *life, pf_collect_fn *collector, int64_t seconds_ns, int64_t hz)
{
	memset(life, 0, sizeof(*life));
	pf_profile_init(&life->profile);
	life->collect = collector;
	life->query.seconds_ns = seconds_ns;
	life->query.hz = hz;
	if (pf_crew_start("collect", collect, life) < 0)
		abort();
}

static int await(struct life *life)
{
	while (!__atomic_load_n(&life->over, __ATOMIC_ACQUIRE))
		pf_futex_wait(&life->over, 0, -1);
	return life->rc;
}

/* What the kernel has of a thread of ours in this file; false: nothing. */
static bool read_task(char *out, size_t size, pid_t tid, const char *name)
{
	char path[64];
	FILE *file;
	bool got;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)tid, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	got = fgets(out, (int)size, file);
	fclose(file);
	return got;
}

/* A collector whose window is open sleeps until that is to end. */
static bool waits_for_end(struct life *life)
{
	pid_t tid = __atomic_load_n(&life->tid, __ATOMIC_ACQUIRE);
	unsigned long word;
	char text[256];
	long call;

	return tid && read_task(text, sizeof(text), tid, "syscall") &&
	       sscanf(text, "%ld %lx", &call, &word) == 2 && call == SYS_futex &&
	       word == (uintptr_t)&life->wait.end;
}

void life_begin(struct life *life, pf_collect_fn *collector, int64_t hz)
{
	run(life, collector, 3600ll * PF_NS_PER_SECOND, hz);
	while (!waits_for_end(life) && !__atomic_load_n(&life->over, __ATOMIC_ACQUIRE))
		usleep(1000);
}

void life_go(struct life *life, pf_collect_fn *collector)
{
	run(life, collector, 0, 0);
}

int life_end(struct life *life)
{
	pf_wait_stop(&life->wait);
	return await(life);
}

int life_collect(struct life *life, pf_collect_fn *collector, int64_t seconds_ns)
{
	run(life, collector, seconds_ns, 0);
	return await(life);
}

static const struct pf_label *find(
    const struct pf_profile *p, const struct pf_sample *s, const char *key)
{
	for (uint32_t i = 0; i < s->label_count; i++)
		if (strcmp(p->labels[s->label_first + i].key, key) == 0)
			return &p->labels[s->label_first + i];
	return NULL;
}

int64_t life_number(const struct pf_profile *p, const struct pf_sample *s, const char *key)
{
	const struct pf_label *label = find(p, s, key);

	return label ? label->num : -1;
}

const char *life_text(const struct pf_profile *p, const struct pf_sample *s, const char *key)
{
	const struct pf_label *label = find(p, s, key);

	return label ? label->str : NULL;
}

const struct pf_sample *life_of_thread(const struct pf_profile *p, pid_t tid)
{
	for (size_t i = 0; i < p->sample_count; i++)
		if (life_number(p, &p->samples[i], "tid") == tid)
			return &p->samples[i];
	return NULL;
}

int64_t life_sum(const struct pf_profile *p, pid_t tid, int column)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		if (tid == 0 || life_number(p, &p->samples[i], "tid") == tid)
			sum += p->samples[i].value[column];
	return sum;
}

bool life_contains(
    const struct pf_profile *p, const struct pf_sample *s, const void *function, size_t size)
{
	for (uint32_t i = 0; i < s->pc_count; i++)
		if (p->pcs[s->pc_first + i] - (uintptr_t)function < size)
			return true;
	return false;
}

bool life_has_pc(const struct pf_profile *p, const struct pf_sample *s, uint64_t pc)
{
	return life_contains(p, s, (const void *)(uintptr_t)pc, 1);
}

int64_t life_at_leaf(const struct pf_profile *p, uint64_t pc, int column)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		if (p->pcs[p->samples[i].pc_first] == pc)
			sum += p->samples[i].value[column];
	return sum;
}

int64_t life_own_cpu_ns(void)
{
	return pf_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void life_burn(int64_t ns)
{
	static volatile uint64_t sink;
	int64_t until = life_own_cpu_ns() + ns;

	while (life_own_cpu_ns() < until)
		for (int i = 0; i < 5000; i++)
			sink = sink * 31 + 1;
}

enum { MINUTE_LOOKS = 6000, LOOK_US = 10000 };

bool life_until(bool (*is_so)(void))
{
	for (int i = 0; i < MINUTE_LOOKS; i++) {
		if (is_so())
			return true;
		usleep(LOOK_US);
	}
	return is_so();
}

bool life_burn_until(bool (*is_so)(void))
{
	for (int i = 0; i < MINUTE_LOOKS; i++) {
		if (is_so())
			return true;
		life_burn(LOOK_US * 1000ll);
	}
	return is_so();
}

bool life_sleeps(pid_t tid)
{
	char text[512];
	const char *state = read_task(text, sizeof(text), tid, "stat") ? strrchr(text, ')') : NULL;

	return state && strncmp(state, ") S", 3) == 0;
}

void life_wait_asleep(const pid_t *tid)
{
	pid_t t;

	while ((t = __atomic_load_n(tid, __ATOMIC_ACQUIRE)) == 0 || !life_sleeps(t))
		usleep(1000);
}

int life_apart(int (*in_child)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(in_child());
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void forbid(int number, unsigned flags)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0)
		abort();
}

void life_forbid(int number)
{
	forbid(number, 0);
}

void life_forbid_everybody(int number)
{
	forbid(number, SECCOMP_FILTER_FLAG_TSYNC);
}
