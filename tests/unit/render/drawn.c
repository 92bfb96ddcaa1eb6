#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

const char *drawn(struct pf_buf *out, const char *profile, pf_render_fn *view)
{
	PF_SCOPED(pf_profile) p = {0};

	assert_true(make_profile(&p, profile));
	view(out, &p, &(struct pf_query){0});
	assert_int_equal(out->error, 0);
	return pf_buf_text(out);
}
