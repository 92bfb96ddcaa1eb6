/* The answering side: proffs-lines, and commands that look at saved profiles. */
#include "render/demangle.h"
#include "render/lines.h"
#include "render/lines_dwarf.h"
#include "render/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct teller {
	struct pf_buf *answer;
	struct pf_demangler *demangler;
	size_t first; /* number of the module's first address */
};

static void add_text(struct pf_buf *out, const char *text)
{
	pf_buf_add(out, text, strlen(text) + 1);
}

/* Absolute, where that is known (reference rule R13). */
static void add_file(struct pf_buf *out, const char *file, const char *directory)
{
	if (file[0] && file[0] != '/' && directory[0] == '/') {
		pf_buf_str(out, directory);
		pf_buf_char(out, '/');
		file += strncmp(file, "./", 2) == 0 ? 2 : 0;
	}
	add_text(out, file);
}

static void tell(
    void *to, size_t index, const struct pf_line *lines, size_t count, const char *directory)
{
	struct teller *t = to;

	pf_buf_printf(t->answer, "f%zu", t->first + index);
	pf_buf_char(t->answer, '\0');
	for (size_t i = 0; i < count; i++) {
		pf_buf_printf(
		    t->answer, "l%" PRId64 " %" PRId64, lines[i].line, lines[i].start_line);
		pf_buf_char(t->answer, '\0');
		if (!pf_demangle(t->demangler, lines[i].system_name, t->answer))
			pf_buf_str(t->answer, lines[i].function);
		pf_buf_char(t->answer, '\0');
		add_text(t->answer, lines[i].system_name);
		add_file(t->answer, lines[i].file, directory);
	}
}

/* The offsets that follow, into `out`; what comes after them is pending. */
static void take_offsets(struct pf_lines_request *r, struct pf_buf *out)
{
	while ((r->pending = pf_lines_next(&r->texts)) && r->pending[0] == 'a') {
		uint64_t offset = strtoull(r->pending + 1, NULL, 16);

		pf_buf_add(out, &offset, sizeof(offset));
	}
}

enum { OTHERS_MAX = 4 };

struct module {
	const char *build_id, *path;
	const char *others[OTHERS_MAX]; /* where else it may be seen */
	size_t other_count;
};

static void take_others(struct pf_lines_request *r, struct module *m)
{
	while (r->texts.left && r->texts.at[0] == 'o') {
		const char *other = pf_lines_next(&r->texts);

		if (!other)
			return;
		if (m->other_count < OTHERS_MAX)
			m->others[m->other_count++] = other + 1;
	}
}

static int open_module(struct pf_dwarf **out, const struct module *m, const char *debug_root)
{
	int rc = pf_dwarf_open(out, m->path, m->path, m->build_id, debug_root);

	for (size_t i = 0; i < m->other_count && m->build_id[0]; i++)
		if (rc < 0 && rc != -ENODATA && rc != -ENOMEM)
			rc = pf_dwarf_open(out, m->path, m->others[i], m->build_id, debug_root);
	return rc;
}

static void answer_module(struct pf_lines_request *r, const struct module *m,
    const struct pf_buf *offsets, struct pf_buf *answer)
{
	struct teller teller = {answer, r->demangler, r->addresses};
	struct pf_dwarf *dwarf;
	int rc = open_module(&dwarf, m, r->debug_root);

	if (rc < 0) {
		pf_buf_printf(answer, "%s%zu", rc == -ENODATA ? "none" : "gone", r->modules);
		pf_buf_char(answer, '\0');
		return;
	}
	/* malloc's alignment is enough for offsets. */
	pf_dwarf_find(dwarf, (const uint64_t *)(const void *)offsets->at,
	    offsets->length / sizeof(uint64_t), tell, &teller);
	pf_dwarf_close(dwarf);
}

void pf_lines_begin(struct pf_lines_request *r, const void *asked, size_t length)
{
	*r = (struct pf_lines_request){.texts = {asked, length}};
	r->debug_root = pf_lines_next(&r->texts);
	r->pending = pf_lines_next(&r->texts);
	r->demangler = pf_demangler_create();
}

void pf_lines_end(struct pf_lines_request *r)
{
	pf_demangler_destroy(r->demangler);
	r->demangler = NULL;
}

int pf_lines_answer(struct pf_lines_request *r, struct pf_buf *answer)
{
	PF_SCOPED(pf_buf) offsets = PF_BUF_INIT;
	struct module module = {.build_id = r->pending};

	if (module.build_id && module.build_id[0] == 'm')
		module.path = pf_lines_next(&r->texts);
	if (!module.path)
		return 0;
	module.build_id++;
	if (!r->demangler)
		return -ENOMEM;
	take_others(r, &module);
	take_offsets(r, &offsets);
	if (offsets.error)
		return offsets.error;
	answer_module(r, &module, &offsets, answer);
	r->addresses += offsets.length / sizeof(uint64_t);
	r->modules++;
	return answer->error ? answer->error : 1;
}

int pf_lines_ask_here(void *unused, const struct pf_buf *asked, struct pf_buf *answer)
{
	struct pf_lines_request request;
	int rc;

	pf_lines_begin(&request, asked->at, asked->length);
	do
		rc = pf_lines_answer(&request, answer);
	while (rc > 0);
	pf_lines_end(&request);
	return rc;
}
