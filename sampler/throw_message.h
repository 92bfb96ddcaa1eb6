/* Throw message: what an exception says of itself, read without running a line of the program.
 *
 * Where the type derives publicly from std::exception, its what() is looked at: nearly all of them
 * return a member or a literal, and what such code returns can be worked out (throw_what.h). Where
 * it cannot, the text that std::runtime_error and std::logic_error keep is taken. Else there is no
 * message, unless config/exception_messages is 2: then what() is called (doc/decisions/0009).
 */
#pragma once
#include "sampler/throw_abi.h"

#include <stdbool.h>
#include <stddef.h>

enum { PF_THROW_MESSAGE = 200 };

/* Fills `out` of PF_THROW_MESSAGE bytes; "" where there is none. PF_HOOK. */
void pf_throw_message(char *out, const struct pf_type_info *type, void *object);

/* The symbol of a module's PLT relocation by its number, `code` anywhere in the module; NULL: not
 * known. PF_HOOK. */
const char *pf_throw_plt_name(const void *code, uint32_t number);

/* Can the eight bytes around this address be read? Asks the kernel; errno is kept. PF_HOOK. */
bool pf_throw_readable(const void *at);
