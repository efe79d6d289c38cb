/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The events that the kernel side emits. These structs are the one definition of an event: bpf2go derives
 * the Go types from them. Every member is explicit and aligned, so that both compilers lay them out alike.
 */
#pragma once

#define ADDRESS_LEN 16
#define COMM_LEN 16
#define PATH_LEN 1024
#define PATH_PART_MAX 256
#define PATH_DEPTH_MAX 64
#define ARGS_LEN 512
#define ENVIRON_LEN 4096
#define RULES_MAX 64
#define TICK_NS 10000000 /* USER_HZ is 100 */
#define SHARDS_MAX 8
#define UNIX_PATH_LEN 108
#define PAYLOAD_MAX 32768 /* bytes in one event */
#define SIGNATURE_LEN 16
#define SIGNATURES_MAX 4
#define FRAME_HEADER_MAX 16
#define PIECES_MAX 32     /* events of one call */
#define TLS_LENGTH_MAX (1u << 30) /* plaintext bytes of one call */

/* In a socket's cookie: it stands for the plaintext of the TLS records that the socket carries. */
#define LAYER_TLS (1ull << 61)
#define LAYER_INNER (1ull << 60) /* beside it: that of TLS records within this plaintext */
#define LAYER_MASK (LAYER_TLS | LAYER_INNER)

enum event_kind {
	EVENT_PROCESS = 1,   /* struct process_event: a process is about to own a socket of this shard */
	EVENT_EXIT,          /* struct exit_event: such a process is gone */
	EVENT_OPEN,          /* struct open_event: connected, or taken in by a listener; with a state: see there */
	EVENT_ACCEPT,        /* struct open_event: accept() handed the connection to a process */
	EVENT_CLOSE,         /* struct close_event: an open connection has ended; syscall mode: for one of its descriptors */
	EVENT_FAIL,          /* struct close_event: a connection attempt has ended without a connection */
	EVENT_CONNECT_ERROR, /* struct open_event: connect() itself returned an error */
	EVENT_EXISTING,      /* struct open_event: found by an iterator; older than the programs. Or user space has asked for it, see struct policy */
	EVENT_LIVE,          /* struct live_event: a tracked socket that still exists */
	EVENT_DATA,          /* struct data_event: a system call has transferred bytes of a connection */
	EVENT_UNIX_OPEN,     /* struct unix_open_event: the first bytes of a connection within the host */
	EVENT_PEER_CLOSE,    /* struct close_event: the other end has seen the end of a connection within the host */
	EVENT_LOCAL_CLOSE,   /* struct local_close_event: the owner is done with a connection, which may go on for a while; TCP, socket mode */
	EVENT_EXEC,          /* struct exit_event: where TLS libraries are looked into: a file of code is mapped, or in the syscall mode executed, as none had been */
	/* Of the syscall mode only: */
	EVENT_ADDRESS,       /* struct open_event: a call has named an address of a socket */
	EVENT_HOLD,          /* struct descriptor_event: one more descriptor leads to a socket */
	EVENT_UNKNOWN,       /* struct descriptor_event: a descriptor is used, and it is not known where it leads */
	EVENT_KINDS,
};

/* Indices of each CPU's counters; an event kind is added to the first three. */
enum counter {
	COUNTER_EVENTS = 0,                             /* + kind: written to a ring buffer */
	COUNTER_RING_FULL = EVENT_KINDS,                /* + kind: lost, the ring buffer had no room */
	COUNTER_STORAGE_FAILED = 2 * EVENT_KINDS,       /* a socket, or a datagram of a flow, is not tracked: no memory for its state */
	COUNTER_PROCESS_MAP_FULL,                       /* descriptions repeated: a process has no entry in the map */
	COUNTER_ACCEPT_UNKNOWN,                         /* an accept whose socket could not be read */
	COUNTER_IGNORED,                                /* connections and flows left out by the selection rules */
	COUNTER_PAYLOAD_RING_FULL,                      /* calls emitted without payload: the ring buffer had no room for it */
	COUNTER_PAYLOAD_NO_BUFFER,                      /* calls emitted without payload: no buffer of theirs is known */
	COUNTER_PAYLOAD_FAULT,                          /* calls emitted with less payload: memory could not be read */
	COUNTER_DATAGRAM_BUDGET,                        /* datagrams not emitted: their flow's budget was spent before user space answered */
	COUNTER_BATCH_REST,                             /* datagrams not seen: behind the first BATCH_MAX of a call */
	COUNTER_FLOW_REOPENED,                          /* UDP flows that had to give way to others before they ended */
	COUNTER_TABLE_FULL,                             /* descriptors that are not inherited or closed with their process */
	COUNTER_TLS_UNTIED,                             /* calls of TLS libraries whose socket is not known, and for whose plaintext there was no room */
	COUNTER_TLS_HELD,                               /* calls of TLS libraries whose plaintext has waited for its socket */
	COUNTER_TLS_FOUND,                              /* of these, those whose socket came to be known */
	COUNTER_TLS_UNMATCHED,                          /* calls of TLS libraries whose beginning and end do not match */
	COUNTERS,
	COUNTERS_STRIDE = 64, /* from one CPU's to the next one's, which then lie in other cache lines */
};

