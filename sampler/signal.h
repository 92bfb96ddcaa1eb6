/* Signal: the one real-time signal we take from the program's, and how we know our own.
 *
 * Chosen at first need: the highest that the program neither handles, ignores nor blocks anywhere.
 * The handler then stays for ever: one signal still queued at its removal would kill the program.
 * Every signal of ours carries a value that no other sender makes: our mark, what it is for, and
 * slot and generation of the thread it is meant for, so that late ones are known and dropped.
 */
#pragma once
#include "sampler/thread.h"

#include <signal.h>

enum pf_signal_purpose { PF_SIGNAL_SAMPLE, PF_SIGNAL_ASK };

/* Chooses and installs, once: 0, or -EBUSY when every real-time signal is taken. Our own threads. */
int pf_signal_install(void);

/* The number, or 0 before pf_signal_install(). */
int pf_signal_number(void);

/* Has this number ever been ours? In a hook, too. */
bool pf_signal_was_ours(int signal);

/* Is that action our handler? In a hook, too. */
bool pf_signal_is_handler(const struct sigaction *action);

/* In a handler: did we send this, for a sample or a question? */
bool pf_signal_is_from_us(const siginfo_t *info);

/* It has come to a handler of the program's, and is dropped. PF_SIGSAFE. */
void pf_signal_dropped(const siginfo_t *info);

/* False when the program has meanwhile put its own handler in our place. In a hook, too. */
bool pf_signal_is_ours(void);

/* Leaves the signal to the program and takes another: as pf_signal_install(). */
int pf_signal_move(void);

/* In the child after fork, while one of the parent's threads may have been choosing. */
void pf_signal_fork_child(void);

/* The signals that a thread blocks while it is in our handler and blocked none before. */
uint64_t pf_signal_mask_inside(void);

/* What a timer or a queued signal for this thread must carry. */
union sigval pf_signal_value(const struct pf_thread *thread, enum pf_signal_purpose purpose);

/* How a handler of ours is to be installed. */
typedef void pf_signal_handler_fn(int signal, siginfo_t *info, void *context);
void pf_signal_action(struct sigaction *action, pf_signal_handler_fn *handler);

/* From now on the handler works on the stack that it interrupts. PF_SIGSAFE. */
void pf_signal_leave_stacks(void);
/* The same for another handler of ours, if it has that signal. PF_SIGSAFE. */
void pf_signal_leave_stack(int signal, pf_signal_handler_fn *handler);

/* In the handler: how much room a capture needs below it, and whether it is there. PF_SIGSAFE. */
bool pf_signal_has_room(struct pf_thread *thread, const ucontext_t *context);
