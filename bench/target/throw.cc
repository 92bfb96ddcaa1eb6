/* Throws and thread creations, in nanoseconds. One line each: WHAT WAY NANOSECONDS.
 *
 *     throw_2, throw_20    throw and catch through so many frames
 *     create               pthread_create and pthread_join, CPU time of both threads
 *
 * With PLAIN: without the agent, way "plain". Else: exceptions "off", "on" (every stack is taken),
 * "storm" (on, as it comes: at this rate nearly no stack is), "off" again, ROUNDS times.
 */
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <pthread.h>
#include <stdexcept>
#include <string>
#ifndef PLAIN
#include "proffs/proffs.h"

#include <fcntl.h>
#include <unistd.h>
#endif

static int64_t now_ns()
{
	timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Of both threads, and of ours, which sleep. */
static int64_t process_ns()
{
	timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static __attribute__((noinline)) int down(int depth)
{
	if (depth == 0)
		throw std::runtime_error("a text too long for the string itself to keep");
	int below = down(depth - 1);

	asm volatile("" : "+r"(below));
	return below + 1;
}

static __attribute__((noinline)) int catch_one(int depth)
{
	try {
		return down(depth);
	} catch (const std::exception &) {
		return 0;
	}
}

static double throws(int depth, int times)
{
	int64_t start = now_ns();

	for (int i = 0; i < times; i++)
		catch_one(depth);
	return double(now_ns() - start) / times;
}

static void *nothing(void *unused)
{
	return unused;
}

static double creates(int times)
{
	int64_t start = process_ns();

	for (int i = 0; i < times; i++) {
		pthread_t thread;

		if (pthread_create(&thread, nullptr, nothing, nullptr) != 0)
			abort();
		pthread_join(thread, nullptr);
	}
	return double(process_ns() - start) / times;
}

static void measure(const char *way)
{
	std::printf("throw_2 %s %.1f\n", way, throws(2, 4000));
	std::printf("throw_20 %s %.1f\n", way, throws(20, 1500));
}

#ifndef PLAIN
static void control(const char *name, const char *value)
{
	std::string path = std::string(proffs_path()) + "/" + name;
	int fd = open(path.c_str(), O_WRONLY);

	if (fd < 0 || write(fd, value, std::char_traits<char>::length(value)) < 0) {
		std::perror(path.c_str());
		std::exit(1);
	}
	close(fd);
}
#endif

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? std::atoi(argv[1]) : 5;

#ifndef PLAIN
	proffs_options options = proffs_options();

	options.size = sizeof(options);
	options.enable = "0";
	if (proffs_start(&options) != 0)
		return 1;
#endif
	throws(2, 2000); /* warm */
	throws(20, 2000);
	creates(100);
	for (int i = 0; i < rounds; i++) {
#ifdef PLAIN
		measure("plain");
		std::printf("create plain %.1f\n", creates(1000));
#else
		measure("off");
		std::printf("create watched %.1f\n", creates(1000));
		control("enable", "+exceptions");
		control("config/exception_stacks", "1000000");
		measure("on");
		control("config/exception_stacks", "1000");
		measure("storm");
		control("enable", "-exceptions");
#endif
	}
#ifndef PLAIN
	measure("off");
	return proffs_stop() == 0 ? 0 : 1;
#endif
}
