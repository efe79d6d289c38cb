package otlp

import "strconv"

// errno is the name and the text of a Linux error number.
type errno struct {
	name string // of errno(3)
	text string // of strerror(3)
}

// otherError is the error.type of an error without a name, as the semantic conventions define it.
const otherError = "_OTHER"

// The error numbers that this package falls back to when the kernel kept none.
const (
	errnoConnectionReset   = 104
	errnoTimedOut          = 110
	errnoConnectionRefused = 111
)

// lookUpErrno returns the Linux name of an error number, on every system that this runs on. The name of a number that is
// not in the table is its digits.
func lookUpErrno(number uint32) errno {
	if number < uint32(len(linuxErrnos)) && linuxErrnos[number].name != "" {
		return linuxErrnos[number]
	}
	digits := strconv.FormatUint(uint64(number), 10)
	return errno{name: digits, text: "errno " + digits}
}

// linuxErrnos has the possible values of sk_err and errors of connect(2): TCP's own errors, errors translated from ICMP
// (net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c, tab_unreach), errors that routing, netfilter, LSMs and BPF return
// for a connect, and the general errors of the call. include/uapi/asm-generic/errno{-base,}.h, the same on amd64 and arm64.
var linuxErrnos = [...]errno{
	1:   {"EPERM", "operation not permitted"},
	2:   {"ENOENT", "no such file or directory"},
	3:   {"ESRCH", "no such process"},
	4:   {"EINTR", "interrupted system call"},
	5:   {"EIO", "input/output error"},
	6:   {"ENXIO", "no such device or address"},
	9:   {"EBADF", "bad file descriptor"},
	11:  {"EAGAIN", "resource temporarily unavailable"},
	12:  {"ENOMEM", "cannot allocate memory"},
	13:  {"EACCES", "permission denied"},
	14:  {"EFAULT", "bad address"},
	16:  {"EBUSY", "device or resource busy"},
	17:  {"EEXIST", "file exists"},
	19:  {"ENODEV", "no such device"},
	22:  {"EINVAL", "invalid argument"},
	23:  {"ENFILE", "too many open files in system"},
	24:  {"EMFILE", "too many open files"},
	32:  {"EPIPE", "broken pipe"},
	62:  {"ETIME", "timer expired"},
	64:  {"ENONET", "machine is not on the network"},
	70:  {"ECOMM", "communication error on send"},
	71:  {"EPROTO", "protocol error"},
	74:  {"EBADMSG", "bad message"},
	88:  {"ENOTSOCK", "socket operation on non-socket"},
	89:  {"EDESTADDRREQ", "destination address required"},
	90:  {"EMSGSIZE", "message too long"},
	91:  {"EPROTOTYPE", "protocol wrong type for socket"},
	92:  {"ENOPROTOOPT", "protocol not available"},
	93:  {"EPROTONOSUPPORT", "protocol not supported"},
	94:  {"ESOCKTNOSUPPORT", "socket type not supported"},
	95:  {"ENOTSUP", "operation not supported"},
	96:  {"EPFNOSUPPORT", "protocol family not supported"},
	97:  {"EAFNOSUPPORT", "address family not supported by protocol"},
	98:  {"EADDRINUSE", "address already in use"},
	99:  {"EADDRNOTAVAIL", "cannot assign requested address"},
	100: {"ENETDOWN", "network is down"},
	101: {"ENETUNREACH", "network is unreachable"},
	102: {"ENETRESET", "network dropped connection on reset"},
	103: {"ECONNABORTED", "software caused connection abort"},
	104: {"ECONNRESET", "connection reset by peer"},
	105: {"ENOBUFS", "no buffer space available"},
	106: {"EISCONN", "transport endpoint is already connected"},
	107: {"ENOTCONN", "transport endpoint is not connected"},
	108: {"ESHUTDOWN", "cannot send after transport endpoint shutdown"},
	109: {"ETOOMANYREFS", "too many references: cannot splice"},
	110: {"ETIMEDOUT", "connection timed out"},
	111: {"ECONNREFUSED", "connection refused"},
	112: {"EHOSTDOWN", "host is down"},
	113: {"EHOSTUNREACH", "no route to host"},
	114: {"EALREADY", "operation already in progress"},
	115: {"EINPROGRESS", "operation now in progress"},
	125: {"ECANCELED", "operation canceled"},
	126: {"ENOKEY", "required key not available"},
	127: {"EKEYEXPIRED", "key has expired"},
	128: {"EKEYREVOKED", "key has been revoked"},
	129: {"EKEYREJECTED", "key was rejected by service"},
}
