/* A known profile in a view, as text. */
#pragma once
#include "base/buf.h"
#include "profiles.h"
#include "render/render.h"

/* Stops the test on any error; the caller finishes `out`. */
const char *drawn(struct pf_buf *out, const char *profile, pf_render_fn *view);
