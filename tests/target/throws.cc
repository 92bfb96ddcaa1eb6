/* Exceptions of known types, from known places. Argument: what to do.
 *
 *     counts [PLUGIN]    once "ready" is printed, the truth is
 *                          3 throw   std::logic_error    at thrown_early (before main)
 *                        300 throw   std::runtime_error  at throw_runtime      "no. 0 of many"
 *                        200 throw   shop::sold_out      at throw_sold_out     "sold out"
 *                        100 throw   shop::broken        at throw_broken       "pieces"
 *                          7 throw   int                 at throw_int
 *                        120 rethrow std::runtime_error  at rethrow_it
 *                         50 rethrow shop::sold_out      at rethrow_elsewhere, in another thread
 *                         60 throw   std::out_of_range   at look_outside
 *                         40 throw   plugin::error       at plugin_throw      (with PLUGIN)
 *     storm N M          N of std::runtime_error at throw_runtime, M at throw_other, mixed
 *     uncaught noexcept thread handler waiting waiting_late held held_late held_future held_made
 *     abort plain_abort plain_abort_held nested foreign
 *                        ends as C++ says, after one line of what it does
 *     matrix             what C++ promises about throwing, a line for each case
 */
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <unwind.h>
#include <vector>

namespace shop {

struct sold_out : std::exception {
	const char *what() const noexcept override { return "sold out"; }
};

struct shelf {
	virtual ~shelf() {}
	long number = 0;
};

/* Its std::exception is neither first nor at a fixed place. */
class broken : public shelf, public virtual std::exception {
	std::string text = "pieces";

public:
	const char *what() const noexcept override { return text.c_str(); }
};

} // namespace shop

#define NOINLINE __attribute__((noinline))

static NOINLINE void throw_runtime(int i)
{
	throw std::runtime_error("no. " + std::to_string(i) + " of many");
}

static NOINLINE void throw_other(int i)
{
	throw std::runtime_error("other no. " + std::to_string(i));
}

static NOINLINE void throw_sold_out()
{
	throw shop::sold_out();
}

static NOINLINE void throw_broken()
{
	throw shop::broken();
}

static NOINLINE void throw_int(int i)
{
	throw i;
}

static NOINLINE int look_outside(const std::vector<int> &v)
{
	return v.at(v.size() + 1);
}

static NOINLINE void rethrow_it()
{
	try {
		throw_runtime(0);
	} catch (const std::exception &) {
		throw;
	}
}

static NOINLINE void rethrow_elsewhere(const std::exception_ptr &e)
{
	std::rethrow_exception(e);
}

static NOINLINE void thrown_early()
{
	throw std::logic_error("early");
}

static int caught_early = [] {
	int caught = 0;

	for (int i = 0; i < 3; i++) {
		try {
			thrown_early();
		} catch (const std::logic_error &e) {
			caught += std::strcmp(e.what(), "early") == 0;
		}
	}
	return caught;
}();

template <class F> static int count(int times, F throwing)
{
	int caught = 0;

	for (int i = 0; i < times; i++) {
		try {
			throwing(i);
		} catch (...) {
			caught++;
		}
	}
	return caught;
}

static void say(const char *line)
{
	std::puts(line);
	std::fflush(stdout);
}

static void elsewhere(std::exception_ptr e)
{
	std::thread([e] { count(50, [&](int) { rethrow_elsewhere(e); }); }).join();
}

static int counts(const char *plugin)
{
	std::vector<int> v(3);
	std::exception_ptr kept;
	int caught = caught_early;

	caught += count(180, throw_runtime); /* and 120 more, by rethrow_it */
	caught += count(199, [](int) { throw_sold_out(); });
	try {
		throw_sold_out();
	} catch (...) {
		kept = std::current_exception();
	}
	caught += count(100, [](int) { throw_broken(); });
	caught += count(7, throw_int);
	caught += count(120, [](int) { rethrow_it(); });
	caught += count(60, [&](int) { look_outside(v); });
	elsewhere(kept);
	if (plugin) {
		void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
		auto run = handle ? (void (*)(int))dlsym(handle, "plugin_throw") : nullptr;

		if (!run)
			return 1;
		caught += count(40, run);
	}
	std::printf("caught %d\n", caught);
	say("ready");
	for (;;)
		pause();
}

static int storm(int n, int m)
{
	int caught = 0;

	/* In bursts, so that who always takes the first of a second would see one place only. */
	for (int burst = 0; burst < 100; burst++) {
		caught += count(n / 100, throw_runtime);
		caught += count(m / 100, throw_other);
	}
	std::printf("caught %d\n", caught);
	say("ready");
	for (;;)
		pause();
}

/* ---- ends ---- */

static void uncaught()
{
	throw_runtime(42);
}

static void past_noexcept() noexcept
{
	throw_sold_out();
}

static void in_thread()
{
	std::thread(uncaught).join();
}

static void handled()
{
	std::set_terminate([] {
		std::puts("my handler");
		std::fflush(stdout);
		std::_Exit(7);
	});
	throw_runtime(1);
}

static void waiting()
{
	std::set_terminate([] {
		say("ready");
		for (;;)
			pause();
	});
	throw_runtime(2);
}

/* The same after a thousand that somebody caught. */
static void waiting_late()
{
	count(1000, throw_runtime);
	waiting();
}

/* From here on SIGABRT has a handler that says "ready" and stays. */
static void stay_at_abort()
{
	std::signal(SIGABRT, [](int) {
		say("ready");
		for (;;)
			pause();
	});
}

