package http

import "hash/maphash"

// requestIDs are the ids that proxies and programs have given a request. Of both, that of the request says more: several requests may have the same
// correlation id.
type requestIDs struct{ request, correlation requestID }

func (r *requestIDs) hash() uint64 {
	if r.request.hash != 0 {
		return r.request.hash
	}
	return r.correlation.hash
}

// requestID is an id as a hash.
type requestID struct {
	hash uint64 // 0: there is none
	seen bool
}

// Lengths of values that count, in bytes: a shorter one may be the same in many requests.
const (
	minRequestID = 8
	maxRequestID = 256
)

// idSeed keeps peers from making two ids whose hashes are the same.
var idSeed = maphash.MakeSeed()

// set sets the id. Of several, none counts.
func (r *requestID) set(value []byte) {
	if r.seen || len(value) < minRequestID || len(value) > maxRequestID {
		*r = requestID{seen: true}
		return
	}
	*r = requestID{max(1, maphash.Bytes(idSeed, value)), true}
}
