#include "render/demangle.h"
#include "base/buf.h"
#include "base/place.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* How much stack a name may take, found by feeding the demangler its own grammar: 220 bytes a
 * letter at most while it parses, a bounded depth while it prints, and one table of 16 bytes for
 * each pair of a template and a template parameter, each of which it may count twice. */
enum {
	STACK_BASE_BYTES = 2 << 20,
	STACK_BYTES_A_LETTER = 512,
	STACK_BYTES_A_PAIR = 2 * 2 * 16,
	STACK_KEPT_BYTES = 4 << 20,
	STACK_MAX_BYTES = 64 << 20,
	GUARD_BYTES = 64 * 1024,
};

/* Longer answers are no names for people; a short hostile one may unfold to terabytes. */
enum { ANSWER_MAX = 64 * 1024 };

struct pf_demangler {
	char *stack; /* guard below included; kept for the next name */
	size_t stack_size;
	/* of the name being demangled: */
	const char *name;
	struct pf_buf *out;
	size_t start;
	bool done;
	jmp_buf too_long;
	ucontext_t caller, callee;
};

struct pf_demangler *pf_demangler_create(void)
{
	return calloc(1, sizeof(struct pf_demangler));
}

static void drop_stack(struct pf_demangler *d)
{
	if (d->stack)
		munmap(d->stack, d->stack_size);
	d->stack = NULL;
	d->stack_size = 0;
}

void pf_demangler_destroy(struct pf_demangler *d)
{
	if (d)
		drop_stack(d);
	free(d);
}

static size_t stack_need(const char *name, size_t length)
{
	size_t templates = 0, parameters = 0;

	for (const char *at = name; *at; at++) {
		templates += *at == 'I';
		parameters += *at == 'T';
	}
	return STACK_BASE_BYTES + length * STACK_BYTES_A_LETTER +
	       templates * parameters * STACK_BYTES_A_PAIR;
}

static bool ready_stack(struct pf_demangler *d, size_t need)
{
	size_t size = (need < STACK_KEPT_BYTES ? STACK_KEPT_BYTES : need) + GUARD_BYTES;
	char *at;

	if (d->stack_size >= size)
		return true;
	drop_stack(d);
	size = (size + GUARD_BYTES - 1) & ~(size_t)(GUARD_BYTES - 1);
	/* First without access and unlocked, so that a program that called mlockall() does not pay
	 * for pages nobody will touch. */
	at = pf_place_map(size, PROT_NONE, MAP_NORESERVE | MAP_STACK, -1);
	if (at == MAP_FAILED)
		return false;
	d->stack = at;
	d->stack_size = size;
	munlock(at, size);
	if (mprotect(at + GUARD_BYTES, size - GUARD_BYTES, PROT_READ | PROT_WRITE) == 0)
		return true;
	drop_stack(d);
	return false;
}

static void take_piece(const char *text, size_t length, void *demangler)
{
	struct pf_demangler *d = demangler;

	/* The callback cannot say stop; the demangler holds nothing that must be given back. (For
	 * Rust, at worst, one small block for one identifier in punycode.) */
	if (d->out->length - d->start + length > ANSWER_MAX)
		longjmp(d->too_long, 1);
	pf_buf_add(d->out, text, length);
}

/* On our own stack. */
static void run(unsigned low, unsigned high)
{
	struct pf_demangler *d =
	    (struct pf_demangler *)(uintptr_t)((uint64_t)high << 32 | (uint64_t)low);

	if (setjmp(d->too_long) != 0)
		return;
	/* Rust first: its legacy names are valid C++ names with a hash at the end. */
	if (rust_demangle_callback(d->name, 0, take_piece, d)) {
		d->done = true;
		return;
	}
	d->out->length = d->start;
	d->done =
	    cplus_demangle_v3_callback(d->name, DMGL_ANSI | DMGL_NO_RECURSE_LIMIT, take_piece, d);
}

bool pf_demangle(struct pf_demangler *d, const char *name, struct pf_buf *out)
{
	size_t length, need;

	if (!d || name[0] != '_' || (name[1] != 'Z' && name[1] != 'R') || out->error)
		return false;
	length = strnlen(name, PF_DEMANGLE_LENGTH_MAX + 1);
	if (length > PF_DEMANGLE_LENGTH_MAX)
		return false;
	need = stack_need(name, length);
	if (need > STACK_MAX_BYTES || !ready_stack(d, need) || getcontext(&d->callee) != 0)
		return false;
	d->name = name;
	d->out = out;
	d->start = out->length;
	d->done = false;
	d->callee.uc_stack.ss_sp = d->stack + GUARD_BYTES;
	d->callee.uc_stack.ss_size = d->stack_size - GUARD_BYTES;
	d->callee.uc_link = &d->caller;
	/* makecontext passes ints only. */
	makecontext(&d->callee, (void (*)(void))run, 2, (unsigned)(uintptr_t)d,
	    (unsigned)((uint64_t)(uintptr_t)d >> 32));
	swapcontext(&d->caller, &d->callee);
	if (d->stack_size > STACK_KEPT_BYTES + GUARD_BYTES)
		drop_stack(d);
	if (!d->done || out->error || out->length == d->start) {
		out->length = d->start;
		return false;
	}
	return true;
}
