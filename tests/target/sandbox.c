/* A program that puts itself under a filter of system calls (seccomp).
 *
 * sandbox PIPE HOW [first] [tsync] [prctl] [early] [fork] [inchild]
 *
 * The right answer: it prints "worked", waits for a line from PIPE, prints "done" and exits with 7,
 * watched or not. HOW is `only` (what it needs itself; all else ends the process), `strict` (the same by
 * the kernel's own list), `bad` (a filter that the kernel refuses), or a system call that ends it, or
 * `errno:` and one that fails. Its first thread burns its time in `confined`, another one, created
 * before, in `free_of_it`; `first`: HOW is installed for the first thread alone, and then a filter that
 * allows all with TSYNC, which hands both on to the others; `early` installs it at the start of main, before there is a tree, else at the
 * first line from PIPE; `inchild`: by a forked child, which has threads and exits; not by the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *name;
	int number;
} calls[] = {
    {"timer_create", SYS_timer_create},
    {"process_vm_readv", SYS_process_vm_readv},
    {"perf_event_open", SYS_perf_event_open},
    {"rt_sigreturn", SYS_rt_sigreturn},
    {"gettid", SYS_gettid},
    {"getdents64", SYS_getdents64},
    {"execve", SYS_execve},
    {"umount2", SYS_umount2},
    {"openat", SYS_openat},
    {"getresuid", SYS_getresuid},
    {"pidfd_open", SYS_pidfd_open},
};

/* What this program and libc need from here to the end. */
static const int needed[] = {SYS_read, SYS_write, SYS_futex, SYS_exit, SYS_exit_group, SYS_mmap,
    SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_clone, SYS_clone3, SYS_rseq,
    SYS_set_robust_list, SYS_rt_sigprocmask, SYS_wait4};

static struct sock_filter code[64];
static unsigned short length;
static volatile bool stop;
static volatile double sink;
static bool tsync, by_prctl, forks, in_child, strict, first;

static void add(unsigned short op, unsigned char yes, unsigned char no, unsigned k)
{
	code[length++] = (struct sock_filter){op, yes, no, k};
}

static void answer_for(int number, unsigned action)
{
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (unsigned)number);
	add(BPF_RET | BPF_K, 0, 0, action);
}

static void write_filter(const char *how)
{
	unsigned action = SECCOMP_RET_KILL_PROCESS;

	add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	if (strcmp(how, "only") == 0) {
		for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
			answer_for(needed[i], SECCOMP_RET_ALLOW);
		add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
		return;
	}
	if (strcmp(how, "bad") == 0) {
		add(BPF_JMP | BPF_JA, 0, 0, 1000);
		return;
	}
	if (strncmp(how, "errno:", 6) == 0) {
		how += 6;
		action = SECCOMP_RET_ERRNO | EPERM;
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, how) == 0)
			answer_for(calls[i].number, action);
	add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

static void say(const char *line)
{
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		_exit(1);
}

static void hand_on(void)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog program = {1, &allow};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		say("not handed on\n");
}

static void confine(void)
{
	struct sock_fprog program = {length, code};
	long rc;

	/* As libseccomp asks whether the kernel knows the flag. */
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL);
	if (strict)
		rc = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	else if (by_prctl)
		rc = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	else
		rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    tsync ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program);
	if (rc != 0)
		say(errno == EINVAL ? "refused: EINVAL\n" : "refused\n");
	else if (first)
		hand_on();
}

static void work(void)
{
	for (int i = 0; i < 100000; i++)
		sink += i * 0.5;
}

static void confined(int pipe)
{
	char line;

	for (;;) {
		static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
		char *memory = malloc(100000);

		memory[0] = 1;
		pthread_mutex_lock(&lock);
		work();
		pthread_mutex_unlock(&lock);
		free(memory);
		if (read(pipe, &line, 1) == 1 && line == 'q')
			return;
	}
}

static void *free_of_it(void *unused)
{
	while (!stop)
		work();
	return unused;
}

static void *child(void *unused)
{
	for (int i = 0; i < 100; i++)
		work();
	return unused;
}

static void have_child(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, child, NULL) == 0)
		pthread_join(thread, NULL);
}

static void fork_child(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (in_child)
			confine();
		free(malloc(100));
		have_child();
		exit(3);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 3)
		say("the forked child ended otherwise\n");
}

int main(int argc, char **argv)
{
	bool early = false;
	pthread_t thread;
	char line;
	int pipe;

	if (argc < 3)
		return 2;
	pipe = open(argv[1], O_RDWR | O_NONBLOCK);
	strict = strcmp(argv[2], "strict") == 0;
	write_filter(argv[2]);
	for (int i = 3; i < argc; i++) {
		first |= strcmp(argv[i], "first") == 0;
		tsync |= strcmp(argv[i], "tsync") == 0;
		by_prctl |= strcmp(argv[i], "prctl") == 0;
		early |= strcmp(argv[i], "early") == 0;
		forks |= strcmp(argv[i], "fork") == 0;
		in_child |= strcmp(argv[i], "inchild") == 0;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return 2;
	pthread_create(&thread, NULL, free_of_it, NULL);
	say("ready\n");
	while (!early && read(pipe, &line, 1) != 1)
		work();
	if (!in_child)
		confine();
	for (int i = 0; i < 50; i++)
		work();
	if (!strict)
		have_child();
	if (forks || in_child)
		fork_child();
	say("worked\n");
	confined(pipe);
	stop = true;
	say("done\n");
	if (strict) {
		while (syscall(SYS_exit, 7))
			;
	}
	pthread_join(thread, NULL);
	return 7;
}
