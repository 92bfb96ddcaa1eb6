/* A plugin of tests/target/throws.cc and of tests/target/host.c: throws, in its own module. */
#include <stdexcept>

namespace plugin {

struct error : std::runtime_error {
	using std::runtime_error::runtime_error;
};

} // namespace plugin

static __attribute__((noinline)) void throw_in_plugin(int i)
{
	throw plugin::error(i ? "in the plugin" : "first in the plugin");
}

extern "C" __attribute__((visibility("default"))) void plugin_throw(int i)
{
	throw_in_plugin(i);
	asm volatile("");
}

/* For a host that knows no C++. */
extern "C" __attribute__((visibility("default"))) int plugin_throw_and_catch(int times)
{
	int caught = 0;

	for (int i = 0; i < times; i++) {
		try {
			plugin_throw(i);
		} catch (const plugin::error &) {
			caught++;
		}
	}
	return caught;
}
