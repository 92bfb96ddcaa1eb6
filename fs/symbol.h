/* Symbol: Go's /debug/pprof/symbol as a dialog: "0x401010+0x7f00...+..." in, names out
 * (reference: the pprof client's symbol protocol).
 *
 *     num_symbols: 1
 *     0x401010	main
 *
 * Addresses come as they are to be looked up; nothing is subtracted. One that has no name is left
 * out.
 */
#pragma once
#include "fs/table.h"

pf_show_fn pf_symbol_show; /* before the first question */
pf_ask_fn pf_symbol_ask;
