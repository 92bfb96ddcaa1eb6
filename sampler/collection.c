#include "sampler/collection.h"
#include "base/clock.h"
#include "sampler/map.h"

#include <errno.h>

static int fill(const struct pf_collection *c, struct pf_profile *out, struct pf_window *window,
    int64_t hz, int64_t began_ns, int64_t ended_ns)
{
	int64_t now_ns = pf_clock_now_ns();
	int rc;

	pf_window_finish(window);
	out->name = pf_profile_string(out, c->name);
	pf_profile_add_type(out, "samples", "count");
	pf_profile_add_type(out, c->name, "nanoseconds");
	pf_profile_set_period(out, c->name, "nanoseconds", PF_NS_PER_SECOND / hz);
	out->time_ns = pf_clock_real_ns() - (now_ns - began_ns);
	out->duration_ns = ended_ns - began_ns;
	c->comment(out, hz);
	if (window->count == 0)
		pf_profile_comment(out, "no samples: %s", c->nothing);
	pf_loss_comment(out, c->losses, c->loss_count);
	rc = pf_window_fill(window, out);
	if (rc < 0)
		return rc;
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}

static int collect_window(const struct pf_collection *c, struct pf_profile *out,
    const struct pf_query *query, struct pf_wait *wait)
{
	struct pf_demand demand = {.hz = query->hz};
	struct pf_window window;
	int64_t began_ns, ended_ns;
	int rc = c->demand(&demand, true);

	if (rc < 0)
		return rc;
	pf_window_init(&window);
	c->bring_up_to_date();
	pf_feed_attach(c->feed, &window);
	began_ns = window.since_ns;
	rc = pf_wait_until(wait, began_ns + query->seconds_ns);
	ended_ns = pf_feed_close(c->feed, &window);
	c->bring_up_to_date();
	pf_feed_detach(c->feed, &window);
	if (!c->spans)
		ended_ns = pf_clock_now_ns();
	c->demand(&demand, false);
	if (rc >= 0)
		rc = fill(c, out, &window, query->hz ? query->hz : pf_knob_get(c->hz), began_ns,
		    ended_ns);
	pf_window_clear(&window);
	return rc;
}

static int collect_recorded(const struct pf_collection *c, struct pf_profile *out)
{
	struct pf_window window;
	int64_t since;
	int rc;

	if (!c->recorded())
		return -ENODATA;
	pf_window_init(&window);
	c->bring_up_to_date();
	since = pf_feed_replay(c->feed, &window);
	rc = since < 0 ? (int)since
		       : fill(c, out, &window, pf_knob_get(c->hz), since, pf_clock_now_ns());
	pf_window_clear(&window);
	return rc;
}

int pf_collection_run(const struct pf_collection *c, struct pf_profile *out,
    const struct pf_query *query, struct pf_wait *wait)
{
	return query->seconds_ns > 0 ? collect_window(c, out, query, wait)
				     : collect_recorded(c, out);
}
