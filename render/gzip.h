/* Gzip: bytes in piece by piece, one gzip member out; and back, bounded.
 *
 * The header carries no time, so equal bytes in are equal bytes out.
 */
#pragma once
#include "base/buf.h"

#include <stdint.h>

struct pf_gzip;

/* Compressed bytes are appended to `out`, where errors stick too; all calls take NULL. */
struct pf_gzip *pf_gzip_start(struct pf_buf *out);
void pf_gzip_add(struct pf_gzip *gzip, const void *bytes, size_t length);
void pf_gzip_end(struct pf_gzip *gzip); /* completes the member and frees */

/* Appends what `bytes` (one or more gzip members) unpack to: 0, -EINVAL for anything that is not
 * complete gzip, -EFBIG for more than `limit` bytes, -ENOMEM. */
int pf_gzip_unpack(struct pf_buf *out, const void *bytes, size_t length, size_t limit);

/* CRC-32 as in gzip and .gnu_debuglink: of nothing it is 0; goes on with more bytes. */
uint32_t pf_gzip_crc(uint32_t crc, const void *bytes, size_t length);