_Static_assert(COUNTERS <= COUNTERS_STRIDE, "a CPU's counters reach into the next one's");

enum transport {
	TRANSPORT_TCP = 0,
	TRANSPORT_UDP, /* between a socket and one remote address; its cookie is the flow's own, not the socket's */
	TRANSPORT_UNIX,
};

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT,
	ROLE_SERVER,
};

enum role_source {
	ROLE_SOURCE_UNKNOWN = 0,
	ROLE_SOURCE_CONNECT,  /* the transition out of SYN_SENT was seen */
	ROLE_SOURCE_ACCEPT,   /* the transition out of SYN_RECV was seen */
	ROLE_SOURCE_LISTENER, /* from the listening sockets of its network namespace, or from which end has a name */
	ROLE_SOURCE_FIRST,    /* from who sent the first datagram that was seen */
};

/* How addresses are known. */
enum address_source {
	ADDRESS_SOURCE_SOCK = 0,
	ADDRESS_SOURCE_ACCEPT,
	ADDRESS_SOURCE_CONNECT,
	ADDRESS_SOURCE_GETSOCKNAME,
	ADDRESS_SOURCE_GETPEERNAME,
};

enum direction {
	DIRECTION_SENT = 0,
	DIRECTION_RECEIVED,
	DIRECTIONS,
};

/* Why a stream's bytes are not in an event: bits. */
enum cut_reason {
	CUT_LIMIT = 1,      /* beyond what is captured of a call, or of a burst */
	CUT_NO_BUFFER = 2,  /* it is not known where the bytes are: sendfile, splice, a request of io_uring that is not certain ... */
	CUT_FAULT = 4,      /* the memory could not be read without waiting for it */
	CUT_RING_FULL = 8,  /* the ring buffer had no room */
};

/* The first member of every event. */
struct event_header {
	__u32 kind; /* enum event_kind */
	__u32 pid;  /* owner: thread group id in the initial pid namespace; 0 when not known */
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u64 start; /* owner: start of the thread group leader, CLOCK_BOOTTIME, ns */
};

/* Which socket, and between whom. */
struct flow {
	__u64 cookie;
	__u8 local[ADDRESS_LEN];  /* AF_INET: the first 4 bytes */
	__u8 remote[ADDRESS_LEN];
	__u16 local_port;  /* host order */
	__u16 remote_port; /* host order */
	__u16 family;      /* AF_INET, AF_INET6, AF_UNIX (then without addresses) */
	__u8 role;         /* enum role */
	__u8 role_source;  /* enum role_source */
	__u32 netns;       /* inode of the network namespace */
	__u8 transport;    /* enum transport */
	__u8 source;       /* enum address_source */
	__u8 pad[2];
	__u32 initial[2];  /* by enum direction: see read_initial; 0, 0: not known */
};

struct open_event {
	struct event_header header;
	struct flow flow;
	__u64 cgroup;  /* id of the owner's cgroup in the v2 hierarchy */
	__u64 started; /* CLOCK_MONOTONIC, ns: the connect, or the end of the handshake; 0: not known */
	__u32 state;   /* TCP state: EVENT_EXISTING; EVENT_OPEN: if bytes are transferred before the end of the handshake, which another EVENT_OPEN reports */
	__s32 error;   /* EVENT_CONNECT_ERROR: errno */
	__u32 fd; /* the owner's descriptor; syscall mode */
	__u32 sequence[DIRECTIONS]; /* TCP sequence number of position 0; socket mode */
	__u32 pad;
	__u64 position[DIRECTIONS]; /* EVENT_EXISTING: bytes that were transferred before */
};

struct descriptor_event {
	struct event_header header;
	__u64 cookie; /* the socket's; EVENT_UNKNOWN: the question's identity */
	__u32 fd;     /* of the process in the header; DESCRIPTOR_IN_FLIGHT: passed on, and not yet received */
	__u32 pad;
};

#define DESCRIPTOR_IN_FLIGHT (~0u)