/* As uncaught in a noexcept function. */
static void held()
{
	stay_at_abort();
	count(10, throw_runtime);
	past_noexcept();
}

/* As waiting_late. */
static void held_late()
{
	stay_at_abort();
	count(1000, throw_runtime);
	throw_runtime(3);
}

/* Nobody catches what a thread has failed with, after others that were brought in the same way and caught. */
static void held_future()
{
	std::exception_ptr failed;

	stay_at_abort();
	std::thread([&] {
		try {
			throw_sold_out();
		} catch (...) {
			failed = std::current_exception();
		}
	}).join();
	count(10, [&](int) { rethrow_elsewhere(failed); });
	rethrow_elsewhere(failed);
}

static void meet_noexcept(const std::exception_ptr &e) noexcept
{
	rethrow_elsewhere(e);
}

static void held_made()
{
	stay_at_abort();
	meet_noexcept(std::make_exception_ptr(shop::sold_out()));
}

static void aborting()
{
	count(10, throw_runtime);
	try {
		throw_broken();
	} catch (...) {
		abort();
	}
}

/* Of an exception long over. */
static void plain_abort()
{
	count(10, throw_runtime);
	abort();
}

static void plain_abort_held()
{
	stay_at_abort();
	plain_abort();
}

struct throws_again {
	~throws_again() noexcept(false) { throw_int(2); }
};

static void nested()
{
	throws_again t;
	throw_runtime(3);
}

struct foreign_exception {
	_Unwind_Exception header; /* aligned, as the ABI wants it */
};

static void raise_foreign()
{
	static foreign_exception e;

	std::memset(&e, 0, sizeof(e));
	e.header.exception_class = 0x4d4f5a0052555354; /* MOZ\0RUST */
	e.header.exception_cleanup = [](_Unwind_Reason_Code, _Unwind_Exception *) {};
	_Unwind_RaiseException(&e.header);
	std::puts("came back");
}

/* ---- what C++ promises ---- */

static void line(const char *name, bool good)
{
	std::printf("%s %s\n", name, good ? "good" : "BAD");
}

struct counted {
	static int alive;
	counted() { alive++; }
	counted(const counted &) { alive++; }
	~counted() { alive--; }
};
int counted::alive;

static NOINLINE void recurse(int depth)
{
	counted c;

	if (depth == 0)
		throw counted();
	recurse(depth - 1);
	asm volatile("");
}

static void matrix()
{
	bool good = false;

	errno = 77;
	try {
		recurse(300);
	} catch (counted &) {
		good = counted::alive == 1;
	}
	line("unwinds_all", good && counted::alive == 0);
	try {
		errno = 33;
		throw 5;
	} catch (int five) {
		line("errno_stays", errno == 33 && five == 5);
	}
	try {
		try {
			throw std::runtime_error("outer");
		} catch (...) {
			try {
				throw std::logic_error("inner");
			} catch (const std::logic_error &e) {
				line("nested", std::strcmp(e.what(), "inner") == 0);
			}
			std::throw_with_nested(std::domain_error("with"));
		}
	} catch (const std::domain_error &e) {
		try {
			std::rethrow_if_nested(e);
			line("with_nested", false);
		} catch (const std::runtime_error &n) {
			line("with_nested", std::strcmp(n.what(), "outer") == 0);
		}
	}
	try {
		throw &good;
	} catch (bool *p) {
		line("pointer", p == &good);
	}
	try {
		throw "text";
	} catch (const char *text) {
		line("text", std::strcmp(text, "text") == 0);
	}
	try {
		volatile size_t much = static_cast<size_t>(-1) / 4;
		delete[] new char[much];
	} catch (const std::bad_alloc &) {
		line("bad_alloc", true);
	}
	std::exception_ptr p = std::make_exception_ptr(std::runtime_error("made"));
	for (int i = 0; i < 3; i++) {
		try {
			std::rethrow_exception(p);
		} catch (const std::runtime_error &e) {
			line("exception_ptr", std::strcmp(e.what(), "made") == 0);
		}
	}
	line("none_in_flight", std::uncaught_exceptions() == 0 && !std::current_exception());
	std::atomic<int> caught{0};
	std::vector<std::thread> threads;
	for (int i = 0; i < 4; i++)
		threads.emplace_back([&] { caught += count(2000, throw_runtime); });
	for (auto &t : threads)
		t.join();
	line("threads", caught == 8000);
	try {
		static int made = [] {
			throw_int(1);
			return 1;
		}();
		line("static_guard", made == 2);
	} catch (int) {
		line("static_guard", true);
	}
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void (*run)();
	} runs[] = {{"uncaught", uncaught}, {"noexcept", past_noexcept}, {"thread", in_thread},
	    {"handler", handled}, {"waiting", waiting}, {"waiting_late", waiting_late},
	    {"held", held}, {"held_late", held_late}, {"held_future", held_future}, {"held_made", held_made},
	    {"abort", aborting},
	    {"plain_abort", plain_abort}, {"plain_abort_held", plain_abort_held}, {"nested", nested}, {"foreign", raise_foreign},
	    {"matrix", matrix}};
	const char *what = argc > 1 ? argv[1] : "";

	if (!std::strcmp(what, "counts"))
		return counts(argc > 2 ? argv[2] : nullptr);
	if (!std::strcmp(what, "storm") && argc > 3)
		return storm(std::atoi(argv[2]), std::atoi(argv[3]));
	for (const auto &r : runs) {
		if (std::strcmp(r.name, what))
			continue;
		say(what);
		if (argc > 2) /* time to be watched */
			std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(argv[2])));
		r.run();
		say("done");
		return 0;
	}
	return 2;
}
