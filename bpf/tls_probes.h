/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is done at which place of a TLS library. */
#pragma once

static __always_inline void on_tls_probe(const struct pt_regs *regs, __u64 probe)
{
	struct plaintext p = {};

	switch (probe & TLS_PLACE) {
	case TLS_ENTER:
		on_tls_enter(regs, probe);
		break;
	case TLS_EXIT:
		if (probe & TLS_GNUTLS)
			on_gnutls_exit(&p, regs, probe);
		else
			on_tls_exit(&p, regs, probe);
		break;
	case TLS_BIO_WRITE:
		p = (struct plaintext){FUNCTION_ARG1(regs), 0, bpf_ktime_get_ns(), DIRECTION_SENT | PLAINTEXT_OF_WRITER, on_bio_write(regs)};
		break;
	case TLS_SET_BIO:
		on_set_bio(FUNCTION_ARG1(regs), FUNCTION_ARG3(regs));
		break;
	case TLS_SET_WBIO:
		on_set_bio(FUNCTION_ARG1(regs), FUNCTION_ARG2(regs));
		break;
	case TLS_GO_ENTER:
		on_go_enter(&p, regs, probe);
		break;
	case TLS_GO_EXIT:
		on_go_exit(&p, regs, probe);
		break;
	case TLS_GO_RECORD:
		on_go_record(&p, regs);
		break;
	case TLS_PUSH:
		on_gnutls_push(regs, probe);
		break;
	}
	if (p.length)
		on_plaintext(p.object, p.bytes, p.began, p.direction & (PLAINTEXT_OF_WRITER | 1), p.length);
}
