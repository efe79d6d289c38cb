/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What user space sets before it loads the programs of either mode: constants to the verifier. */
#pragma once

const volatile __u32 shard_mask = 0;    /* shards - 1; shards are a power of two */
const volatile __u32 wakeup_bytes = 0;  /* a ring buffer holding this much wakes its reader */
const volatile __u32 crowded_bytes = 0; /* a ring buffer holding more than this takes no large payloads */
const volatile __u32 excluded_pid = 0;  /* the collector itself; 0: nobody */
const volatile __u32 follow_data = 0;   /* payload is captured */
const volatile __u32 follow_unix = 0;   /* Unix stream sockets are followed */
const volatile __u32 follow_uring = 0;  /* it is found out where io_uring has its bytes */
const volatile __u32 follow_udp = 0;    /* UDP flows are followed */
const volatile __u32 follow_datagram_data = 0; /* payload of datagrams is captured */
const volatile __u32 follow_tls = 0;    /* TLS libraries are looked into */
const volatile __u32 payload_limit = 0; /* bytes captured of one call, unless user space wants less */
const volatile __u32 payload_burst = 0;   /* bytes captured of a burst, unless user space says how many */
const volatile __u32 policy_mask = 0;   /* slots of policies - 1 */
const volatile __u64 datagram_idle = 0; /* ns without a datagram after which a flow has ended */

/*
 * A signature is the beginning of a conversation that has to be captured whole from its first byte on. The bursts of such a
 * conversation may therefore be as long as if user space had decided already. All zero: there is no signature.
 */
struct signature {
	__u64 bytes[SIGNATURE_LEN / 8];
	__u64 peer[SIGNATURE_LEN / 8];      /* what the other side begins with: the bits of peer_mask */
	__u64 peer_mask[SIGNATURE_LEN / 8]; /* zero: that is not known */
	__u64 form[2];  /* of the frames of the side that has the signature, and of the other (enum frame_form); 0: there are none */
	__u64 first[2]; /* position of the first of them */
};

const volatile struct signature signatures[SIGNATURES_MAX];
const volatile __u32 signature_burst = 0;
