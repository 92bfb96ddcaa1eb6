/* What exceptions say of themselves, and whether that can be read without running their code:
 *
 *     member    "text of it"       a std::string of its own, by c_str()
 *     literal   "a literal"
 *     both      "of its base"      std::runtime_error, virtually, beside another base
 *     second    "text of it"       as member, not the first base
 *     counted   "2"                kept by nobody before it is asked: only what() itself knows,
 *                                  and it counts how often it was asked
 *     hidden    nothing            std::runtime_error in private
 *     nowhere   nothing            what() gives the address 8
 *     bytes     "caf\xe9 \033[1m"  Latin-1, and a control character; the last one thrown
 *     and a pointer, std::bad_alloc ("std::bad_alloc")
 *
 * Throws each once, prints how often `counted` was asked, then "ready".
 */
#include <cstdio>
#include <new>
#include <stdexcept>
#include <string>
#include <unistd.h>

struct member : std::exception {
	std::string text{"text of it"};
	const char *what() const noexcept override { return text.c_str(); }
};

struct literal : std::exception {
	const char *what() const noexcept override { return "a literal"; }
};

struct bytes : std::exception {
	const char *what() const noexcept override { return "caf\xe9 \033[1m"; }
};

struct shelf {
	virtual ~shelf() {}
	long number = 0;
};

struct both : shelf, virtual std::runtime_error {
	both() : std::runtime_error("of its base") {}
};

struct second : shelf, member {};

static int asked;

struct counted : std::exception {
	mutable std::string text;
	const char *what() const noexcept override
	{
		text = std::to_string(++asked + 1);
		return text.c_str();
	}
};

struct hidden : private std::runtime_error {
	hidden() : std::runtime_error("not to be seen") {}
};

struct nowhere : std::exception {
	const char *at = (const char *)8;
	const char *what() const noexcept override { return at; }
};

static void throw_one(int which)
{
	static int target;

	switch (which) {
	case 0:
		throw member();
	case 1:
		throw literal();
	case 2:
		throw both();
	case 3:
		throw second();
	case 4:
		throw counted();
	case 5:
		throw hidden();
	case 6:
		throw &target;
	case 7:
		throw nowhere();
	case 8:
		throw std::bad_alloc();
	default:
		throw bytes();
	}
}

int main()
{
	for (int i = 0; i < 10; i++) {
		try {
			throw_one(i);
		} catch (...) {
		}
	}
	std::printf("asked %d\n", asked);
	std::puts("ready");
	std::fflush(stdout);
	for (;;)
		pause();
}
