/* UTF-8: names come from ELF files and programs and may be any bytes; some readers of protobuf
 * refuse a file for one bad byte, and all print them to somebody's terminal. */
#pragma once

struct pf_buf;

/* Appends `text` with every byte that is not part of valid UTF-8 as U+FFFD, and control characters,
 * those above 0x80 too, as '?'. */
void pf_utf8_add_plain(struct pf_buf *buf, const char *text);
