/* Status: the files that tell about the agent and the program in plain words. */
#pragma once
#include "fs/table.h"

/* Rows of fs/table.c. */
pf_show_fn pf_readme_show;
pf_show_fn pf_status_show;
pf_show_fn pf_window_status_show; /* arg: the index of a profile row */
