/* A fuzz target is a file with this function: it eats any bytes, and must neither crash, nor leak,
 * nor take for ever. `scripts/fuzz NAME SECONDS` looks for bytes that make it; corpus/NAME has those
 * that are worth keeping, which replay.c feeds to it with every `scripts/test`.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