struct unix_open_event {
	struct event_header header;
	struct flow flow;
	__u64 cgroup;
	__u32 peer_pid; /* who had the other end when it was connected, or listened; 0: not known */
	__u8 existing;  /* older than the programs, or user space has asked for it */
	__u8 local_length, remote_length; /* of the names; 0: none */
	__u8 pad;
	__u64 position[DIRECTIONS]; /* bytes that were transferred before */
	__u64 peer; /* cookie of the other end; 0: not known, or the positions may count from another byte there */
	char local[UNIX_PATH_LEN]; /* a path, or behind a NUL a name of the abstract namespace */
	char remote[UNIX_PATH_LEN];
};

/* The goroutine of a program in Go that has transferred bytes, on amd64 and arm64. Numbers are goids; 0: not known. */
struct goroutine {
	__u64 number;  /* or its address, if it is not known; 0: it is none, or that is not known */
	__u64 asker;   /* of bytes that a client sends: a goroutine that waits for this one */
	__u64 creator; /* of such bytes: who has started the asker, or without one this goroutine */
	__u64 next;    /* the number that the next goroutine gets which is started by what runs on this P */
	__u64 block;   /* a P counts up from here to next */
};

/* What the thread that sends had received last, which may be the cause. */
struct cause {
	__u64 cookie;   /* of the socket */
	__u64 position; /* behind the last byte of the call that received */
	__u32 length;   /* of that call; 0: it is not known what had been received */
	__u8 pending;   /* sockets that asked something which only this thread has read, and that had got nothing yet; 255: or more */
	__u8 row;       /* sockets from which the thread has received since it looked for events or sent something; 255: or more */
	__u8 flags;     /* enum cause_flag */
	__u8 pad;
};

enum cause_flag {
	CAUSE_WAITED = 1,  /* the thread has waited since it received */
	CAUSE_POLLED = 2,  /* it has looked for events since, or may have run a timer, or that is not known */
	CAUSE_CONNECT = 4, /* all this is about the connect, not the sending */
	CAUSE_CARRIER = 8, /* the thread runs virtual threads of the Java virtual machine, which do not keep to it */
	CAUSE_DEFERRED = 16, /* since it looked for events it has received a request, and then something else before it sent anything */
	CAUSE_ANSWERED = 32, /* it has sent something to who asked since it received */
	CAUSE_LOOP = 64,     /* it has looked for events in its life */
};

/*
 * Bytes of a connection that one system call transferred; payload follows. If more of a call is wanted than fits in an event,
 * it is emitted as several events, as if each were a call. Of a UDP flow each event is one datagram.
 */
struct data_event {
	struct event_header header; /* the task that made the call */
	__u64 cookie;
	__u64 position; /* of the first byte: what the direction had carried before */
	__u64 last_unreported; /* CLOCK_MONOTONIC, ns: the last transfer of this direction that was not emitted; 0: none */
	struct goroutine goroutine;
	__u64 began;     /* CLOCK_MONOTONIC, ns: when the call began to send; of received bytes, and if it is not known: the event's time */
	__u64 form;      /* the payload has no bodies of unwanted frames of this form (enum frame_form); 0: it has all bytes */
	__u64 frame;     /* with a form: position of the first frame that begins at or behind the payload's first byte */
	struct cause cause; /* of sent bytes; socket mode */
	__u32 tid;
	__u32 length;   /* bytes transferred */
	__u32 skipped;  /* of these, at the beginning: not wanted */
	__u32 captured; /* of these, behind the skipped ones: the payload */
	__u8 direction; /* enum direction */
	__u8 cut_reason; /* enum cut_reason: of what is behind the captured bytes */
	__u8 gap_reason; /* enum cut_reason: of what is before position and was not emitted */
	__u8 frame_lead; /* with a form: bytes at the payload's beginning that end a header which begins before it */
	__u8 frame_unwanted; /* with a form: what is between these bytes and frame is not in the payload */
	__u8 unread; /* of sent bytes: others had arrived that no program had received; socket mode, TCP */
	__u8 joined; /* of a layer: what it carried before its socket was known is not known */
	__u8 pad;
};

/* What a socket has sent and received: segments of TCP, datagrams of UDP, and what TCP alone knows. */
struct packet_counts {
	__u32 sent;
	__u32 received;
	__u32 retransmits;
	__u32 srtt_us;    /* smoothed round trip time, microseconds; 0: never measured */
	__u32 min_rtt_us; /* the least of the last minutes; 0: never measured */
};

struct close_event {
	struct event_header header;
	struct flow flow;
	__u64 cgroup;
	__u64 started;        /* as in open_event */
	__u64 established;    /* CLOCK_MONOTONIC, ns; 0: never, or before the programs */
	__u64 bytes_sent;     /* payload handed to the network once, without retransmissions */
	__u64 bytes_received; /* payload received in order */
	struct packet_counts packets;
	__s32 error;     /* sk_err at the end, errno; 0: none */
	__u8 last_state; /* TCP state before CLOSE */
	__u8 fin_received;
	__u8 accepted_before; /* found by an iterator in a process' fd table: no accept event will come */
	__u8 uncounted; /* segments, round trip time and retransmissions are not known */
	__u32 unread; /* bytes that had arrived and had not been read */
	__u8 left; /* the owner had closed its end before: struct local_close_event */
	__u8 pad2[7];
	__u64 position[DIRECTIONS]; /* how much each direction has carried */
	__u64 last_unreported[DIRECTIONS]; /* as in data_event */
};

