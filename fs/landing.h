/* Landing page: what a browser shows of a tree: health, settings, profiles, captures, files, charts. All
 * lists come from the tree and its table. HTML already; only the charts are drawn by the browser.
 *
 * Links are relative, so they work from file:// on the mount and in a copy of the whole tree.
 */
#pragma once
#include "fs/table.h"

pf_show_fn pf_landing_show;    /* index.html */
pf_show_fn pf_landing_go_show; /* debug/pprof/index.html: as net/http/pprof's, with counts */
