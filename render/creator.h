/* Creator: who created a thread, by name.
 *
 * The sampler says where the creating call came from: labels `created_by` of one sample, addresses,
 * innermost frame first. The innermost is often the library that makes threads out of the language
 * (std::thread, std::async, Rust's std::thread::spawn), and says nothing: the first frame beyond it is
 * meant.
 */
#pragma once

struct pf_profile;

/* Once locations have names: makes one label, a text, of these. */
void pf_creator_name(struct pf_profile *p);