/* The owner cannot receive anything of a connection any more, and does not send: it has closed its end, or shut down both directions. */
struct local_close_event {
	struct event_header header;
	__u64 cookie;
	__u64 position[DIRECTIONS];        /* as in close_event */
	__u64 last_unreported[DIRECTIONS];
	__u8 fin_received; /* the other end has closed before */
	__u8 pad[7];
};

struct exit_event {
	struct event_header header;
};

struct live_event {
	struct event_header header;
	__u64 cookie;
	__u64 bytes[DIRECTIONS]; /* so far; of TCP what programs have written and read */
	struct packet_counts packets; /* so far; the syscall mode does not know those of TCP */
	__u32 pad;
};

/* Why a path is not whole: bits. */
enum path_cut {
	PATH_CUT_DEPTH = 1, /* it has more parts */
	PATH_CUT_ROOM = 2,  /* some of them are not there: no room, or no permission to read */
};

/* A path as the list of its parts, each NUL-terminated, the last part first. */
struct path_parts {
	__u32 used;
	__u32 cut; /* enum path_cut */
	char parts[PATH_LEN];
};

/* The description of a process, for the case that it is gone before user space can read /proc. */
struct process_event {
	struct event_header header;
	__u64 cgroup_id;
	__u32 generation; /* counts exec and cgroup moves; a rule_match holds for one generation */
	__u32 args_len;
	__u32 environ_len;
	__u8 args_cut;
	__u8 environ_cut;
	__u8 executable_from_call; /* by execve: its argument, whatever file that leads to */
	__u8 in_entry; /* used while the environment is read */
	__u32 netns; /* inode of the network namespace; 0: not known; syscall mode */
	__u32 uid;   /* the real one, in the initial user namespace */
	char comm[COMM_LEN];
	struct path_parts executable;
	struct path_parts cgroup;
	char args[ARGS_LEN];
	char environ[ENVIRON_LEN]; /* its head; of a longer one the two variables that matter, and nothing else */
};

/* The port part of a selection rule. User space evaluates the process part and sets a mask of rules. */
struct rule {
	__u16 local_port_low, local_port_high;   /* 0, 0: any */
	__u16 remote_port_low, remote_port_high; /* 0, 0: any */
	__u32 exclude;
};

/* Set by user space: the rules whose process part a process matches. */
struct rule_match {
	__u64 start; /* CLOCK_BOOTTIME, in units of TICK_NS, as /proc shows it */
	__u64 rules;
	__u32 generation;
	__u32 pad;
};

/*
 * How much user space wants of a socket's data, in a slot that the socket's cookie picks. User space writes it through
 * shared memory, which costs no system call.
 */
struct policy {
	__u64 cookie;            /* whose; a slot that is another's says nothing */
	__u64 until[DIRECTIONS]; /* positions before which nothing is wanted; UNTIL_NEVER: not even when it was */
	__u32 limit[DIRECTIONS]; /* bytes of one call, at most */
	__u32 burst;             /* bytes of a burst, at most: what is captured in one direction before it turns */
	__u32 describe;          /* user space does not know the socket: a description is to come before its next bytes; taken back here */
	__u64 form[DIRECTIONS];  /* of the frames; 0: user space does not know it */
	__u64 next[DIRECTIONS];  /* position at which a frame begins; NEXT_UNKNOWN: not known */
};

#define UNTIL_NEVER (~0ull)
#define NEXT_UNKNOWN (~0ull)

/*
 * How the frames of a stream begin: with a header that says how long the body behind it is. It is one word, so that a program
 * never reads half of a change. These are shifts.
 */
enum frame_form {
	FORM_HEADER = 0,   /* 8 bits: bytes of the header, at most FRAME_HEADER_MAX; more: the stream has no frames */
	FORM_LENGTH = 8,   /* 4 bits: where in the header the length is */
	FORM_WIDTH = 12,   /* 2 bits: bytes of the length, minus 1 */
	FORM_LITTLE = 14,  /* 1 bit: its first byte is the lowest */
	FORM_TYPE = 16,    /* 8 bits: where in the header the byte of the type is; behind the header: all have type 0 */
	FORM_BIAS = 24,    /* 8 bits, signed: what the body has more than the length says */
	FORM_UNWANTED = 32, /* 32 bits: the types, by their lowest five bits, whose bodies are not wanted */
};
