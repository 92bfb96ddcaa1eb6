/* What an exception in flight looks like: the Itanium C++ ABI, levels I and II, as libstdc++ and
 * libc++abi lay it out. Read only; nothing of the program's is called.
 *
 *     ... type_info * | handlers, counts ... | unwind header (32 bytes) | the thrown object
 *         -80           -72                    0                          +32
 *
 * A dependent exception (std::rethrow_exception) has no object of its own behind the header.
 */
#pragma once
#include <stdint.h>

struct pf_type_info {
	void **functions; /* [-1]: the type_info of its own class */
	const char *name; /* mangled; a leading '*': of this file alone */
};

struct pf_unwind_header {
	uint64_t language; /* "GNUCC++\0" and its like, the first letter on top */
	void (*cleanup)(int reason, struct pf_unwind_header *header);
	uint64_t private_words[2];
} __attribute__((aligned(16)));

struct pf_cxx_header {             /* ends where the unwind header begins */
	struct pf_type_info *type; /* libstdc++, dependent: the primary's object */
	void *destructor, *unexpected, *terminate, *next;
	int handler_count; /* negative while rethrown (libc++abi) */
	int handler_switch;
	void *action, *language_data, *catch_temp, *adjusted;
};

/* What __cxa_get_globals_fast() points at. */
struct pf_cxx_globals {
	char *caught; /* the header before the unwind header, as this runtime begins it */
	unsigned uncaught_count;
};

enum {
	PF_CXX_HEADER_BYTES = 80,         /* before the unwind header, libstdc++ */
	PF_CXX_HEADER_COUNTED_BYTES = 96, /* the same with libc++abi's reference count in front */
};

static const uint64_t PF_LANGUAGE_GNU = 0x474e5543432b2b00;  /* GNUCC++ */
static const uint64_t PF_LANGUAGE_LLVM = 0x434c4e47432b2b00; /* CLNGC++ */
static const uint64_t PF_LANGUAGE_DEPENDENT = 1;             /* added to either */
static const uint64_t PF_LANGUAGE_RUST = 0x4d4f5a0052555354; /* MOZ\0RUST */
