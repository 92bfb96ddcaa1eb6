#include "render/site.h"
#include "base/buf.h"
#include "base/mark.h"
#include "render/render.h"
#include "render/text.h"

#include <inttypes.h>
#include <string.h>

static bool begins(const char *name, const char *const *beginnings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

bool pf_site_is_library(const char *name)
{
	static const char *const prefixes[] = {"std::", "__gnu_cxx::", "boost::thread",
	    "boost::detail::", "core::", "alloc::", "<std::", "<core::", "<alloc::", "rust_panic",
	    "rust_begin_unwind", "__rust_", "[libstdc++", "[libc++"};

	return begins(name, prefixes, PF_COUNT(prefixes));
}

static bool is_runtime(const struct pf_frame *frame)
{
	/* In shared objects of its own, or linked into the program. */
	static const char *const modules[] = {"libstdc++.so", "libc++.so", "libc++abi.so",
	    "libgcc_s.so", "libunwind.so", "libc.so.6"};
	static const char *const functions[] = {"__cxa_throw", "__cxa_rethrow",
	    "std::rethrow_exception", "std::__throw_", "_Unwind_RaiseException",
	    "std::thread::_M_start_thread"};

	return begins(frame->module, modules, PF_COUNT(modules)) ||
	       begins(frame->function, functions, PF_COUNT(functions));
}

const struct pf_frame *pf_site_frame(
    const struct pf_frames *frames, const struct pf_groups *groups, const struct pf_group *group)
{
	const uint32_t *ids = groups->ids + group->id_first;
	const struct pf_frame *library = NULL;

	for (uint32_t i = 0; i < group->depth; i++) {
		const struct pf_frame *frame = &frames->items[ids[i]];

		if (is_runtime(frame))
			continue;
		if (!pf_site_is_library(frame->function))
			return frame;
		if (!library)
			library = frame;
	}
	return library || !group->depth ? library : &frames->items[ids[0]];
}

void pf_site_stack(struct pf_buf *out, const struct pf_frames *frames,
    const struct pf_groups *groups, const struct pf_group *group)
{
	for (uint32_t i = 0; i < group->depth; i++) {
		pf_buf_str(out, "#     ");
		pf_text_frame(out, &frames->items[groups->ids[group->id_first + i]]);
		pf_buf_char(out, '\n');
	}
}

void pf_render_frames(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct pf_groups groups = {0};
	struct pf_frames frames;
	int rc = pf_frames_init(&frames, in);

	if (rc == 0)
		rc = pf_groups_init(&groups, &frames, pf_profile_default_type(in));
	for (size_t i = 0; rc == 0 && i < groups.count; i++)
		for (uint32_t k = 0; k < groups.items[i].depth; k++) {
			pf_buf_printf(out, "    #%" PRIu32 " ", k);
			pf_text_frame(out, &frames.items[groups.ids[groups.items[i].id_first + k]]);
			pf_buf_char(out, '\n');
		}
	if (rc < 0)
		pf_buf_fail(out, rc);
	pf_groups_finish(&groups);
	pf_frames_finish(&frames);
}
