/* Truth: the ways in which C++, Rust and others wait, one after the other, each below the function of its
 * name. Begins when the file `go` is there; prints "done" and stays.
 *
 *   in std_unlock      a std::mutex is let go of after 100 ms, in which wait_std waited for it
 *   in three_unlock    the same with a lock of three states by syscall(SYS_futex), as Rust's is: wait_three
 *   wait_atomic        waits 100 ms in std::atomic::wait (C++20)
 *   wait_gate          the same for a latch of two, which open_gate lets go of: a word like a lock's, and none
 *   wait_condition     100 ms in std::condition_variable::wait_for
 *   wait_raw           1 s in a futex by a system call of its own, for a word that looks like a lock's
 *   nap                100 ms in nanosleep; read_pipe 100 ms in read, for a byte; read_much never waits
 */
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdio>
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

	condition.wait_for(lock, 100ms);
}

/* Without the C library. */
static PLAIN void wait_raw()
{
	struct timespec t = {1, 0};
#if defined(__x86_64__)
	register long timeout __asm__("r10") = (long)&t;
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(SYS_futex), "D"(&raw), "S"(FUTEX_WAIT_PRIVATE), "d"(2L), "r"(timeout)
			 : "rcx", "r11", "memory");
#else
	syscall(SYS_futex, &raw, FUTEX_WAIT_PRIVATE, 2, &t, nullptr, 0);
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

int main()
{
	while (access("go", F_OK) != 0)
		usleep(10000);
	if (pipe(pipes) != 0)
		return 1;
	mutex.lock();
	std::thread a(wait_std);
	std::this_thread::sleep_for(100ms);
	std_unlock();
	a.join();
	wait_three();
	std::thread b([] {
		wait_three();
		three_unlock();
	});
	std::this_thread::sleep_for(100ms);
	three_unlock();
	b.join();
	std::thread c(wait_atomic);
	std::this_thread::sleep_for(100ms);
	word = 1;
	word.notify_one();
	c.join();
	std::thread g(wait_gate);
	std::this_thread::sleep_for(100ms);
	open_gate();
	g.join();
	wait_condition();
	std::thread d(wait_raw);
	nap();
	std::thread e(read_pipe);
	std::this_thread::sleep_for(100ms);
	if (write(pipes[1], "x", 1) != 1)
		return 1;
	e.join();
	read_much();
	d.join();
	puts("done");
	fflush(stdout);
	for (;;)
		pause();
}
