/* A thread interrupted at random moments of its own work. For tests. */
#pragma once
#include "work.h"

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

/* Runs `work` in a thread and calls `on_sample` in its signal handler, every `period_ns`, until it
 * has done so `samples` times. */
typedef void on_sample_fn(const ucontext_t *context, void *arg);
void sampling_run(work_fn *work, int depth, int64_t period_ns, uint32_t samples,
    on_sample_fn *on_sample, void *arg);

/* Calls `run` in a thread and waits for it: the unwinder learns from a thread that is not the main
 * one. */
void sampling_in_thread(void (*run)(void));
