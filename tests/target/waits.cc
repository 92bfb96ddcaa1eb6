/* Truth: the ways in which C++, Rust and others wait, one after the other, each below the function of its
 * name. Begins when the file `go` is there, and says of each how long it has waited, in milliseconds:
 * "NAME AT-LEAST AT-MOST", from when all saw it asleep until it was let go, and all that it was in there.
 *
 *   in std_unlock      a std::mutex is let go of, for which wait_std waits
 *   in three_unlock    the same with a lock of three states by syscall(SYS_futex), as Rust's is: wait_three
 *   wait_atomic        waits in std::atomic::wait (C++20)
 *   wait_gate          the same for a latch of two, which open_gate lets go of: a word like a lock's, and none
 *   wait_future        for a std::promise, which fulfil keeps: it has held no lock either
 *   wait_condition     in std::condition_variable::wait_for
 *   nap                100 ms in nanosleep; read_pipe in read, for a byte; read_much never waits
 *   read_until_signal  in read, until a handler comes that reads, too, and has not to wait for it
 *   wait_raw           in a futex by a system call of its own, for a word that looks like a lock's: from
 *                      "waiting", when all the others are done, until the file `end` is there; then "done"
 */
#include "task.h"

#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <future>
#include <linux/futex.h>
#include <mutex>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace std::chrono_literals;

#define PLAIN __attribute__((noinline))

static std::mutex mutex;
static std::condition_variable condition;
static std::atomic<int> word;
static std::atomic<uint32_t> three; /* 0 free, 1 held, 2 held and waited for (Drepper) */
static std::atomic<uint32_t> gate{2};
static uint32_t raw = 2;
static int pipes[2];

static long futex(std::atomic<uint32_t> *at, int op, uint32_t value)
{
	return syscall(SYS_futex, at, op | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

static PLAIN void wait_three()
{
	uint32_t was = 0;

	if (three.compare_exchange_strong(was, 1))
		return;
	while (three.exchange(2) != 0)
		futex(&three, FUTEX_WAIT, 2);
}

static PLAIN void three_unlock()
{
	if (three.exchange(0) == 2)
		futex(&three, FUTEX_WAKE, 1);
}

static PLAIN void wait_gate()
{
	while (gate != 0)
		futex(&gate, FUTEX_WAIT, 2);
}

static PLAIN void open_gate()
{
	gate = 0;
	futex(&gate, FUTEX_WAKE, INT_MAX);
}

static std::promise<int> promise;

static PLAIN void wait_future()
{
	if (promise.get_future().get() != 1)
		std::terminate();
}

static PLAIN void fulfil()
{
	promise.set_value(1);
}

static PLAIN void wait_std()
{
	mutex.lock();
	mutex.unlock();
}

static PLAIN void std_unlock()
{
	mutex.unlock();
}

static PLAIN void wait_atomic()
{
	word.wait(0);
}

static PLAIN void wait_condition()
{
	std::unique_lock<std::mutex> lock(mutex);

	condition.wait_for(lock, 1h);
}

/* Without the C library. */
static PLAIN void wait_raw()
{
#if defined(__x86_64__)
	register long timeout __asm__("r10") = 0;
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(SYS_futex), "D"(&raw), "S"(FUTEX_WAIT_PRIVATE), "d"(2L), "r"(timeout)
			 : "rcx", "r11", "memory");
#else
	syscall(SYS_futex, &raw, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
#endif
}

static PLAIN void nap()
{
	struct timespec t = {0, 100000000};

	nanosleep(&t, nullptr);
}

static PLAIN void read_pipe()
{
	char byte;

	if (read(pipes[0], &byte, 1) != 1)
		std::terminate();
}

static PLAIN void read_much()
{
	static char much[1 << 22];
	FILE *zero = fopen("/dev/zero", "r");

	for (int i = 0; i < 20; i++) /* hundreds of microseconds each, all of them copying */
		if (read(fileno(zero), much, sizeof(much)) < 0)
			std::terminate();
	fclose(zero);
}

static int zero_fd;

static void read_in_handler(int)
{
	char byte;

	for (int i = 0; i < 3; i++)
		if (read(zero_fd, &byte, 1) != 1)
			std::terminate();
}

static PLAIN void read_until_signal()
{
	char byte;

	if (read(pipes[0], &byte, 1) != -1)
		std::terminate();
}

static void prepare_signal()
{
	struct sigaction action = {};

	zero_fd = open("/dev/zero", O_RDONLY);
	action.sa_handler = read_in_handler;
	sigaction(SIGUSR2, &action, nullptr); /* no SA_RESTART */
}

using steady = std::chrono::steady_clock;

static double ms(steady::duration d)
{
	return std::chrono::duration<double, std::milli>(d).count();
}

static pid_t waiter; /* who is about to wait */

static void say(const char *name, double least, double most)
{
	std::printf("%s %.3f %.3f\n", name, least, most);
	std::fflush(stdout);
}

/* One thread waits until another, a while after it was seen asleep, lets it go. */
static void let_wait(const char *name, void (*wait)(), void (*let_go)())
{
	steady::duration most;

	waiter = 0;
	std::thread thread([&] {
		auto begin = steady::now();

		task_says(&waiter);
		wait();
		most = steady::now() - begin;
	});
	task_wait_asleep(&waiter);
	auto asleep = steady::now();
	std::this_thread::sleep_for(100ms);
	auto least = steady::now() - asleep;
	let_go();
	thread.join();
	say(name, ms(least), ms(most));
}

static void nap_once()
{
	auto begin = steady::now();

	nap();
	say("nap", 100, ms(steady::now() - begin));
}

static bool is_there(const char *file)
{
	return access(file, F_OK) == 0;
}

static void wait_for_file(const char *file)
{
	while (!is_there(file))
		usleep(10000);
}

int main()
{
	wait_for_file("go");
	if (pipe(pipes) != 0)
		return 1;
	mutex.lock();
	let_wait("wait_std", wait_std, std_unlock);
	wait_three();
	let_wait(
	    "wait_three",
	    [] {
		    wait_three();
		    three_unlock();
	    },
	    three_unlock);
	let_wait("wait_atomic", wait_atomic, [] {
		word = 1;
		word.notify_one();
	});
	let_wait("wait_gate", wait_gate, open_gate);
	let_wait("wait_future", wait_future, fulfil);
	let_wait("wait_condition", wait_condition, [] { condition.notify_one(); });
	nap_once();
	let_wait("read_pipe", read_pipe, [] {
		if (write(pipes[1], "x", 1) != 1)
			std::terminate();
	});
	read_much();
	prepare_signal();
	let_wait("read_until_signal", read_until_signal,
	    [] { syscall(SYS_tgkill, getpid(), waiter, SIGUSR2); });
	waiter = 0;
	std::thread d([] {
		task_says(&waiter);
		wait_raw();
	});
	task_wait_asleep(&waiter);
	puts("waiting");
	fflush(stdout);
	wait_for_file("end");
	syscall(SYS_futex, &raw, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
	d.join();
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}
